"""Benches: bounded runs on loopback that print a table and write JSON.

They measure ratios: absolute times move with the machine, so every figure stands beside the same work done without
Tollway.
"""
