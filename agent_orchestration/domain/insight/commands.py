"""Insight has no commands: it only asks."""
