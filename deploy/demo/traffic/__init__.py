"""The demo's traffic: a slice of a real trace, the requests made from it, and the driver that sends them.

Nothing here knows what anything costs; see ATTRIBUTION.md for the trace's origin and licence.
"""
