"""Following jobs: their status and their events, as they change."""
