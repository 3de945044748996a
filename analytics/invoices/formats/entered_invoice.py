"""An invoice as a person entered it: its number, its month and its totals, where the vendor hands out no file of it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from analytics.invoices import values
from analytics.invoices.entries import Billing, Category, Covered, Document, Entry
from analytics.invoices.importer import Importer
from analytics.reconciliation.variance import OTHER
from gateway.domain.money import plain

_TOTALS = {"amount": Category.USAGE, "tax": Category.TAX, "fee": Category.FEE, "credit": Category.CREDIT}


@dataclass(frozen=True, slots=True, kw_only=True)
class EnteredInvoice:
    """What is to be paid for a UTC month. Amounts are in USD and not negative; a credit lowers what is to be paid."""

    invoice_id: str
    month: str
    """YYYY-MM."""
    amount: Decimal
    tax: Decimal = Decimal(0)
    fee: Decimal = Decimal(0)
    credit: Decimal = Decimal(0)

    def __post_init__(self) -> None:
        """Raise ValueError for a negative amount, or for an invoice without number."""
        if not self.invoice_id.strip():
            raise ValueError("an invoice needs its number")
        for name in _TOTALS:
            if getattr(self, name) < 0:
                raise ValueError(
                    f"{name} is {plain(getattr(self, name))}; enter it without sign (a credit lowers the total)"
                )

    def written(self) -> str:
        """The same text for the same invoice."""
        amounts = {name: f"{getattr(self, name):f}" for name in _TOTALS}
        return json.dumps({"invoice_id": self.invoice_id, "month": self.month, **amounts}, sort_keys=True)


def read(path: Path) -> Iterator[Covered]:
    """A line for each of the totals that is not zero, and for the amount in any case."""
    form = json.loads(path.read_text("utf-8"))
    year, month = (int(part) for part in form["month"].split("-"))
    start = datetime(year, month, 1, tzinfo=UTC)
    end = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)
    for row, (name, category) in enumerate(_TOTALS.items(), start=1):
        amount = values.decimal_of(form[name])
        if amount or category is Category.USAGE:
            yield (
                start.date(),
                Entry(
                    row=row,
                    place=name,
                    line_item=f"{form['invoice_id']}, {name}",
                    model="",
                    token_class=OTHER,
                    reason="a total of an invoice, as it was entered",
                    quantity=None,
                    quantity_raw="",
                    quantity_unit="",
                    amount=amount.copy_negate() if category is Category.CREDIT else amount,
                    amount_places=values.places(amount),
                    is_double=False,
                    currency=values.CURRENCY,
                    category=category,
                    start=start,
                    end=end,
                    billing=Billing(invoice_id=form["invoice_id"], invoice_detail_id=name, status="Issued"),
                ),
            )


IMPORTER = Importer(name="entered_invoice", title="an invoice as it was entered", document=Document.INVOICE, read=read)
