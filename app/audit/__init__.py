"""The audit log: who did what to which object. Written with what it tells, and never changed."""
