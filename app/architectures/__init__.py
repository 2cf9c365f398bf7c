"""Architectures: the hidden layers of a network, and what its output layer does."""
