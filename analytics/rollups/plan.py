"""What of the rollups is not what the facts say. Pure: counts and the cards' marks in, what to rebuild out.

Facts only grow, but for replays, so a rollup that holds as many attempts as the facts, rated by the cards that are in
force, is right; one that holds fewer is rebuilt, be it for an hour that closed or for a span that came late. One that
holds more stands for facts that are gone, and is left alone: rebuilding it would lose them. Rows that a replay has put
in the place of others count into the mark of their day, so what holds the old ones is rebuilt, however many they were.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta

from analytics.rollups.sources import EARLIEST, day_of
from gateway.domain.rate_card import RateCard

RULE = "1"
"""Counts up when the views rated_attempts or rollup_facts give the same facts other sums; then all is rebuilt."""
CLOSED_AFTER = timedelta(minutes=10)
"""An hour is rolled up that long after its end, when most of what began in it has landed."""
HOURS_KEPT = timedelta(days=62)
"""The store lets hours go some days later (008_rollups.sql): never what is asked for here."""


RUN_ATTEMPTS_MAX = 200_000
"""Built by one statement, whose memory is some 3 KB a cell: below 600 MB were each attempt a cell of its own."""


@dataclass(frozen=True, slots=True)
class Held:
    """What a rollup holds of one day or month."""

    attempts: int = 0
    told_later: int = 0
    """Those among them that a later look at their response stands for."""
    rated_by: int = 0
    """The mark of the cards that rated them; 0 for the facts, which are not rated."""


NOTHING = Held()


@dataclass(frozen=True, slots=True)
class Day:
    """A UTC day: what the facts and what each rollup hold of it."""

    day: date
    facts: Held = NOTHING
    hours: Held = NOTHING
    days: Held = NOTHING
    totals: Held = NOTHING
    replays: int = 0
    """Batches with spans of it whose rows took the place of others."""


def closed(now: datetime) -> datetime:
    """The end of the last hour that is to be rolled up at `now`."""
    return (now - CLOSED_AFTER).replace(minute=0, second=0, microsecond=0)


def stale_since(now: datetime, days_until: datetime | None) -> datetime:
    """From when on a glance looks: yesterday, or where the rollup of days ends, so that it never grows over a gap."""
    return min(day_of(closed(now)) - timedelta(days=1), days_until or EARLIEST)


def mark(cards: Iterable[RateCard], day: date, replays: int = 0) -> int:
    """A number that changes with anything that could rate an attempt of that day otherwise, or make its row anew."""
    since = midnight(day)
    until = since + timedelta(days=1)
    ids = sorted(
        card.card_id + (f" until {end}" if (end := card.effective_to) is not None and end < until else "")
        for card in cards
        if card.effective_from < until and (card.effective_to is None or card.effective_to > since)
    )
    return _number(RULE, *ids, *((f"replays {replays}",) if replays else ()))


def mark_of_days(days: Iterable[Day]) -> int:
    """The mark of a month whose days are rolled up so."""
    return _number(*(f"{day.day} {day.days.told_later} {day.days.rated_by}" for day in days if day.days.attempts))


@dataclass(frozen=True, slots=True)
class Run:
    """Stale days, one after the other, that are rated by the same cards: built by one statement."""

    days: tuple[Day, ...]
    rated_by: int

    @property
    def since(self) -> datetime:
        """The start of its first day."""
        return midnight(self.days[0].day)

    @property
    def until(self) -> datetime:
        """The end of its last day."""
        return midnight(self.days[-1].day) + timedelta(days=1)

    @property
    def attempts(self) -> int:
        """How many the facts had when they were counted."""
        return sum(day.facts.attempts for day in self.days)


def runs(stale: Iterable[Day], marks: Mapping[date, int]) -> list[Run]:
    """The stale days, oldest first, in as few runs as memory allows; none leaves its month."""
    found: list[Run] = []
    for day in stale:
        last = found[-1] if found else None
        if (
            last is not None
            and last.until == midnight(day.day) != midnight(day.day.replace(day=1))
            and last.rated_by == marks[day.day]
            and last.attempts + day.facts.attempts <= RUN_ATTEMPTS_MAX
        ):
            found[-1] = Run((*last.days, day), last.rated_by)
        else:
            found.append(Run((day,), marks[day.day]))
    return found


def stale_hours(days: Sequence[Day], marks: Mapping[date, int], now: datetime) -> list[Day]:
    """The days whose closed hours are to be rebuilt, oldest first. `facts` count what began before closed(now)."""
    kept = (closed(now) - HOURS_KEPT).date()
    return [day for day in days if day.day >= kept and _stale(day, day.hours, marks[day.day])]


def stale_days(days: Sequence[Day], marks: Mapping[date, int], now: datetime) -> dict[date, list[Day]]:
    """The closed days to be rebuilt, by the first of their month; oldest first."""
    found: dict[date, list[Day]] = {}
    for day in days:
        if midnight(day.day) + timedelta(days=1) <= closed(now) and _stale(day, day.days, marks[day.day]):
            found.setdefault(day.day.replace(day=1), []).append(day)
    return found


def stale_totals(days: Sequence[Day]) -> list[date]:
    """The months, by their first day, whose totals are not those of their days."""
    return sorted({day.day.replace(day=1) for day in days if day.days.attempts and day.totals != day.days})


def stale_months(days: Sequence[Day], built: Mapping[date, Held], now: datetime) -> dict[date, Held]:
    """The closed months, by their first day, that are not their days' sum, and what they are to hold."""
    by_month: dict[date, list[Day]] = {}
    for day in days:
        by_month.setdefault(day.day.replace(day=1), []).append(day)
    found: dict[date, Held] = {}
    for month, its_days in by_month.items():
        attempts = sum(day.days.attempts for day in its_days)
        wanted = Held(attempts, sum(day.days.told_later for day in its_days), mark_of_days(its_days))
        if wanted.attempts and midnight(next_month(month)) <= closed(now) and built.get(month, NOTHING) != wanted:
            found[month] = wanted
    return found


def next_month(month: date) -> date:
    """The first of the month after the one that begins then."""
    return (month + timedelta(days=32)).replace(day=1)


def midnight(day: date) -> datetime:
    """The start of a UTC day."""
    return datetime.combine(day, time(), UTC)


def _stale(day: Day, held: Held, rated_by: int) -> bool:
    facts = day.facts
    if facts.attempts > held.attempts:
        return True
    if day.replays and facts.attempts and held.rated_by != rated_by:
        return True
    return facts.attempts == held.attempts > 0 and held != replace(facts, rated_by=rated_by)


def _number(*parts: str) -> int:
    return int.from_bytes(hashlib.blake2b("\n".join(parts).encode(), digest_size=8).digest(), "big")
