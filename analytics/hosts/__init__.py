"""Owned cost: how busy hosts were, who kept them so, and what of their rent, power and egress is whose."""
