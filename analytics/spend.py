"""What was spent, as frames: by day and fallback depth, by alias and tenant, by all four, and the figures of a window.

Every total says what it leaves out. `cost_usd` is the metered cost: attempts whose usage the vendor itself reported and
whose prices are known. Beside it stand `unmeasured` (attempts that may be billed and have no final usage), their
`partial_cost_usd` (running figures at the card's price: a floor, never metered) and `unpriced` (attempts with usage and
no price). Where either count is not zero, `is_floor` is true and the total is a lower bound.

The measures of every frame, after its keys: requests, attempts (those that were sent), input_uncached, cache_read,
cache_write_5m, cache_write_1h, output, reasoning (the vendor's own final counts, disjoint), cost_usd and
partial_cost_usd (Decimal), unmeasured, unpriced (counts), is_floor (Boolean). A request whose attempts fall into
several rows is counted in each, so requests do not add up over rows; all else does.

Each function has an async twin, named with a leading `a`, for the dashboards.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

import polars as pl
from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.client import Client

import sql
from analytics.windows import Window


@dataclass(frozen=True, slots=True)
class Filters:
    """Which attempts to look at; an empty tuple means all."""

    tenants: Sequence[str] = ()
    aliases: Sequence[str] = ()
    providers: Sequence[str] = ()
    accounts: Sequence[str] = ()


ALL = Filters()


@dataclass(frozen=True, slots=True)
class Figures:
    """The totals of one window. Money in USD; tokens are the vendor's own final counts."""

    cost_usd: Decimal
    fallback_cost_usd: Decimal
    """The part of cost_usd spent at fallback depth 1 and deeper."""
    cache_saving_usd: Decimal
    """What cached input tokens would have cost more at the price of uncached ones, on the same cards."""
    partial_cost_usd: Decimal
    requests: int
    attempts: int
    input_tokens: int
    """All input tokens, the cached ones included."""
    cache_read_tokens: int
    output_tokens: int
    """All output tokens, reasoning included."""
    cancelled: int
    unmeasured: int
    unpriced: int

    @property
    def is_floor(self) -> bool:
        """Whether cost_usd leaves something out that may be billed."""
        return bool(self.unmeasured or self.unpriced)


@dataclass(frozen=True, slots=True)
class Kpis:
    """The figures of a window beside those of the one before."""

    current: Figures
    previous: Figures


@dataclass(frozen=True, slots=True)
class Choices:
    """The values that occur in a window, sorted: what a filter can offer."""

    tenants: tuple[str, ...]
    aliases: tuple[str, ...]
    providers: tuple[str, ...]
    accounts: tuple[str, ...]


def kpis(client: Client, window: Window, filters: Filters = ALL) -> Kpis:
    """The figures of the window and of `window.previous()`."""
    return Kpis(*(_figures(client, each, filters) for each in (window, window.previous())))


async def akpis(client: AsyncClient, window: Window, filters: Filters = ALL) -> Kpis:
    """As kpis."""
    current, previous = [await _afigures(client, each, filters) for each in (window, window.previous())]
    return Kpis(current, previous)


def by_day_depth(client: Client, window: Window, filters: Filters = ALL) -> pl.DataFrame:
    """One row per UTC day and fallback depth with traffic, sorted by both: day Date, fallback_depth, the measures."""
    return _with_floor(sql.fetch(client, "spend_by_day_depth", **_params(window, filters)))


async def aby_day_depth(client: AsyncClient, window: Window, filters: Filters = ALL) -> pl.DataFrame:
    """As by_day_depth."""
    return _with_floor(await sql.afetch(client, "spend_by_day_depth", **_params(window, filters)))


def by_alias_tenant(client: Client, window: Window, filters: Filters = ALL) -> pl.DataFrame:
    """One row per alias and tenant with traffic, sorted by both: alias, tenant, the measures."""
    return _with_floor(sql.fetch(client, "spend_by_alias_tenant", **_params(window, filters)))


async def aby_alias_tenant(client: AsyncClient, window: Window, filters: Filters = ALL) -> pl.DataFrame:
    """As by_alias_tenant."""
    return _with_floor(await sql.afetch(client, "spend_by_alias_tenant", **_params(window, filters)))


def breakdown(client: Client, window: Window, filters: Filters = ALL) -> pl.DataFrame:
    """One row per alias, tenant, fallback depth and UTC day with traffic, sorted so: the finest table, for a CSV.

    alias, tenant, fallback_depth, day Date, the measures.
    """
    return _with_floor(sql.fetch(client, "spend_breakdown", **_params(window, filters)))


async def abreakdown(client: AsyncClient, window: Window, filters: Filters = ALL) -> pl.DataFrame:
    """As breakdown."""
    return _with_floor(await sql.afetch(client, "spend_breakdown", **_params(window, filters)))


def choices(client: Client, window: Window) -> Choices:
    """The tenants, aliases, providers and accounts with traffic in the window."""
    return _choices(sql.fetch(client, "spend_choices", since=window.since, until=window.until))


async def achoices(client: AsyncClient, window: Window) -> Choices:
    """As choices."""
    return _choices(await sql.afetch(client, "spend_choices", since=window.since, until=window.until))


def _figures(client: Client, window: Window, filters: Filters) -> Figures:
    params = _params(window, filters)
    return _as_figures(sql.fetch(client, "spend_figures", **params), sql.fetch(client, "spend_cache_saving", **params))


async def _afigures(client: AsyncClient, window: Window, filters: Filters) -> Figures:
    params = _params(window, filters)
    totals = await sql.afetch(client, "spend_figures", **params)
    return _as_figures(totals, await sql.afetch(client, "spend_cache_saving", **params))


def _params(window: Window, filters: Filters) -> dict[str, object]:
    return {
        "since": window.since,
        "until": window.until,
        "tenants": list(filters.tenants),
        "aliases": list(filters.aliases),
        "providers": list(filters.providers),
        "accounts": list(filters.accounts),
    }


def _with_floor(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(is_floor=(pl.col("unmeasured") + pl.col("unpriced")) > 0)


def _as_figures(totals: pl.DataFrame, saving: pl.DataFrame) -> Figures:
    row = totals.row(0, named=True)
    return Figures(
        cost_usd=row["cost_usd"],
        fallback_cost_usd=row["fallback_cost_usd"],
        cache_saving_usd=saving["cache_saving_usd"][0],
        partial_cost_usd=row["partial_cost_usd"],
        requests=row["requests"],
        attempts=row["attempts"],
        input_tokens=row["input_uncached"] + row["cache_read"] + row["cache_write_5m"] + row["cache_write_1h"],
        cache_read_tokens=row["cache_read"],
        output_tokens=row["output"] + row["reasoning"],
        cancelled=row["cancelled"],
        unmeasured=row["unmeasured"],
        unpriced=row["unpriced"],
    )


def _choices(frame: pl.DataFrame) -> Choices:
    row = frame.row(0, named=True)
    return Choices(*(tuple(row[name]) for name in ("tenants", "aliases", "providers", "accounts")))
