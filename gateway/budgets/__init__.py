"""What may be spent in a month and by one request: accounts, leases, purses."""
