"""The routing plane: an OpenAI-compatible gateway that meters each attempt it makes at an upstream."""
