"""What the words of a meter mean: units that count tokens, and classes of tokens."""

import re
from decimal import Decimal

from gateway.domain.money import EXACT
from gateway.domain.usage import TokenClass

_UNIT = re.compile(
    r"(?:(?P<count>[\d,]+)\s*)?(?P<power>[km])?\s*(?:(?:input|output|cached|cache)\s+)*tokens?", re.IGNORECASE
)
NOISE = Decimal("0.0001")
"""Tokens by which a binary double's print may miss a whole number."""
_POWERS = {"": 1, "k": 1000, "m": 1_000_000}
_WORDS = (
    (TokenClass.CACHE_WRITE_1H, re.compile(r"(cached?|cd)[ _-]*(input[ _-]*)?(write|wr|creation).*\b1 ?h")),
    (TokenClass.CACHE_WRITE_5M, re.compile(r"(cached?|cd)[ _-]*(input[ _-]*)?(write|wr\b|creation)")),
    (TokenClass.CACHE_READ, re.compile(r"\bcached?\b|\bcd\b|cache[ _-]*(read|hit)")),
    (TokenClass.OUTPUT, re.compile(r"\b(output|outpt|outp|out|completion)s?\b")),
    (TokenClass.INPUT_UNCACHED, re.compile(r"\b(input|inpt|inp|in|prompt)s?\b")),
)
"""In the order in which they are tried: a cached input is no uncached one."""


def tokens_per(unit: str) -> int | None:
    """Tokens in one of the unit: 1000000 for "1M tokens" or "1000000 Tokens"; None where it does not count tokens."""
    found = _UNIT.fullmatch(unit.strip())
    if found is None:
        return None
    return int((found["count"] or "1").replace(",", "")) * _POWERS[(found["power"] or "").lower()]


def tokens_of(quantity: Decimal | None, per: int | None, *, is_double: bool = False) -> int | None:
    """A whole number of tokens of zero or more, or None. Of a double's print the first fifteen digits count."""
    if quantity is None or per is None:
        return None
    tokens = EXACT.multiply(quantity, Decimal(per))
    if is_double and abs(tokens - round(tokens)) < NOISE:
        return round(tokens)
    return int(tokens) if tokens >= 0 and tokens == tokens.to_integral_value() else None


def class_of(words: str) -> TokenClass | None:
    """The class that a meter's words name."""
    bare = re.sub(r"[_\-./]", " ", words).lower()
    return next((token_class for token_class, pattern in _WORDS if pattern.search(bare)), None)
