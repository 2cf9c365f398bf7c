"""What a job was computed from and by what, and the chain of its snapshots."""
