"""The feature store's Python: the bridge that the platform keeps running, and what Feast loads in scripts."""
