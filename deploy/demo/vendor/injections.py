"""Which faults are put into an invoice, and where: the names that a vendor's file has for them."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Any


class Fault(StrEnum):
    """What can be wrong with a line, or beside it."""

    DOUBLED_ROW = "doubled_row"
    """Each line of the cell twice."""
    WRONG_PRICE = "wrong_price"
    """The cell's output at `price` per million."""
    UNBILLED = "unbilled"
    """The cell left out."""
    LATE_HOUR = "late_hour"
    """The cell's last hour on the next day's lines."""
    RENAMED = "renamed"
    """The cell under the name `text`."""
    CACHE_AS_INPUT = "cache_as_input"
    """Cached input sold as input."""
    CACHE_TWICE = "cache_twice"
    """Cached input as itself, and as input once more."""
    OTHER_TIER = "other_tier"
    """The cell as tier `text`, output at `price` per million."""
    STRANGE = "strange"
    """A line for the model `text`, which nobody called, of `amount`."""
    TAX = "tax"
    CREDIT = "credit"
    FEE = "fee"
    PURCHASE = "purchase"
    CORRECTION = "correction"
    """`amount` for the day, of a month that was invoiced before."""
    CONVERTED = "converted"
    """The cell to be paid in the currency `text`, at `price` of it for one USD."""
    MARKUP = "markup"
    """`amount` on the cell's first line, for no reason that the invoice gives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Injection:
    """One fault, where, and how much of it."""

    fault: Fault
    day: date
    model: str = ""
    """The snapshot; "" = the fault is of no model."""
    amount: Decimal = Decimal(0)
    price: Decimal = Decimal(0)
    text: str = ""


def parse(raw: Mapping[str, Any]) -> Injection:
    """A fault from plain values; amounts and prices as decimal strings. Raises KeyError or ValueError."""
    unknown = raw.keys() - {field.name for field in fields(Injection)}
    if unknown:
        raise ValueError(f"billing.faults: unknown keys {sorted(unknown)}")
    return Injection(
        fault=Fault(raw["fault"]),
        day=date.fromisoformat(str(raw["day"])),
        model=str(raw.get("model", "")),
        amount=Decimal(str(raw.get("amount", 0))),
        price=Decimal(str(raw.get("price", 0))),
        text=str(raw.get("text", "")),
    )
