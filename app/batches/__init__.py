"""Batches: predictions of a whole dataset, which become a dataset of their own."""
