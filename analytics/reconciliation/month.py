"""A month reconciled from the store: fetch, run the pure core, sum up. The async twin differs in the fetch alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

import polars as pl
from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.client import Client

from analytics.reconciliation.variance import Line, VarianceClass
from analytics.windows import Window


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One account's month. `by_class` holds every class and sums to invoiced minus metered."""

    provider: str
    account: str
    currency: str
    invoiced: Decimal
    metered: Decimal
    by_class: Mapping[VarianceClass, Decimal]
    billed_rows: int
    tolerance: Decimal
    """FOCUS 1.4's rounding tolerance for that many rows: max(100 x 0.01, sqrt(rows) x 0.5 x 0.01)."""
    status: str
    """no_invoice | matched (nothing unexplained) | within_tolerance | unexplained (beyond the tolerance)."""
    invoiced_days: int
    """UTC days of the month that an import covers, with or without charges."""
    unmeasured: int
    """Attempts that may be billed and whose final usage never arrived."""
    unpriced: int
    """Attempts with usage that no card prices: not in `metered`, which is a floor while this is not zero."""
    import_ids: tuple[str, ...]

    @property
    def variance(self) -> Decimal:
        """Invoiced minus metered."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """A month, reconciled."""

    month: str
    window: Window
    lines: tuple[Line, ...]
    accounts: tuple[Account, ...]
    invoiced: Decimal
    metered: Decimal
    by_class: Mapping[VarianceClass, Decimal]
    card_ids: tuple[str, ...]
    """Every card that priced an attempt or explains an amount."""
    import_ids: tuple[str, ...]

    @property
    def variance(self) -> Decimal:
        """Invoiced minus metered; equals the sum of by_class."""
        raise NotImplementedError

    @property
    def unexplained(self) -> Decimal:
        """What the close must not have: the UNEXPLAINED amount, signed."""
        raise NotImplementedError

    def lines_frame(self) -> pl.DataFrame:
        """One row per part of a line (lines without variance have one row with class "").

        provider, account, day Date, model, token_class, invoiced, metered, variance (of the whole line),
        billed_quantity, metered_quantity, unit_price, variance_class, amount (of the part), tokens, evidence.
        """
        raise NotImplementedError


def reconcile_month(client: Client, month: str, *, now: datetime) -> Reconciliation:
    """Reconcile a UTC month such as "2026-11". Raises MonthInvalid for a month that has not begun at `now`."""
    raise NotImplementedError


async def areconcile_month(client: AsyncClient, month: str, *, now: datetime) -> Reconciliation:
    """As reconcile_month."""
    raise NotImplementedError


_ = date
