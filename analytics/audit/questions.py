"""What the store is asked: what landed twice, and where rollups or ledger say something else than the facts."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

import polars as pl
from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.client import Client

import sql
from analytics.rollups import Reach
from analytics.rollups.sources import EARLIEST
from analytics.windows import Window

KINDS = ("attempt_id", "span_key", "response_id", "double_emitter")
"""What is looked for. The first two must never be found; the third is a question to ask of the vendor, the fourth one
to ask of whoever instrumented an application: two spans of theirs report one call (view `double_emitters`)."""
DAY = timedelta(days=1)
KEYS = ("at", "tenant")


def duplicates(client: Client, window: Window) -> pl.DataFrame:
    """One row per UTC hour and kind in which something landed more than once, sorted; no rows is the good answer.

    hour Datetime, kind String (one of KINDS), keys (how many landed more than once), extra (rows too many).
    """
    return sql.fetch(client, "audit_duplicates", since=window.since, until=window.until)


async def aduplicates(client: AsyncClient, window: Window) -> pl.DataFrame:
    """As duplicates."""
    return await sql.afetch(client, "audit_duplicates", since=window.since, until=window.until)


def duplicate_count(client: Client, window: Window) -> int:
    """Rows too many in the window: attempts and spans that landed again. 0 is the promise. Answer ids do not count."""
    found = duplicates(client, window).filter(pl.col("kind").is_in(["attempt_id", "span_key"]))
    return int(found.group_by("hour").agg(pl.col("extra").max())["extra"].sum())


def books(client: Client, window: Window) -> pl.DataFrame:
    """What the collectors told of their ledgers, by hour (Datetime), sender and tenant String ("" = spans name theirs).

    received, stored, duplicate, parked and pending (spans), segments, and wrong (segments that do not add up).
    """
    return sql.fetch(client, "audit_books", since=window.since, until=window.until)


def batch_counts(client: Client, window: Window) -> pl.DataFrame:
    """hour Datetime, batches; how many the collectors' ledgers have. No rows: the store was told of none."""
    return sql.fetch(client, "audit_batch_counts", since=window.since, until=window.until)


def batch_differences(client: Client, window: Window) -> pl.DataFrame:
    """One row per batch of which the store does not have what the ledger says; no rows is the good answer.

    hour Datetime, batch String, known Bool (false = no ledger has it), wanted and held (spans), tenants String. Asked a
    day at a time, and again, by its name, of each batch that a day's edge might have cut.
    """
    frames = [_batches(client, day, []) for day in _days(window)]
    suspects = pl.concat(frames)["batch"].to_list()
    found = _batches(client, window, suspects)
    return found if suspects else found.clear()


class Rollup(NamedTuple):
    """A rollup, what it is made of ("" = the facts), by which grain, and whether of all tenants together."""

    name: str
    made_of: str
    grain: str
    pooled: bool


HOURS, DAYS = Rollup("hours", "", "hour", False), Rollup("days", "", "day", False)
TOTALS, MONTHS = Rollup("totals", "rollup_days", "day", True), Rollup("months", "rollup_days", "month", False)


def rollup_differences(client: Client, window: Window, reach: Reach) -> pl.DataFrame:
    """One row per rollup, moment and tenant of which they are not the facts' sums; no rows is the good answer.

    Hours and days are compared with the facts of the window, which begins with a day; months, and the days of all
    tenants together, with the days, of all there are. What the rollups do not reach is read from the facts anyway, and
    not compared. rollup String (hours, days, totals or months), at Datetime (its start), tenant String, differing
    List(String) (the sums that differ), attempts_wanted and attempts_held, cost_wanted_usd and cost_held_usd (Decimal).
    """
    hours_since = max(window.since, reach.hours_since or EARLIEST)
    asked = (
        (HOURS, hours_since, reach.hours_until),
        (DAYS, window.since, reach.days_until),
        (TOTALS, EARLIEST, reach.totals_until),
        (MONTHS, EARLIEST, reach.months_until),
    )
    frames = [
        _rollup(client, rollup, Window(since, min(until, window.until)))
        for rollup, since, until in asked
        if until is not None and since < min(until, window.until)
    ]
    return pl.concat(frames) if frames else pl.DataFrame()


def sums_that_differ(wanted: pl.DataFrame, held: pl.DataFrame) -> pl.DataFrame:
    """Rows of both by at and tenant where a sum is not the same, with the columns that rollup_differences promises."""
    names = [name for name in held.columns if name not in KEYS]
    both = wanted.cast(held.schema).join(held, on=KEYS, how="full", coalesce=True, suffix="_held")
    both = both.with_columns(
        pl.col(column).fill_null(pl.lit(0).cast(kind)) for column, kind in both.schema.items() if column not in KEYS
    )
    differing = pl.concat_list(
        pl.when(pl.col(name) != pl.col(f"{name}_held")).then(pl.lit(name)) for name in names
    ).list.drop_nulls()
    found = both.with_columns(differing=differing).filter(pl.col("differing").list.len() > 0)
    return found.sort(KEYS).select(
        *(*KEYS, "differing"),
        attempts_wanted=pl.col("attempts"),
        attempts_held=pl.col("attempts_held"),
        cost_wanted_usd=pl.col("cost_usd"),
        cost_held_usd=pl.col("cost_usd_held"),
    )


def _rollup(client: Client, rollup: Rollup, window: Window) -> pl.DataFrame:
    asked = {"grain": rollup.grain, "since": window.since, "until": window.until}
    held = sql.fetch(client, "audit_sums_cells", cells=f"rollup_{rollup.name}", pooled=rollup.pooled, **asked)
    if rollup.made_of:
        wanted = sql.fetch(client, "audit_sums_cells", cells=rollup.made_of, pooled=rollup.pooled, **asked)
    else:
        wanted = sql.fetch(client, "audit_sums_facts", **asked)
    return sums_that_differ(wanted, held).with_columns(rollup=pl.lit(rollup.name))


def _batches(client: Client, window: Window, names: list[str]) -> pl.DataFrame:
    return sql.fetch(client, "audit_batches", since=window.since, until=window.until, batches=names)


def _days(window: Window) -> Iterator[Window]:
    since: datetime = window.since
    while since < window.until:
        yield Window(since, min(since + DAY, window.until))
        since += DAY
