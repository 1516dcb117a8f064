"""The tests: by level, then by what they are about."""
