"""The doors outside: one folder per protocol, one file per technology."""
