"""The vocabulary every part shares: plain Python, standard library only, no I/O but the segment file and the clock."""
