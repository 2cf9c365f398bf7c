"""Aliases: names of a project's own choice, each of which stands for one of its models."""
