"""Micro-batching: equal requests gathered for a moment into one upstream call, its answer cut up again."""
