"""Asks the store whether anything landed twice. It reports; it never repairs."""

import polars as pl
from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.client import Client

import sql
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
