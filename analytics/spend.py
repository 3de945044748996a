"""What was spent, as frames: by day and fallback depth, by alias and tenant, by all four, and the figures of a window.

Every total says what it leaves out. `cost_usd` is the metered cost: attempts whose usage the vendor itself reported and
whose prices are known. Beside it stand `unmeasured` (attempts that may be billed and have no final usage), their
`partial_cost_usd` (running figures at the card's price: a floor, never metered) and `unpriced` (attempts with usage and
no price). Where either count is not zero, `is_floor` is true and the total is a lower bound.

The measures of every frame, after its keys: requests, attempts (those that were sent), input_uncached, cache_read,
cache_write_5m, cache_write_1h, output, reasoning (the vendor's own final counts, disjoint), cost_usd and
partial_cost_usd (Decimal), unmeasured, unpriced (counts), is_floor (Boolean). All of them add up over rows: a request
is counted once, in the row of its first attempt.

Answers are put together of rollups and, where there are none yet, of facts (analytics.rollups): that changes no digit.

Each function has an async twin, named with a leading `a`, for the dashboards.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

import polars as pl
from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.client import Client

import sql
from analytics.rollups import Grain, Question, aanswers, answers
from analytics.windows import Window
from gateway.domain.usage import TokenClass

MEASURES = (
    "requests",
    "attempts",
    *TokenClass,
    "cost_usd",
    "partial_cost_usd",
    "unmeasured",
    "unpriced",
)
"""What every frame says of a row, but for is_floor."""


@dataclass(frozen=True, slots=True)
class Filters:
    """Which attempts to look at; an empty tuple means all."""

    tenants: Sequence[str] = ()
    aliases: Sequence[str] = ()
    providers: Sequence[str] = ()
    accounts: Sequence[str] = ()

    def params(self) -> dict[str, object]:
        """As statements take them."""
        return {
            "tenants": list(self.tenants),
            "aliases": list(self.aliases),
            "providers": list(self.providers),
            "accounts": list(self.accounts),
        }


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
    return Kpis(*map(_as_figures, answers(client, _figures(filters), (window, window.previous()))))


async def akpis(client: AsyncClient, window: Window, filters: Filters = ALL) -> Kpis:
    """As kpis."""
    return Kpis(*map(_as_figures, await aanswers(client, _figures(filters), (window, window.previous()))))


def by_day_depth(client: Client, window: Window, filters: Filters = ALL) -> pl.DataFrame:
    """One row per UTC day and fallback depth with traffic, sorted by both: day Date, fallback_depth, the measures."""
    (frames,) = answers(client, _by_day_depth(filters), (window,))
    return _rows(frames, "day", "fallback_depth")


async def aby_day_depth(client: AsyncClient, window: Window, filters: Filters = ALL) -> pl.DataFrame:
    """As by_day_depth."""
    (frames,) = await aanswers(client, _by_day_depth(filters), (window,))
    return _rows(frames, "day", "fallback_depth")


def by_alias_tenant(client: Client, window: Window, filters: Filters = ALL) -> pl.DataFrame:
    """One row per alias and tenant with traffic, sorted by both: alias, tenant, the measures."""
    (frames,) = answers(client, _spend(sql.load("spend_by_alias_tenant"), Grain.MONTH, filters), (window,))
    return _rows(frames, "alias", "tenant")


async def aby_alias_tenant(client: AsyncClient, window: Window, filters: Filters = ALL) -> pl.DataFrame:
    """As by_alias_tenant."""
    (frames,) = await aanswers(client, _spend(sql.load("spend_by_alias_tenant"), Grain.MONTH, filters), (window,))
    return _rows(frames, "alias", "tenant")


def breakdown(client: Client, window: Window, filters: Filters = ALL) -> pl.DataFrame:
    """One row per alias, tenant, fallback depth and UTC day with traffic, sorted so: the finest table, for a CSV.

    alias, tenant, fallback_depth, day Date, the measures.
    """
    (frames,) = answers(client, _spend(sql.load("spend_breakdown"), Grain.DAY, filters), (window,))
    return _rows(frames, "alias", "tenant", "fallback_depth", "day")


async def abreakdown(client: AsyncClient, window: Window, filters: Filters = ALL) -> pl.DataFrame:
    """As breakdown."""
    (frames,) = await aanswers(client, _spend(sql.load("spend_breakdown"), Grain.DAY, filters), (window,))
    return _rows(frames, "alias", "tenant", "fallback_depth", "day")


def choices(client: Client, window: Window) -> Choices:
    """The tenants, aliases, providers and accounts with traffic in the window."""
    (frames,) = answers(client, _choices_of(), (window,))
    return _choices(frames)


async def achoices(client: AsyncClient, window: Window) -> Choices:
    """As choices."""
    (frames,) = await aanswers(client, _choices_of(), (window,))
    return _choices(frames)


def _choices_of() -> Question:
    return Question(sql.load("spend_choices"), sql.load("spend_choices_open"), Grain.MONTH, {})


def _figures(filters: Filters) -> Question:
    return _spend(sql.load("spend_figures"), Grain.MONTH if filters.tenants else Grain.TOTAL, filters)


def _by_day_depth(filters: Filters) -> Question:
    return _spend(sql.load("spend_by_day_depth"), Grain.DAY if filters.tenants else Grain.TOTAL, filters)


def _spend(of_cells: sql.Statement, grain: Grain, filters: Filters) -> Question:
    return Question(of_cells, sql.load("spend_open"), grain, filters.params())


def _rows(frames: Iterable[pl.DataFrame], *keys: str) -> pl.DataFrame:
    """Slices may know the same keys, so their rows are summed."""
    rows = pl.concat([frame.select(*keys, *MEASURES) for frame in frames])
    summed = rows.group_by(keys).agg(pl.all().sum()).sort(keys)
    return summed.with_columns(is_floor=(pl.col("unmeasured") + pl.col("unpriced")) > 0)


def _as_figures(frames: Iterable[pl.DataFrame]) -> Figures:
    measures = (*MEASURES, "fallback_cost_usd", "cache_saving_usd", "cancelled")
    row = pl.concat([frame.select(measures) for frame in frames]).sum().row(0, named=True)
    return Figures(
        cost_usd=row["cost_usd"],
        fallback_cost_usd=row["fallback_cost_usd"],
        cache_saving_usd=row["cache_saving_usd"],
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


def _choices(frames: Iterable[pl.DataFrame]) -> Choices:
    names = ("tenants", "aliases", "providers", "accounts")
    rows = pl.concat(frame.select(names) for frame in frames)
    return Choices(*(tuple(rows[name].explode().drop_nulls().unique().sort()) for name in names))
