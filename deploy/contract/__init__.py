"""The contract with clients: the surface they use, frozen to a file, and what would break it."""
