"""Deadlines of equal length, kept in one line with one timer. All who join a lane wait the same time, so the first to
join is the first to be late, and joining and leaving are a dictionary's insert and delete: less than half of what a
timer of the loop's own costs to make and cancel, several times per request.
"""

import asyncio
from collections.abc import Callable

from gateway.domain import clock


class Lane:
    """Everyone who joins is called `seconds` later, unless it left before. At most `slack_s` late."""

    def __init__(self, seconds: float, loop: asyncio.AbstractEventLoop, slack_s: float = 0.005) -> None:
        self.seconds = seconds
        self._loop = loop
        self._slack_s = slack_s
        self._due: dict[Callable[[], None], float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._due)

    def join(self, late: Callable[[], None], now: float) -> None:
        """Call `late` once, `seconds` after `now`; `now` must not lie before that of the one who joined last."""
        self._due[late] = now + self.seconds
        if self._timer is None:
            self._timer = self._loop.call_later(self.seconds, self._ring)

    def leave(self, late: Callable[[], None]) -> None:
        """No longer call it; it is no fault to have left already."""
        self._due.pop(late, None)

    def close(self) -> None:
        """Forget everyone."""
        self._due.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ring(self) -> None:
        self._timer = None
        now = clock.monotonic()
        while self._due:
            late, due = next(iter(self._due.items()))
            if due > now + self._slack_s:
                self._timer = self._loop.call_later(due - now, self._ring)
                return
            del self._due[late]
            self._loop.call_soon(late)


class Lanes:
    """One lane for each length of time that is waited."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._lanes: dict[float, Lane] = {}

    def of(self, seconds: float) -> Lane:
        """The lane of that length."""
        lane = self._lanes.get(seconds)
        if lane is None:
            lane = self._lanes[seconds] = Lane(seconds, self._loop)
        return lane

    def close(self) -> None:
        """Forget everyone on every lane."""
        for lane in self._lanes.values():
            lane.close()
