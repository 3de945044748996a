"""A vendor's own rate-limit headers: whether the key it answered for is spent, and for how long.

Only `x-ratelimit-remaining-requests`, `-tokens` and the `x-ratelimit-reset-` beside each are read, as OpenAI writes
them (https://platform.openai.com/docs/guides/rate-limits). A header that is not understood is taken for absent.
"""

import re
from collections.abc import Mapping

RESET_S_MAX = 3600.0
"""No header keeps an upstream from being asked for longer than this."""

PLAIN_S_MAX = 1e8
"""A plain number beyond this is an instant, of some epoch, and no duration."""

UNITS_S = {b"d": 86_400.0, b"h": 3600.0, b"m": 60.0, b"s": 1.0, b"ms": 1e-3, b"us": 1e-6, b"ns": 1e-9}
NUMBER = rb"\d{1,18}(?:\.\d{1,18})?"
PLAIN = re.compile(NUMBER)
PART = re.compile(rb"(" + NUMBER + rb")(ms|us|ns|d|h|m|s)")
DURATION = re.compile(rb"(?:" + NUMBER + rb"(?:ms|us|ns|d|h|m|s))+")
WHOLE = re.compile(rb"-?\d{1,18}")

PAIRS = (
    (b"x-ratelimit-remaining-requests", b"x-ratelimit-reset-requests"),
    (b"x-ratelimit-remaining-tokens", b"x-ratelimit-reset-tokens"),
)


def seconds(text: bytes) -> float | None:
    """A duration such as `1s`, `6m0s`, `12ms`, `1h2m3.5s`, or plain seconds; None for anything else."""
    text = text.strip()
    if PLAIN.fullmatch(text):
        plain = float(text)
        return plain if plain <= PLAIN_S_MAX else None
    if not DURATION.fullmatch(text):
        return None
    return sum(float(number) * UNITS_S[unit] for number, unit in PART.findall(text))


def spent_for_s(named: Mapping[bytes, bytes]) -> float | None:
    """For how long the vendor says that nothing is left, RESET_S_MAX at most; None if it does not say so.

    `named` holds the header's values by their names in lower case.
    """
    longest: float | None = None
    for remaining, reset in PAIRS:
        left = named.get(remaining)
        if left is None or not WHOLE.fullmatch(left.strip()) or int(left) > 0:
            continue
        wait = seconds(named.get(reset, b""))
        if wait is not None:
            longest = max(longest or 0.0, min(wait, RESET_S_MAX))
    return longest
