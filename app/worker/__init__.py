"""The worker: a supervisor that owns the leases, and the trainers that it starts and stops."""
