"""The one module that reads the clock. All else takes `now` as an argument, so that a test can tell the time."""

import time
from datetime import UTC, datetime

monotonic = time.monotonic  # noqa: TID251
"""Seconds of a clock that never goes back; for durations and deadlines. It is read sixteen times for each request, so
there is no function of ours around it."""

unix_nanos = time.time_ns  # noqa: TID251
"""Nanoseconds since 1970 in UTC; what a span's start and end are written in."""


def utc_now() -> datetime:
    """The present instant, aware, in UTC; for stamps and for choosing a rate card."""
    return datetime.now(UTC)  # noqa: TID251
