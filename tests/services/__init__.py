"""Real servers for tests: one of each kind per test run."""
