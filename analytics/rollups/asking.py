"""Asks the store for slices of windows: cells where rollups answer, facts where they do not, all facts at once.

Reading facts costs the store more than reading cells, most of it to find the parts that they are in and to plan how
they are rated. So one statement reads all facts of a question, and only of partitions that can hold them: facts lie by
the day they were received, and of a closed day the rollups know on which days its facts were.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

import polars as pl
from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.client import Client

import sql
from analytics.rollups.sources import DAY, EARLIEST, Grain, Reach, Slice, areach, day_of, reach, slices
from analytics.windows import Window

SLICES_MAX = 4
"""Of facts, in one statement."""
AHEAD_MAX = DAY
"""How far a clock may be ahead and its spans be found while their day is open; in a closed one they always are."""
EVER = (datetime(1970, 1, 1, tzinfo=UTC), datetime(2262, 1, 1, tzinfo=UTC))
"""Any instant at which a collector may have received a span."""

Received = Mapping[date, tuple[date, date]]
"""Of closed UTC days, the first and the last UTC day on which their attempts were received."""


@dataclass(frozen=True, slots=True)
class Question:
    """Two statements that give the same columns: one reads cells of a slice, the other facts of several."""

    of_cells: sql.Statement
    of_facts: sql.Statement
    grain: Grain
    params: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class _Ask:
    """A statement, and which window each slice that it asks for is of."""

    statement: sql.Statement
    params: Mapping[str, object]
    windows: tuple[int, ...]


def answers(client: Client, question: Question, windows: Sequence[Window]) -> list[list[pl.DataFrame]]:
    """For each window the frames whose rows together answer for it; several rows may be of one key.

    Raises DatabaseError from the store.
    """
    reached = reach(client)
    parts = [slices(window, reached, question.grain) for window in windows]
    days = _days_closed(parts, reached)
    received = _received(sql.fetch(client, "rollup_received", days=days)) if days else {}
    asks = _asks(question, parts, reached, received)
    return _by_window(len(windows), asks, [sql.fetch(client, ask.statement.name, **ask.params) for ask in asks])


async def aanswers(client: AsyncClient, question: Question, windows: Sequence[Window]) -> list[list[pl.DataFrame]]:
    """As answers; the statements run at the same time."""
    reached = await areach(client)
    parts = [slices(window, reached, question.grain) for window in windows]
    days = _days_closed(parts, reached)
    received = _received(await sql.afetch(client, "rollup_received", days=days)) if days else {}
    asks = _asks(question, parts, reached, received)
    frames = await asyncio.gather(*(sql.afetch(client, ask.statement.name, **ask.params) for ask in asks))
    return _by_window(len(windows), asks, frames)


def received_within(part: Slice, reached: Reach, received: Received) -> tuple[datetime, datetime]:
    """From when until when the facts of a slice were received, and those told later of them, a day before or after.

    Of closed days the rollups know it. Of others, a span is looked for from AHEAD_MAX before the slice on.
    """
    first, last = part.since - DAY, part.until + DAY
    if reached.totals_until is None or reached.hours_until is None or part.since < EARLIEST + DAY:
        return EVER
    if last > max(reached.hours_until, reached.totals_until) + 2 * DAY:
        return EVER
    if part.since >= reached.totals_until:
        return first - AHEAD_MAX, EVER[1]
    known = [received[day] for day in _days(first, min(last, reached.totals_until)) if day in received]
    since = min([first - AHEAD_MAX, *(_midnight(day) for day, _ in known)])
    if last > reached.totals_until:
        return since, EVER[1]
    return since, max([last, *(_midnight(day) + DAY for _, day in known)])


def _days_closed(parts: Iterable[Iterable[Slice]], reached: Reach) -> list[date]:
    """The closed days that facts are asked of, and their neighbours."""
    until = reached.totals_until
    if until is None:
        return []
    of_facts = (part for each in parts for part in each if part.cells is None)
    closed = [part for part in of_facts if EARLIEST + DAY <= part.since < until]
    return sorted({day for part in closed for day in _days(part.since - DAY, min(part.until + DAY, until))})


def _days(since: datetime, until: datetime) -> list[date]:
    """The UTC days that a span of time touches; none if it is empty."""
    first = day_of(since)
    return [(first + number * DAY).date() for number in range(max(0, -((first - until) // DAY)))]


def _asks(question: Question, parts: Sequence[Sequence[Slice]], reached: Reach, received: Received) -> list[_Ask]:
    """A statement for each slice of cells, and then one for every SLICES_MAX of facts."""
    owned = [(window, part) for window, each in enumerate(parts) for part in each]
    cells = [
        _Ask(
            question.of_cells,
            {"cells": part.cells, "since": part.since, "until": part.until, **question.params},
            (window,),
        )
        for window, part in owned
        if part.cells is not None
    ]
    facts = [(window, part) for window, part in owned if part.cells is None]
    chunks = [facts[first : first + SLICES_MAX] for first in range(0, len(facts), SLICES_MAX)]
    for chunk in chunks:
        bounds = _bounds([part for _, part in chunk], reached, received)
        cells.append(_Ask(question.of_facts, {**bounds, **question.params}, tuple(window for window, _ in chunk)))
    return cells


def _bounds(chunk: Sequence[Slice], reached: Reach, received: Received) -> dict[str, object]:
    within = [received_within(part, reached, received) for part in chunk]
    return {
        "since": [part.since for part in chunk],
        "until": [part.until for part in chunk],
        "received_since": [since for since, _ in within],
        "received_until": [until for _, until in within],
    }


def _by_window(windows: int, asks: Sequence[_Ask], frames: Sequence[pl.DataFrame]) -> list[list[pl.DataFrame]]:
    """Rows of facts tell by `slice`, from 1, which of those asked for they are of."""
    found: list[list[pl.DataFrame]] = [[] for _ in range(windows)]
    for ask, frame in zip(asks, frames, strict=True):
        if "slice" not in frame.columns:
            found[ask.windows[0]].append(frame)
            continue
        for window in set(ask.windows):
            mine = [number for number, owner in enumerate(ask.windows, 1) if owner == window]
            found[window].append(frame.filter(pl.col("slice").is_in(mine)))
    return found


def _received(frame: pl.DataFrame) -> Received:
    return {day: (first, last) for day, first, last in frame.iter_rows()}


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
