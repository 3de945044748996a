"""The tables of the Spend page, from the frames that analytics answers. The screen and the CSV routes share them."""

from __future__ import annotations

from decimal import Decimal

import polars as pl

from analytics.reconciliation.variance import total as total_of
from dashboards import theme
from dashboards.formats import Style
from dashboards.tables import Column, Kind, Row, Table
from dashboards.vocabulary import TOKEN_CLASSES

COST = Column("cost_usd", "Spend", Kind.MONEY, "Metered: usage the vendor itself reported, at the card in force.")
REQUESTS = Column(
    "requests",
    "Requests",
    Kind.COUNT,
    "What clients asked, each where it was tried first.",
)
ATTEMPTS = Column("attempts", "Attempts", Kind.COUNT, "Calls to a vendor, each of which it may bill.")
UNMEASURED = Column(
    "unmeasured",
    "Not measured",
    Kind.COUNT,
    "Attempts that may be billed and whose final usage never arrived; they are not in the spend.",
)
UNPRICED = Column(
    "unpriced", "No price", Kind.COUNT, "Attempts with usage that no rate card prices; they are not in the spend."
)
TOKENS = tuple(Column(code, name, Kind.TOKENS, f"{name} tokens") for code, name in TOKEN_CLASSES.items())

_MILLIONTH = Decimal("0.000001")

BY_ALIAS_TENANT = (
    Column("alias", "Alias", Kind.CODE),
    Column("tenant", "Tenant", Kind.CODE),
    COST,
    Column("share", "Share", Kind.SHARE, "Of the spend shown."),
    REQUESTS,
    ATTEMPTS,
    *TOKENS,
    UNMEASURED,
    UNPRICED,
)
BY_DAY = (
    Column("day", "Day (UTC)", Kind.DAY),
    Column("fallback_depth", "Depth", Kind.COUNT, "0 is the target the alias names first."),
    Column("choice", "Which choice", Kind.TEXT),
    COST,
    ATTEMPTS,
    UNMEASURED,
    UNPRICED,
)


def by_alias_tenant(frame: pl.DataFrame) -> Table:
    """The dearest first; share is of the total shown. `frame` as analytics.spend.by_alias_tenant."""
    total = total_of(frame["cost_usd"].drop_nulls())
    rows = [{**row, "share": _share(row["cost_usd"], total)} for row in frame.iter_rows(named=True)]
    rows.sort(key=lambda row: (-(row["cost_usd"] or 0), row["alias"], row["tenant"]))
    foot = {**_foot(frame, "alias", total), "share": _share(total, total)}
    return Table("spend_by_alias_tenant", BY_ALIAS_TENANT, rows, foot, Style.fitting(total))


def by_day(frame: pl.DataFrame) -> Table:
    """A row per day and depth with traffic. `frame` as analytics.spend.by_day_depth."""
    rows = [{**row, "choice": theme.depth(row["fallback_depth"]).name} for row in frame.iter_rows(named=True)]
    total = total_of(frame["cost_usd"].drop_nulls())
    return Table("spend_by_day", BY_DAY, rows, _foot(frame, "day", total), Style.fitting(total))


def _foot(frame: pl.DataFrame, first: str, total: Decimal) -> Row:
    counts = (name for name, kind in frame.schema.items() if kind.is_integer() and name != "fallback_depth")
    return {first: "Total", "cost_usd": total, **{name: int(frame[name].sum()) for name in counts}}


def _share(part: Decimal | None, whole: Decimal) -> Decimal | None:
    """To a millionth; None, which is shown as unknown, where there is no spend to have a share of."""
    return (part / whole).quantize(_MILLIONTH) if part is not None and whole else None
