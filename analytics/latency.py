"""How long attempts that ended well took: quantiles by alias or UTC day, from the histograms of the rollups.

A quantile is the middle of its bucket, which is within 4.5 % of every duration in it between 1 ms and 17 minutes; so it
is that near to the exact one, whatever the window. Shorter and longer ones are in the first and the last bucket.
"""

from collections.abc import Iterable
from enum import StrEnum

import polars as pl
from clickhouse_connect.driver.client import Client

import sql
from analytics.rollups import Grain, Slice, reach, slices
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
    parts = slices(window, reach(client), Grain.DAY if filters.tenants else Grain.TOTAL)
    return of_buckets(sql.fetch(client, "latency_buckets", by=by, **_params(part, filters)) for part in parts)


def of_buckets(frames: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """The quantiles of all frames of latency_buckets together."""
    keys = ["key", "measure"]
    rows = pl.concat(frames).group_by(*keys, "bucket").agg(pl.col("attempts").sum()).sort(*keys, "bucket")
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


def _params(part: Slice, filters: Filters) -> dict[str, object]:
    return {
        "cells": part.cells or "rollup_facts",
        "since": part.since,
        "until": part.until,
        "tenants": list(filters.tenants),
        "aliases": list(filters.aliases),
        "providers": list(filters.providers),
        "accounts": list(filters.accounts),
    }
