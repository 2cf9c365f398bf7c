"""Chainrule: training-as-a-service for feed-forward neural networks."""
