"""Caches: the gateway's own whole answers, the marks for a vendor's cache, and what tells one session from another."""
