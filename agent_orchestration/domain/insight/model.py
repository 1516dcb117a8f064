"""Insight has no entities: it only asks."""
