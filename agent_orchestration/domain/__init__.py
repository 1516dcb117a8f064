"""What the platform is about: one folder per kind of thing, each with the same files."""
