"""One suite per protocol of the backends, run against every implementation."""
