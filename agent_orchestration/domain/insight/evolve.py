"""Insight has nothing to evolve: it only asks."""
