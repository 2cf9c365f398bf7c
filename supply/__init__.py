"""What we did not write: known holes in it, and its licences. ``make audit`` runs it."""
