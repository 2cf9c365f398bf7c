"""Webhooks: a project's events, sent as signed messages by a process of their own."""
