"""Evaluations that are kept: how good a model is on some rows, where it is wrong, and by which columns."""
