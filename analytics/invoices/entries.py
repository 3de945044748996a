"""What the readers of invoice files yield, and what a whole file amounts to.

A file is read twice: once to check all of it, once to land it. So a file that is wrong on its last line changes
nothing, and its length does not matter.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path

from analytics.invoices import values
from analytics.invoices.errors import InvoiceInvalid
from analytics.reconciliation.variance import OTHER
from gateway.domain.money import EXACT


class Document(StrEnum):
    """What a file is. Each account may have all three for the same days, and they are compared."""

    USAGE = "usage"
    """What the vendor counted, without money."""
    COST = "cost"
    """The vendor's own report of what its usage costs."""
    INVOICE = "invoice"
    """What is to be paid."""


class Category(StrEnum):
    """The kinds of charge, FOCUS's and two that it folds into them."""

    USAGE = "Usage"
    TAX = "Tax"
    CREDIT = "Credit"
    FEE = "Fee"
    PURCHASE = "Purchase"
    REFUND = "Refund"
    ADJUSTMENT = "Adjustment"


@dataclass(frozen=True, slots=True, kw_only=True)
class Billing:
    """Where a row is on an invoice, and in which money."""

    invoice_id: str = ""
    invoice_detail_id: str = ""
    status: str = ""
    """Open, Issued or Voided; "" = not said."""
    correction: bool = False
    """It corrects a period that was invoiced before."""
    currency: str = ""
    """What is to be paid in; "" = the entry's own."""
    amount: Decimal | None = None
    """In that currency; None = the entry's own."""
    pricing_currency: str = ""
    pricing_amount: Decimal | None = None
    fx_rate: Decimal | None = None
    """Billing currency for one of the pricing currency."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Under which conditions a row was priced; "" = the default one, or not said."""

    processing_tier: str = ""
    """batch, flex or priority, or as the vendor says."""
    region: str = ""
    deployment_type: str = ""
    modality: str = ""
    """audio, image or video; "" = text."""
    context_tier: str = ""
    unit_price: Decimal | None = None
    """USD for one token, or other unit."""


DEFAULT_TERMS = Terms()
OWN_MONEY = Billing()


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One row of a file: a charge, or a count of what was used."""

    row: int
    place: str
    """For messages: "line 7", or "page 1, data[0].results[3]"."""
    line_item: str
    model: str
    token_class: str
    reason: str
    quantity: int | None
    quantity_raw: str
    quantity_unit: str
    amount: Decimal
    amount_places: int
    """Decimal places that carry meaning in this amount."""
    is_double: bool
    """The amount is a binary double's print: its own places bound what it can tell."""
    currency: str
    organization: str = ""
    project_id: str = ""
    api_key_id: str = ""
    user_id: str = ""
    category: Category = Category.USAGE
    start: datetime | None = None
    """When what is billed began; None = with its UTC day."""
    end: datetime | None = None
    """Exclusive; None = with its UTC day."""
    terms: Terms = DEFAULT_TERMS
    billing: Billing = OWN_MONEY
    request_id: str = ""
    """The vendor's id of the one request billed; "" = a sum of several."""
    tags: tuple[tuple[str, str], ...] = ()
    """What else the file tells, as names with values: the resource, the workspace, the vendor's own tags."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A row that is not of what is imported; counted under its reason, and never a charge of ours."""

    reason: str


Covered = tuple[date, Entry | LeftOut | None]
"""A day that the file covers, as the vendor counts days, and a row of it; None = the day's bucket is empty."""

Reader = Callable[[Path], Iterator[Covered]]

VOIDED = "Voided"
"""The status of an invoice that its issuer took back: its lines are kept and are not to be paid."""


QUANTITY_MAX = 10**18
"""Tokens that a row may have."""


@dataclass(slots=True)
class Sum:
    """Lines and what they come to."""

    lines: int = 0
    amount: Decimal = Decimal(0)

    def add(self, amount: Decimal) -> None:
        """Count one more."""
        self.lines += 1
        self.amount = EXACT.add(self.amount, amount)


@dataclass(slots=True)
class Survey:
    """What a whole file amounts to."""

    lines: int = 0
    total: Decimal = Decimal(0)
    """Of what is to be paid, in USD: voided lines do not count."""
    organization: str = ""
    days: set[date] = field(default_factory=set)
    invoice_ids: set[str] = field(default_factory=set)
    by_category: dict[tuple[str, str], Sum] = field(default_factory=dict)
    """By kind of charge, or Voided, and the currency to be paid in ("" = no money is said), in that currency."""
    other: Sum = field(default_factory=Sum)
    """Lines that are no tokens of a class we know."""
    left_out: dict[str, int] = field(default_factory=dict)
    places_written: int = 0
    places_needed: int = 0

    @property
    def scale(self) -> int:
        """Decimal places to which the vendor rounds: the most that are written, but for padding beyond any price."""
        padded = self.places_written > values.PADDING_PLACES
        return self.places_needed if padded else self.places_written

    def scale_of(self, entry: Entry) -> int:
        """Decimal places that this amount was rounded to: the file's, or fewer where a double cannot tell more."""
        return min(self.scale, entry.amount_places) if entry.is_double else self.scale

    def add(self, entry: Entry) -> None:
        """Count one more entry."""
        self.lines += 1
        self.organization = entry.organization or self.organization
        self.places_written = max(self.places_written, entry.amount_places)
        self.places_needed = max(self.places_needed, min(entry.amount_places, _needed(entry.amount)))
        billing = entry.billing
        if billing.invoice_id:
            self.invoice_ids.add(billing.invoice_id)
        voided = billing.status == VOIDED
        key = (VOIDED if voided else entry.category.value, billing.currency or entry.currency)
        self.by_category.setdefault(key, Sum()).add(entry.amount if billing.amount is None else billing.amount)
        if not voided:
            self.total = EXACT.add(self.total, entry.amount)
            if entry.token_class == OTHER:
                self.other.add(entry.amount)


def survey(path: Path, read: Reader) -> Survey:
    """Read all of the file. Raises InvoiceInvalid at the first thing that cannot be so."""
    found = Survey()
    for day, entry in read(path):
        if isinstance(entry, LeftOut):
            found.left_out[entry.reason] = found.left_out.get(entry.reason, 0) + 1
            continue
        found.days.add(day)
        if entry is None:
            continue
        if entry.organization and found.organization not in ("", entry.organization):
            both = f"organization {entry.organization!r} beside {found.organization!r}"
            raise InvoiceInvalid(path, f"{both}: import one at a time, with --organization", place=entry.place)
        if entry.quantity is not None and entry.quantity > QUANTITY_MAX:
            raise InvoiceInvalid(path, f"{entry.quantity} tokens in one row cannot be so", place=entry.place)
        found.add(entry)
    if not found.days:
        rest = "; ".join(f"{count} rows left out: {reason}" for reason, count in found.left_out.items())
        raise InvoiceInvalid(path, f"it has no rows, so there is nothing to import{rest and f' ({rest})'}")
    return found


def _needed(amount: Decimal) -> int:
    return values.places(EXACT.plus(amount).normalize(EXACT))
