"""The routes off the data path, on FastAPI."""
