"""Rebuilds what is stale of the rollups: cells are summed beside the table and swapped in a partition at a time.

Killed anywhere, each partition holds what it held before or all that is new, and the next turn finds what is left.
One worker of a store does this; should a second one write the same cells at once, the count before the swap finds it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from clickhouse_connect.driver.client import Client

import sql
from analytics import rate_cards
from analytics.rollups import plan
from analytics.rollups.plan import NOTHING, Day, Held, Run
from analytics.rollups.sources import EARLIEST, reach


class RollupContested(RuntimeError):
    """The cells beside a table are not the attempts that were counted; nothing was swapped."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """How many partitions of each rollup were swapped."""

    hours: int = 0
    days: int = 0
    totals: int = 0
    months: int = 0

    def __bool__(self) -> bool:
        return bool(self.hours or self.days or self.totals or self.months)


def catch_up(client: Client, *, now: datetime, whole: bool = True) -> Rebuilt:
    """Make the rollups what the facts say of all hours, days and months that are closed at `now`.

    `whole` looks at every day there is, which reads one column of all facts; else it looks at what began since
    yesterday, or since the rollups end. Raises DatabaseError from the store, RollupContested.
    """
    since = EARLIEST if whole else plan.stale_since(now, reach(client).days_until)
    since = since.replace(day=1, hour=0)
    until = plan.closed(now)
    cards = rate_cards.book_of(sql.fetch(client, "rate_card_current")).cards
    days = _known(client, since, until)
    marks = {day.day: plan.mark(cards, day.day, day.replays) for day in days}
    hours = plan.stale_hours(days, marks, now)
    for run in plan.runs(hours, marks):
        _hours(client, run, until)
    by_month = plan.stale_days(days, marks, now)
    for month, stale in by_month.items():
        kept = [day for day in days if day.day.replace(day=1) == month and day not in stale]
        _days(client, month, plan.runs(stale, marks), kept)
    if by_month:
        days = _known(client, since, until)
    totals = plan.stale_totals(days)
    for month in totals:
        _totals(client, month, sum(day.days.attempts for day in days if day.day.replace(day=1) == month))
    months = plan.stale_months(days, _months(client), now)
    for month, held in months.items():
        _month(client, month, held)
    return Rebuilt(hours=len(hours), days=len(by_month), totals=len(totals), months=len(months))


def _known(client: Client, since: datetime, until: datetime) -> list[Day]:
    """Every day that the facts or a rollup know of, oldest first."""
    facts = {row[0]: Held(*row[1:]) for row in sql.fetch(client, "rollup_fact_days", since=since, until=until).rows()}
    frame = sql.fetch(client, "rollup_days_built", since=since, until=until)
    built = {row[0]: [Held(*row[at : at + 3]) for at in (1, 4, 7)] for row in frame.rows()}
    replays = dict(sql.fetch(client, "rollup_replays", since=since, until=until).iter_rows())
    found = []
    for day in sorted(facts.keys() | built.keys()):
        hours, whole_days, totals = built.get(day, [NOTHING] * 3)
        found.append(Day(day, facts.get(day, NOTHING), hours, whole_days, totals, replays.get(day, 0)))
    return found


def _months(client: Client) -> dict[date, Held]:
    return {row[0]: Held(*row[1:]) for row in sql.fetch(client, "rollup_months_built").rows()}


def _hours(client: Client, run: Run, closed: datetime) -> None:
    until = min(run.until, closed)
    sql.execute(client, "rollup_clear", next="rollup_hours_next")
    _build_from_facts(client, "rollup_hours_next", "hour", run.since, until, run.rated_by)
    _check(client, "rollup_hours_next", run.attempts, _facts(client, run.since, until))
    for day in run.days:
        sql.execute(client, "rollup_swap_hours", partition=day.day)


def _days(client: Client, month: date, runs: Sequence[Run], kept: Sequence[Day]) -> None:
    """The days that are right are copied."""
    since, until = plan.midnight(month), plan.midnight(plan.next_month(month))
    stale = [day.day for run in runs for day in run.days]
    low = high = sum(day.days.attempts for day in kept)
    sql.execute(client, "rollup_clear", next="rollup_days_next")
    sql.execute(client, "rollup_keep", since=since, until=until, days=stale)
    for run in runs:
        _build_from_facts(client, "rollup_days_next", "day", run.since, run.until, run.rated_by)
        low += run.attempts
        high += _facts(client, run.since, run.until)
    sql.execute(client, "rollup_merge", next="rollup_days_next")
    _check(client, "rollup_days_next", low, high)
    sql.execute(client, "rollup_swap_days", partition=_partition(month))


def _totals(client: Client, month: date, wanted: int) -> None:
    since, until = plan.midnight(month), plan.midnight(plan.next_month(month))
    sql.execute(client, "rollup_clear", next="rollup_totals_next")
    sql.execute(client, "rollup_build_totals", since=since, until=until)
    _check(client, "rollup_totals_next", wanted, wanted)
    sql.execute(client, "rollup_swap_totals", partition=_partition(month))


def _month(client: Client, month: date, wanted: Held) -> None:
    since, until = plan.midnight(month), plan.midnight(plan.next_month(month))
    sql.execute(client, "rollup_clear", next="rollup_months_next")
    sql.execute(client, "rollup_build_month", since=since, until=until, rated_by=wanted.rated_by)
    _check(client, "rollup_months_next", wanted.attempts, wanted.attempts)
    sql.execute(client, "rollup_swap_months", partition=_partition(month))


def _build_from_facts(client: Client, into: str, grain: str, since: datetime, until: datetime, rated_by: int) -> None:
    sql.execute(client, "rollup_build_facts", next=into, grain=grain, since=since, until=until, rated_by=rated_by)


def _facts(client: Client, since: datetime, until: datetime) -> int:
    frame = sql.fetch(client, "rollup_fact_days", since=since, until=until)
    return int(frame["attempts"].sum())


def _check(client: Client, table: str, low: int, high: int) -> None:
    staged = int(sql.fetch(client, "rollup_staged", next=table).item())
    if not low <= staged <= high:
        raise RollupContested(f"{table} holds {staged} attempts, not {low} to {high}: does a second worker write it?")


def _partition(month: date) -> int:
    return month.year * 100 + month.month
