"""A table, once: the grid on the screen, the table beside a chart and the CSV are drawn from the same rows.

So a CSV is what the screen shows by construction: same rows, same order, same columns; the screen rounds, the file
has every digit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum

from analytics.rfc4180 import render
from dashboards import formats

Value = str | int | Decimal | date | None
Row = Mapping[str, Value]


class Kind(StrEnum):
    """How a column is written."""

    TEXT = "text"
    CODE = "code"
    STATUS = "status"
    DAY = "day"
    COUNT = "count"
    TOKENS = "tokens"
    MONEY = "money"
    DIFFERENCE = "difference"
    PART = "part"
    PRICE = "price"
    SHARE = "share"


@dataclass(frozen=True, slots=True)
class Column:
    """One column: the key of its value, its heading, how it is written, and a sentence on what it means."""

    key: str
    heading: str
    kind: Kind
    meaning: str = ""

    @property
    def numeric(self) -> bool:
        """Whether it is set to the right and compared as a number."""
        return self.kind not in (Kind.TEXT, Kind.CODE, Kind.STATUS, Kind.DAY)


@dataclass(frozen=True, slots=True)
class Table:
    """Rows in the order shown. `total` is a row of sums for the foot, never part of the CSV."""

    name: str
    columns: tuple[Column, ...]
    rows: Sequence[Row]
    total: Row | None = None
    style: formats.Style = formats.CENTS

    def text(self, column: Column, value: Value) -> str:
        """The value as the screen shows it. None is `unknown` for numbers and empty for text."""
        if value is None:
            return formats.UNKNOWN if column.numeric else ""
        match column.kind, value:
            case Kind.MONEY, Decimal():
                return self.style.money(value)
            case ((Kind.DIFFERENCE | Kind.PART), Decimal()):
                # A part that is zero is a class that does not occur: a dash lets those that do stand out.
                return self.style.signed(value) if value or column.kind is Kind.DIFFERENCE else "–"
            case Kind.PRICE, Decimal():
                return formats.Style(self.style.currency).money(value * 1_000_000)
            case Kind.SHARE, Decimal():
                return formats.share(value, Decimal(1))
            case ((Kind.COUNT | Kind.TOKENS), int()):
                return formats.count(value)
            case Kind.DAY, date():
                return value.isoformat()
        return str(value)


def exact(value: Value) -> str:
    """The value with every digit, as a CSV and a test want it. None is empty."""
    return formats.exact(value) if isinstance(value, Decimal) else "" if value is None else str(value)


def csv_bytes(table: Table) -> bytes:
    """The rows as CSV with the columns' keys as its header: RFC 4180, every digit, no cell a formula."""
    keys = [column.key for column in table.columns]
    return render(keys, ([row[key] for key in keys] for row in table.rows))
