"""Tables of the catalog: read, and written from files."""
