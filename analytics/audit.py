"""Asks the store whether anything landed twice, and whether the rollups say what the facts say.

It reports; it never repairs: the worker rebuilds what is stale of the rollups, and nothing here ever deletes a fact.
"""

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


def rollup_differences(client: Client, window: Window, reach: Reach) -> pl.DataFrame:
    """One row per rollup, moment and tenant of which they are not the facts' sums; no rows is the good answer.

    Hours and days are compared with the facts of the window, which begins with a day; months, and the days of all
    tenants together, with the days, of all there are. What the rollups do not reach is read from the facts anyway, and
    not compared. rollup String (hours, days, totals or months), at Datetime (its start), tenant String, differing
    List(String) (the sums that differ), attempts_wanted and attempts_held, cost_wanted_usd and cost_held_usd (Decimal).
    """
    hours_since = max(window.since, reach.hours_since or EARLIEST)
    asked = [
        (sql.load("audit_rollup_facts"), "hours", "hour", hours_since, reach.hours_until),
        (sql.load("audit_rollup_facts"), "days", "day", window.since, reach.days_until),
        (sql.load("audit_rollup_sums"), "totals", "day", EARLIEST, reach.totals_until),
        (sql.load("audit_rollup_sums"), "months", "month", EARLIEST, reach.months_until),
    ]
    frames = [
        sql.fetch(
            client, query.name, cells=f"rollup_{rollup}", grain=grain, since=since, until=min(until, window.until)
        ).with_columns(rollup=pl.lit(rollup))
        for query, rollup, grain, since, until in asked
        if until is not None and since < until
    ]
    return pl.concat(frames) if frames else pl.DataFrame()
