"""Waiting for another process: ask again until it is so or the time is up."""

import time
from collections.abc import Callable

from gateway.domain import clock


def until(true: Callable[[], bool], *, within_s: float, every_s: float = 0.05) -> bool:
    """Whether it came true in time. What the question raises is passed on."""
    deadline = clock.monotonic() + within_s
    while not true():
        if clock.monotonic() >= deadline:
            return False
        time.sleep(every_s)
    return True
