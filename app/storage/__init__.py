"""The database, and none of the product's rules."""
