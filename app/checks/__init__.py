"""Is everything still what was written? Reads all of it, as of one moment, while the server goes on."""
