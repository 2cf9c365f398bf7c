"""Predictions: rows in, answers out. No queue, no worker; the warm path reads no database."""
