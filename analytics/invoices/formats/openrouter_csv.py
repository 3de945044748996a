"""OpenRouter's activity export: a row is one request, with its own cost; the only vendor that bills so.

A request has one amount for all its classes of tokens, so it is kept as other, under the request's id; the counts are
in its tags. Costs are drawn from prepaid credits: what was paid for those, with its fee, is on no activity.
"""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from analytics.invoices import table, values
from analytics.invoices.entries import Category, Covered, Document, Entry
from analytics.invoices.importer import Importer
from analytics.invoices.table import Row
from analytics.reconciliation.variance import OTHER

REQUIRED = ("generation_id", "created_at", "cost_total", "tokens_prompt", "tokens_completion", "model_permaslug")
_COUNTS = ("tokens_prompt", "tokens_completion", "tokens_reasoning", "tokens_cached")
_TOLD = (
    "cost_web_search",
    "cost_cache",
    "cost_file_processing",
    "byok_usage_inference",
    "provider_name",
    "variant",
    "cancelled",
    "streamed",
    "finish_reason_normalized",
    "app_name",
)


def read(path: Path) -> Iterator[Covered]:
    """The requests, one at a time. Raises InvoiceInvalid with the line and column of a bad value."""
    for row in table.rows(path, REQUIRED):
        entry = _entry(row)
        if entry.start is not None:
            yield entry.start.date(), entry


def _entry(row: Row) -> Entry:
    if not row.says("generation_id"):
        raise row.fault("generation_id", "empty, where a request's id is needed")
    start, amount = row.instant("created_at"), row.amount("cost_total")
    counts = [(name, f"{row.count(name) or 0:f}") for name in _COUNTS if row.says(name)]
    return Entry(
        row=row.number,
        place=row.place,
        line_item=row.text("model_permaslug"),
        model=row.text("model_permaslug"),
        token_class=OTHER,
        reason="one amount for a whole request, for all of its tokens",
        quantity=None,
        quantity_raw="",
        quantity_unit="",
        amount=amount,
        amount_places=values.places(amount),
        is_double=values.is_double(amount),
        currency=values.CURRENCY,
        api_key_id=row.text("api_key_name"),
        user_id=row.text("user"),
        category=Category.CREDIT if amount < 0 else Category.USAGE,
        start=start,
        end=start + timedelta(milliseconds=int(row.count("generation_time_ms") or 0)),
        request_id=row.text("generation_id"),
        tags=(*counts, *((name, row.text(name)) for name in _TOLD if row.says(name))),
    )


IMPORTER = Importer(
    name="openrouter_csv",
    title="OpenRouter's activity export (CSV)",
    document=Document.COST,
    read=read,
    required=REQUIRED,
    told_by=("generation_id", "cost_total"),
    gaps_are_empty=True,
)
