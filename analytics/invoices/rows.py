"""An entry as a row of tollway.invoice_lines."""

import json
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

from analytics.invoices.entries import Document, Entry
from gateway.domain.money import plain

COLUMNS = (
    "load_id",
    "row",
    "day",
    "line_item",
    "model",
    "token_class",
    "reason",
    "quantity",
    "quantity_raw",
    "quantity_unit",
    "amount",
    "scale",
    "currency",
    "project_id",
    "api_key_id",
    "user_id",
    "document",
    "charge_category",
    "charge_class",
    "invoice_id",
    "invoice_detail_id",
    "invoice_status",
    "processing_tier",
    "region",
    "deployment_type",
    "modality",
    "context_tier",
    "charge_start",
    "charge_end",
    "unit_price",
    "billing_currency",
    "billed_amount",
    "pricing_currency",
    "pricing_amount",
    "fx_rate",
    "request_id",
    "tags",
    "standing_day",
)


def row_of(entry: Entry, day: date, *, scale: int, load_id: str, document: Document) -> list[object]:
    """The row, in the order of COLUMNS. `day` is the one by which the entry stands."""
    terms, billing = entry.terms, entry.billing
    start = entry.start or _midnight(day)
    return [
        load_id,
        entry.row,
        start.astimezone(UTC).date(),
        entry.line_item,
        entry.model,
        entry.token_class,
        entry.reason,
        entry.quantity,
        entry.quantity_raw,
        entry.quantity_unit,
        f"{entry.amount:f}",
        scale,
        entry.currency,
        entry.project_id,
        entry.api_key_id,
        entry.user_id,
        document.value,
        entry.category.value,
        "Correction" if billing.correction else "",
        billing.invoice_id,
        billing.invoice_detail_id,
        billing.status,
        terms.processing_tier,
        terms.region,
        terms.deployment_type,
        terms.modality,
        terms.context_tier,
        start,
        entry.end or start + timedelta(days=1),
        _text(terms.unit_price),
        billing.currency or entry.currency,
        f"{entry.amount if billing.amount is None else billing.amount:f}",
        billing.pricing_currency,
        _text(billing.pricing_amount),
        _text(billing.fx_rate),
        entry.request_id,
        json.dumps(dict(entry.tags), ensure_ascii=False, sort_keys=True) if entry.tags else "",
        day,
    ]


def _text(number: Decimal | None) -> str:
    return "" if number is None else plain(number)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, UTC)
