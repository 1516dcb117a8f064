"""Insight has no events: it only asks."""
