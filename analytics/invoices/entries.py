"""What the readers of invoice files yield, and what a whole file amounts to.

A file is read twice: once to check all of it, once to land it. So a file that is wrong on its last line changes
nothing, and its length does not matter.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path

from analytics.invoices import values
from analytics.invoices.errors import InvoiceInvalid
from gateway.domain.money import EXACT


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One billed row of a file."""

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
    organization: str
    project_id: str
    api_key_id: str
    user_id: str


Covered = tuple[date, Entry | None]
"""A UTC day that the file covers, and a charge of it; None = the bucket is empty."""

Reader = Callable[[Path], Iterator[Covered]]


@dataclass(slots=True)
class Survey:
    """What a whole file amounts to."""

    lines: int = 0
    total: Decimal = Decimal(0)
    organization: str = ""
    days: set[date] = field(default_factory=set)
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


def survey(path: Path, read: Reader) -> Survey:
    """Read all of the file. Raises InvoiceInvalid at the first thing that cannot be so."""
    found = Survey()
    for day, entry in read(path):
        found.days.add(day)
        if entry is None:
            continue
        if entry.organization and found.organization not in ("", entry.organization):
            raise InvoiceInvalid(
                path,
                f"organization {entry.organization!r} beside {found.organization!r}: import one organization at a time",
                place=entry.place,
            )
        found.organization = entry.organization or found.organization
        found.lines += 1
        found.total = EXACT.add(found.total, entry.amount)
        found.places_written = max(found.places_written, entry.amount_places)
        found.places_needed = max(found.places_needed, min(entry.amount_places, _needed(entry.amount)))
    if not found.days:
        raise InvoiceInvalid(path, "it has no rows, so there is nothing to import")
    return found


def _needed(amount: Decimal) -> int:
    return values.places(EXACT.plus(amount).normalize(EXACT))
