"""What tenants say of the answers to their requests: POST /v1/feedback."""
