"""Feature views: their definitions, against the tables that they read."""
