"""Keys taken out of what vendors say of their errors, before a client reads it."""

import re

MASK = b"***"

KEYS = re.compile(
    rb"(?<![A-Za-z0-9_-])(?:sk|rk|pk|gsk|xai|pplx|nvapi|hf|csk|tgp|r8)[-_](?=[A-Za-z0-9*._-]*[0-9*])[A-Za-z0-9*._-]{6,}"
    rb"|\bAIza[A-Za-z0-9_-]{20,}|\bAKIA[A-Z0-9]{12,}"
    rb"|\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+"
    rb"|\b(?:org|proj)[-_](?=[A-Za-z0-9]*[0-9])[A-Za-z0-9]{16,}"
    rb"|(?<=[Bb]earer )[A-Za-z0-9*._~+/=-]{8,}"
)
"""What looks like a key: vendors' prefixes followed by something with a digit or a star, cloud keys, tokens. And the
names of our accounts, which rate-limit errors tell."""
SECRET_BYTES_MIN = 8
"""A configured key shorter than this could stand in a text by chance."""


def masked(said: bytes, secret: bytes) -> bytes:
    """What a vendor said, without `secret` (our key there) and without anything else that looks like a key."""
    if len(secret) >= SECRET_BYTES_MIN:
        said = said.replace(secret, MASK)
    return KEYS.sub(MASK, said)
