"""Asks the store whether anything landed twice. It reports; it never repairs."""

from datetime import datetime

import polars as pl
from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.client import Client

from analytics.windows import Window

KINDS = ("attempt_id", "span_key", "response_id")


def duplicates(client: Client, window: Window) -> pl.DataFrame:
    """One row per UTC hour and kind in which something landed more than once, sorted; an empty frame is the good answer.

    hour DateTime, kind String (one of KINDS), keys UInt64 (how many landed more than once), extra UInt64 (rows too many).
    """
    raise NotImplementedError


async def aduplicates(client: AsyncClient, window: Window) -> pl.DataFrame:
    """As duplicates."""
    raise NotImplementedError


def duplicate_count(client: Client, window: Window) -> int:
    """Rows too many in the window: attempts or spans that landed again. 0 is the promise. Response ids do not count."""
    raise NotImplementedError


_ = datetime
