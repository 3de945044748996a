"""What was spent, as frames: by day and fallback depth, by alias and tenant, by all four, and the figures of a window.

Every total says what it leaves out. `cost_usd` is the metered cost: attempts whose usage the vendor itself reported and
whose prices are known. Beside it stand `unmeasured` (attempts that may be billed and have no final usage), their
`partial_cost_usd` (running figures at the card's price: a floor, never metered) and `unpriced` (attempts with usage and
no price). Where either count is not zero, `is_floor` is true and the total is a lower bound.

Each function has an async twin, named with a leading `a`, for the dashboards.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

import polars as pl
from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.client import Client

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
    raise NotImplementedError


async def akpis(client: AsyncClient, window: Window, filters: Filters = ALL) -> Kpis:
    """As kpis."""
    raise NotImplementedError


def by_day_depth(client: Client, window: Window, filters: Filters = ALL) -> pl.DataFrame:
    """One row per UTC day and fallback depth with traffic, sorted by both.

    day Date, fallback_depth UInt8, then the measures (MEASURES below). Days without traffic have no row.
    """
    raise NotImplementedError


async def aby_day_depth(client: AsyncClient, window: Window, filters: Filters = ALL) -> pl.DataFrame:
    """As by_day_depth."""
    raise NotImplementedError


def by_alias_tenant(client: Client, window: Window, filters: Filters = ALL) -> pl.DataFrame:
    """One row per alias and tenant with traffic, sorted by both: alias String, tenant String, then the measures."""
    raise NotImplementedError


async def aby_alias_tenant(client: AsyncClient, window: Window, filters: Filters = ALL) -> pl.DataFrame:
    """As by_alias_tenant."""
    raise NotImplementedError


def breakdown(client: Client, window: Window, filters: Filters = ALL) -> pl.DataFrame:
    """One row per alias, tenant, fallback depth and UTC day with traffic, sorted so: the finest table, for the CSV.

    alias String, tenant String, fallback_depth UInt8, day Date, then the measures.
    """
    raise NotImplementedError


async def abreakdown(client: AsyncClient, window: Window, filters: Filters = ALL) -> pl.DataFrame:
    """As breakdown."""
    raise NotImplementedError


def choices(client: Client, window: Window) -> Choices:
    """The tenants, aliases, providers and accounts with traffic in the window."""
    raise NotImplementedError


async def achoices(client: AsyncClient, window: Window) -> Choices:
    """As choices."""
    raise NotImplementedError
