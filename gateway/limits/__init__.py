"""What a tenant, a session or an upstream may do in a stretch of time."""
