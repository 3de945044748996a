"""Spans of time that queries take: half-open, aware, in UTC. Nothing here reads a clock."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

LONG = timedelta(days=31)
"""What is longer is compared with whole days: nobody keeps sums of hours that are twice as old."""

_MONTH = re.compile(r"(\d{4})-(0[1-9]|1[0-2])", re.ASCII)


class MonthInvalid(ValueError):
    """A text that is not a month of this business, or a month that has not begun."""


@dataclass(frozen=True, slots=True)
class Window:
    """From `since` until `until`, exclusive. Both aware; kept in UTC."""

    since: datetime
    until: datetime

    def __post_init__(self) -> None:
        """Raises ValueError for a naive instant or a window that is empty."""
        if self.since.tzinfo is None or self.until.tzinfo is None:
            raise ValueError("a window needs aware instants; say which time zone is meant")
        object.__setattr__(self, "since", self.since.astimezone(UTC))
        object.__setattr__(self, "until", self.until.astimezone(UTC))
        if self.until <= self.since:
            raise ValueError(
                f"the window from {self.since:%Y-%m-%dT%H:%MZ} until {self.until:%Y-%m-%dT%H:%MZ} is empty"
            )

    def previous(self) -> "Window":
        """The window of the same length just before; for a whole calendar month, the calendar month before.

        That of a window longer than LONG begins at the nearest midnight.
        """
        if self == month_window(f"{self.since:%Y-%m}"):
            return month_window(f"{self.since - timedelta(days=1):%Y-%m}")
        since = self.since - (self.until - self.since)
        if self.until - self.since > LONG:
            since = (since + timedelta(hours=12)).replace(hour=0, minute=0, second=0, microsecond=0)
        return Window(since, self.since)


def month_window(month: str) -> Window:
    """The UTC calendar month written as `2026-11`. Raises MonthInvalid for anything else."""
    found = _MONTH.fullmatch(month)
    if found is None:
        raise MonthInvalid(f"{month!r} is not a month; write it as 2026-11")
    year, number = int(found[1]), int(found[2])
    if not 2000 <= year < 2200:
        raise MonthInvalid(f"{month!r} is outside the years 2000 to 2199")
    following = (year + 1, 1) if number == 12 else (year, number + 1)
    return Window(datetime(year, number, 1, tzinfo=UTC), datetime(*following, 1, tzinfo=UTC))


def begun_month(month: str, *, now: datetime) -> Window:
    """As month_window, but raises MonthInvalid for a month that has not begun at `now`: it has nothing to show yet."""
    window = month_window(month)
    if window.since > now:
        raise MonthInvalid(f"{month} has not begun: it is {now.astimezone(UTC):%Y-%m-%dT%H:%MZ}")
    return window


def day_window(day: date) -> Window:
    """One UTC day."""
    since = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return Window(since, since + timedelta(days=1))
