"""How long attempts that ended well took: quantiles by alias or UTC day, from the histograms of the rollups.

A quantile is the middle of its bucket, which is within 4.5 % of every duration in it between 1 ms and 17 minutes; so it
is that near to the exact one, whatever the window. Shorter and longer ones are in the first and the last bucket.
"""

from collections.abc import Iterable
from enum import StrEnum

import polars as pl
from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.client import Client

import sql
from analytics.rollups import Grain, Question, aanswers, answers
from analytics.spend import ALL, Filters
from analytics.windows import Window

QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
BUCKETS_AN_OCTAVE = 8


class By(StrEnum):
    """What a row is of."""

    ALIAS = "alias"
    DAY = "day"


def quantiles(client: Client, window: Window, by: By, filters: Filters = ALL) -> pl.DataFrame:
    """A row per alias or day and measure with traffic, sorted by both.

    key (the alias, or the day as text), measure (duration: the whole attempt; first_token: until the first token of a
    stream), attempts, p50, p95, p99 (seconds, Float64).
    """
    (frames,) = answers(client, _question(by, filters), (window,))
    return of_buckets(frames)


async def aquantiles(client: AsyncClient, window: Window, by: By, filters: Filters = ALL) -> pl.DataFrame:
    """As quantiles."""
    (frames,) = await aanswers(client, _question(by, filters), (window,))
    return of_buckets(frames)


def _question(by: By, filters: Filters) -> Question:
    """Of one tenant, its months are few; of all together, the days without tenants are."""
    of_tenants = Grain.DAY if by is By.DAY else Grain.MONTH
    grain = of_tenants if filters.tenants else Grain.TOTAL
    return Question(sql.load("latency_buckets"), sql.load("latency_open"), grain, {"by": by, **filters.params()})


def of_buckets(frames: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """The quantiles of all frames of latency_buckets together."""
    keys = ["key", "measure"]
    rows = (
        pl.concat(frame.select(*keys, "bucket", "attempts") for frame in frames)
        .group_by(*keys, "bucket")
        .agg(pl.col("attempts").sum())
        .sort(*keys, "bucket")
    )
    below = pl.col("attempts").cum_sum().over(keys)
    total = pl.col("attempts").sum().over(keys)
    found = {
        name: pl.col("seconds").filter(pl.col("below") >= pl.col("total") * share).first()
        for name, share in QUANTILES.items()
    }
    middle = (2.0 ** ((pl.col("bucket").cast(pl.Float64) - 0.5) / BUCKETS_AN_OCTAVE)) / 1000
    return (
        rows.with_columns(below=below, total=total, seconds=middle)
        .group_by(keys)
        .agg(pl.col("attempts").sum(), **found)
        .sort(keys)
    )
