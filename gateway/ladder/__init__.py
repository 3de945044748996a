"""Which rung a request tries next, and what that would cost."""
