"""The close: a month's way from open to closed, what stands in it, and who took each step."""
