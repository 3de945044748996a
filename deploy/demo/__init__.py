"""The demonstration: two simulated vendors, a replay of a real trace, and a witness that checks every cent.

`deploy.demo.vendor` is a program of its own that imports nothing of Tollway; it learns of Tollway only the requests.
"""
