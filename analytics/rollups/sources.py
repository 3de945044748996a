"""Which rollups and which facts answer for a window. Pure, but for `reach` and its async twin, which ask the store.

The slices of a window tile it: each instant is answered by one of them, whatever the rollups hold, so what is not
rolled up yet (the open hour above all) is read from the facts and nothing is counted twice.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

import polars as pl
from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.client import Client

import sql
from analytics.windows import Window

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
"""What began before is in no rollup: a clock that was never set, and cheap to read."""


class Grain(StrEnum):
    """The coarsest cells that a question can use."""

    MONTH = "rollup_months"
    """It asks for no days."""
    DAY = "rollup_days"
    TOTAL = "rollup_totals"
    """Days, and no tenant is told from another."""


@dataclass(frozen=True, slots=True)
class Reach:
    """Up to where each rollup stands for the facts, exclusive; None = it holds nothing."""

    hours_since: datetime | None = None
    """Hours are kept for some weeks only."""
    hours_until: datetime | None = None
    days_until: datetime | None = None
    totals_until: datetime | None = None
    months_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Slice:
    """A part of a window and the table of cells that answers for it; None = the facts do."""

    cells: str | None
    since: datetime
    until: datetime


def reach(client: Client) -> Reach:
    """What the rollups of this store hold now."""
    return _reach(sql.fetch(client, "rollup_reach"))


async def areach(client: AsyncClient) -> Reach:
    """As reach."""
    return _reach(await sql.afetch(client, "rollup_reach"))


def _reach(frame: pl.DataFrame) -> Reach:
    held = {row["rollup"]: row for row in frame.filter(pl.col("cells") > 0).iter_rows(named=True)}
    last: dict[str, datetime] = {rollup: row["last"] for rollup, row in held.items()}
    return Reach(
        hours_since=day_of(held["hours"]["first"]) if "hours" in held else None,
        hours_until=last["hours"] + HOUR if "hours" in held else None,
        days_until=last["days"] + DAY if "days" in held else None,
        totals_until=last["totals"] + DAY if "totals" in held else None,
        months_until=month_after(last["months"]) if "months" in held else None,
    )


def slices(window: Window, reach: Reach, grain: Grain) -> tuple[Slice, ...]:
    """The parts of the window, in their order, each with the coarsest cells that are whole within it."""
    return tuple(part for part in _whole(window, reach, grain) if part.since < part.until)


def _whole(window: Window, reach: Reach, grain: Grain) -> Iterator[Slice]:
    reached = reach.totals_until if grain is Grain.TOTAL else reach.days_until
    since = max(_up(window.since, day_of, DAY), EARLIEST)
    until = min(day_of(window.until), reached or since)
    if since >= until:
        yield from _fine(window.since, window.until, reach)
        return
    yield from _fine(window.since, since, reach)
    first = since if since == month_of(since) else month_after(since)
    last = min(month_of(until), reach.months_until or first)
    if grain is Grain.MONTH and first < last:
        yield Slice(Grain.DAY, since, first)
        yield Slice(Grain.MONTH, first, last)
        yield Slice(Grain.DAY, last, until)
    else:
        yield Slice(Grain.DAY if grain is Grain.MONTH else grain, since, until)
    yield from _fine(until, window.until, reach)


def _fine(since: datetime, until: datetime, reach: Reach) -> Iterator[Slice]:
    """Hours where they are whole and kept, and the facts around them."""
    first = max(_up(since, _hour_of, HOUR), reach.hours_since or until)
    last = min(_hour_of(until), reach.hours_until or first)
    if first >= last:
        yield Slice(None, since, until)
        return
    yield Slice(None, since, first)
    yield Slice("rollup_hours", first, last)
    yield Slice(None, last, until)


def day_of(instant: datetime) -> datetime:
    """The start of its UTC day."""
    return instant.replace(hour=0, minute=0, second=0, microsecond=0)


def month_of(instant: datetime) -> datetime:
    """The start of its UTC month."""
    return day_of(instant).replace(day=1)


def month_after(instant: datetime) -> datetime:
    """The start of the UTC month after its own."""
    return month_of(month_of(instant) + timedelta(days=32))


def _hour_of(instant: datetime) -> datetime:
    return instant.replace(minute=0, second=0, microsecond=0)


def _up(instant: datetime, floor: Callable[[datetime], datetime], step: timedelta) -> datetime:
    down = floor(instant)
    return down if down == instant else down + step
