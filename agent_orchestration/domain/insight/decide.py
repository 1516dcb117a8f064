"""Insight has nothing to decide: it only asks."""
