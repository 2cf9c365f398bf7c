"""Projects: what each may have and do, and what counts against that."""
