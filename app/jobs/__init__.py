"""Jobs: one training run each, from the request to the model it leaves."""
