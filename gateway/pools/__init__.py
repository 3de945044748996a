"""Tiers as pools of slots: who gets one, who waits, who is turned away."""
