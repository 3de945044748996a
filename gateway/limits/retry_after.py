"""When an upstream asks to be called again, from its answer's headers: a pure function of the headers and the time.

`retry-after-ms` goes before `retry-after`, which is whole or broken seconds or an HTTP date (RFC 9110, 10.2.3). What is
none of these, negative or not finite asks for nothing.
"""

import math
from collections.abc import Iterable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


def retry_after_s(headers: Iterable[tuple[bytes, bytes]], now: datetime) -> float:
    """Seconds from `now` (aware) until the upstream may be called again; 0 = it does not say, or at once.

    Names are in lower case.
    """
    asked = {name: value for name, value in headers if name in (b"retry-after-ms", b"retry-after")}
    if not asked:
        return 0.0
    exact = _number(asked.get(b"retry-after-ms", b""))
    if exact is not None:
        return exact / 1000
    text = asked.get(b"retry-after", b"")
    seconds = _number(text)
    return _until(text, now) if seconds is None else seconds


def _number(text: bytes) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None


def _until(text: bytes, now: datetime) -> float:
    try:
        at = parsedate_to_datetime(text.decode("latin-1"))
    except (ValueError, TypeError, IndexError, OverflowError):
        return 0.0
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return max(0.0, (at - now).total_seconds())
