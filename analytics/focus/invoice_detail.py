"""FOCUS InvoiceDetail and BillingPeriod, derived from the rows of CostAndUsage, so that the sums cannot differ. Pure.

A line of InvoiceDetail is what one invoice bills of one SKU in one ChargeCategory; a charge of 0 has none. Where the
issuer's file gives no number of an invoice, InvoiceId is `import-` and the file's hash. What files do not tell is said
so: PaymentTerms is `not stated`.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from analytics.focus.columns import BILLING_PERIOD, INVOICE_DETAIL
from analytics.focus.cost_and_usage import Document, Row, billed
from analytics.rfc4180 import Cell
from analytics.windows import Window


def rows(charges: Iterable[Row], documents: Mapping[str, Document], *, closed: bool) -> list[Row]:
    """One row an InvoiceDetailId, sorted; `closed` = the month is, so what was provisional is issued."""
    arrived = {document.number: document.imported_at for document in documents.values()}
    by_detail: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for charge in charges:
        if charge["InvoiceDetailId"]:
            by_detail[str(charge["InvoiceIssuerName"]), str(charge["InvoiceDetailId"])].append(charge)
    return [_row(found, arrived, closed=closed) for _, found in sorted(by_detail.items())]


def periods(window: Window, charges: Sequence[Row], *, closed_at: datetime | None) -> list[Row]:
    """One row an issuer."""
    issuers = sorted({str(charge["InvoiceIssuerName"]) for charge in charges})
    row: Row = {
        "BillingPeriodCreated": window.since,
        "BillingPeriodEnd": window.until,
        "BillingPeriodLastUpdated": closed_at or window.until,
        "BillingPeriodStart": window.since,
        "BillingPeriodStatus": "Closed" if closed_at else "Open",
    }
    return [dict.fromkeys(BILLING_PERIOD) | row | {"InvoiceIssuerName": issuer} for issuer in issuers]


def _row(charges: Sequence[Row], arrived: Mapping[str, datetime], *, closed: bool) -> Row:
    first = charges[0]
    at: Cell = arrived.get(str(first["InvoiceId"]), None)
    same = ("BillingAccountId", "BillingCurrency", "BillingPeriodEnd", "BillingPeriodStart", "ChargeCategory")
    grain = {name: first[name] for name in ("ServiceName", "SkuId", "SkuMeter") if first[name]}
    row: Row = {
        "BilledCost": billed(charges),
        "InvoiceDetailCreated": at,
        "InvoiceDetailDescription": first["ChargeDescription"],
        "InvoiceDetailGrain": json.dumps(grain, sort_keys=True, ensure_ascii=False),
        "InvoiceDetailLastUpdated": at,
        "InvoiceIssueDate": None,
        "InvoiceIssueStatus": "Issued" if closed else "Open",
        "PaymentCurrency": first["BillingCurrency"],
        "PaymentDueDate": None,
        "PaymentTerms": "not stated",
        "ReferenceInvoiceId": first["InvoiceId"],
    }
    names = (*same, "InvoiceDetailId", "InvoiceId", "InvoiceIssuerName")
    return dict.fromkeys(INVOICE_DETAIL) | row | {name: first[name] for name in names}
