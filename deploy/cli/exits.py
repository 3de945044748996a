"""Exit codes, the same for every subcommand."""

OK = 0
FAILURE = 1
USAGE = 2
"""A wrong flag, or a configuration that cannot be used."""
CHECK_FAILED = 3
OUTSIDE_TOLERANCE = 4
"""The month does not reconcile: something is UNEXPLAINED."""
