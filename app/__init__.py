"""Chainrule: training-as-a-service for feed-forward neural networks."""

__version__ = "0.1.0"
