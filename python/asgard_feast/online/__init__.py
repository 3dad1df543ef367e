"""Online values: materialized, and what Node must know to read them."""
