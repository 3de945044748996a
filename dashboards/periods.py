"""Periods: runs of whole UTC days, as people pick and name them.

A period is half-open in the code (`until` is the day after the last) and inclusive in words and in addresses, because
that is how people say it. Nothing here reads the clock: `now` is given.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from analytics.windows import Window

DAYS_MAX = 400


@dataclass(frozen=True, slots=True)
class Period:
    """Whole UTC days from `since` up to, and without, `until`. Raises ValueError when empty or longer than DAYS_MAX."""

    since: date
    until: date

    def __post_init__(self) -> None:
        if not 0 < (self.until - self.since).days <= DAYS_MAX:
            raise ValueError(f"a period has 1 to {DAYS_MAX} days, not {self.since} to {self.until}")

    @classmethod
    def month(cls, day: date) -> Period:
        """The calendar month that holds this day."""
        first = day.replace(day=1)
        return cls(first, (first + timedelta(days=32)).replace(day=1))

    @classmethod
    def inclusive(cls, first: date, last: date) -> Period:
        """From the first day to the last, both in it."""
        return cls(first, last + timedelta(days=1))

    @property
    def last(self) -> date:
        """The last day that is in it."""
        return self.until - timedelta(days=1)

    @property
    def is_month(self) -> bool:
        """Whether it is exactly one calendar month."""
        return self == Period.month(self.since)

    @property
    def label(self) -> str:
        """`November 2026`, `1–14 Nov 2026` or `28 Oct – 3 Nov 2026`, as a person would write it."""
        return f"{self.since:%B %Y}" if self.is_month else days_label(self.since, self.last)

    def shifted(self, steps: int) -> Period:
        """The period of the same kind so many steps away: months step by month, others by their own length."""
        if self.is_month:
            months = self.since.year * 12 + self.since.month - 1 + steps
            return Period.month(date(months // 12, months % 12 + 1, 1))
        length = (self.until - self.since) * steps
        return Period(self.since + length, self.until + length)

    def days(self) -> list[date]:
        """Each day in it."""
        return [self.since + timedelta(days=n) for n in range((self.until - self.since).days)]

    def window(self, now: datetime) -> Window:
        """The instants to query: all of it, or up to `now` while it is still running.

        Cut off at `now`, its previous window has run for as long: a part is never compared with a whole, which would
        read as a fall.
        """
        since, until = _midnight(self.since), _midnight(self.until)
        return Window(since, now if since < now < until else until)


def days_label(first: date, last: date) -> str:
    """`3 Nov 2026`, `1–14 Nov 2026` or `28 Oct – 3 Nov 2026`."""
    if first == last:
        return f"{first.day} {first:%b %Y}"
    if (first.year, first.month) == (last.year, last.month):
        return f"{first.day}–{last.day} {last:%b %Y}"
    start = f"{first.day} {first:%b}" if first.year == last.year else f"{first.day} {first:%b %Y}"
    return f"{start} – {last.day} {last:%b %Y}"


def window_label(window: Window) -> str:
    """The days a window touches, or the name of its month."""
    last = (window.until - timedelta(microseconds=1)).date()
    whole = (
        window.until.time() == time() and window.since.day == 1 and Period.inclusive(window.since.date(), last).is_month
    )
    return f"{window.since:%B %Y}" if whole else days_label(window.since.date(), last)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
