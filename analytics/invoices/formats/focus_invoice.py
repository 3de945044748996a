"""FOCUS 1.4 InvoiceDetail (CSV, gzip or Parquet): the lines of invoices, which is what is to be paid.

An invoice stands by its number: a file that has it again, with another status, takes its place. A voided one is kept
and is not to be paid.
"""

from collections.abc import Iterator
from pathlib import Path

from analytics.invoices import table, values
from analytics.invoices.entries import VOIDED, Billing, Covered, Document, Entry
from analytics.invoices.formats.focus_costs import category_of
from analytics.invoices.importer import Importer
from analytics.invoices.table import Row
from analytics.reconciliation.variance import OTHER

REQUIRED = (
    "InvoiceId",
    "InvoiceDetailId",
    "InvoiceIssueStatus",
    "BilledCost",
    "BillingAccountId",
    "BillingCurrency",
    "BillingPeriodStart",
    "BillingPeriodEnd",
    "ChargeCategory",
)
STATUSES = ("Open", "Issued", VOIDED)
_TOLD = (
    "InvoiceIssuerName",
    "InvoiceIssueDate",
    "InvoiceDetailGrain",
    "PaymentCurrency",
    "PaymentCurrencyBilledCost",
    "PaymentDueDate",
    "PaymentTerms",
    "PurchaseOrderNumber",
    "ReferenceInvoiceId",
)


def read(path: Path) -> Iterator[Covered]:
    """The invoices' lines, one at a time. Raises InvoiceInvalid with the line and column of a bad value."""
    for row in table.rows(path, REQUIRED):
        start, end = row.instant("BillingPeriodStart"), row.instant("BillingPeriodEnd")
        if end <= start:
            raise row.fault("BillingPeriodEnd", f"{row.text('BillingPeriodEnd')!r} is not behind the period's start")
        for column in ("InvoiceId", "InvoiceDetailId"):
            if not row.says(column):
                raise row.fault(column, "empty, where an id is needed")
        status = row.text("InvoiceIssueStatus")
        if status not in STATUSES:
            raise row.fault("InvoiceIssueStatus", f"{status[:40]!r} is not among {', '.join(STATUSES)}")
        amount = row.amount("BilledCost")
        yield (
            start.date(),
            Entry(
                row=row.number,
                place=row.place,
                line_item=row.text("InvoiceDetailDescription"),
                model="",
                token_class=OTHER,
                reason="a line of an invoice, which sums charges up",
                quantity=None,
                quantity_raw="",
                quantity_unit="",
                amount=amount,
                amount_places=values.places(amount),
                is_double=row.is_printed and values.is_double(amount),
                currency=row.currency("BillingCurrency"),
                organization=row.text("BillingAccountId"),
                category=category_of(row),
                start=start,
                end=end,
                billing=_billing(row, status),
                tags=tuple((name, row.text(name)) for name in _TOLD if row.says(name)),
            ),
        )


def _billing(row: Row, status: str) -> Billing:
    return Billing(invoice_id=row.text("InvoiceId"), invoice_detail_id=row.text("InvoiceDetailId"), status=status)


IMPORTER = Importer(
    name="focus_invoice",
    title="FOCUS 1.4 InvoiceDetail (CSV, gzip or Parquet)",
    document=Document.INVOICE,
    read=read,
    required=REQUIRED,
    told_by=("InvoiceDetailId", "InvoiceIssueStatus"),
)
