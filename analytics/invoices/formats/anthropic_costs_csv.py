"""The cost export of Anthropic's console: a row is the cost of one class of tokens, in dollars, of one key and UTC day.

Models go by the name that people see ("Claude Sonnet 4.5"), which is turned into the id.
"""

from collections.abc import Iterator
from pathlib import Path

from analytics.invoices import table, values
from analytics.invoices.entries import Category, Covered, Document, Entry, Terms
from analytics.invoices.formats import anthropic_words as words
from analytics.invoices.importer import Importer
from analytics.invoices.table import Row
from analytics.reconciliation.variance import OTHER

REQUIRED = ("usage_date_utc", "model", "token_type", "cost_usd")


def read(path: Path) -> Iterator[Covered]:
    """The file's rows, one at a time. Raises InvoiceInvalid with the line and column of a bad value."""
    for row in table.rows(path, REQUIRED):
        yield row.instant("usage_date_utc").date(), _entry(row)


def _entry(row: Row) -> Entry:
    amount = row.amount("cost_usd")
    model = words.model_of(row.text("model"))
    token_class, reason = words.class_of(row.text("token_type"), model, way_out="export the costs by model and type")
    if amount < 0:
        token_class, reason = OTHER, "a negative amount, such as a credit"
    return Entry(
        row=row.number,
        place=row.place,
        line_item=", ".join(filter(None, (row.text("model"), row.text("token_type") or row.text("cost_type")))),
        model=model,
        token_class=token_class,
        reason=reason,
        quantity=None,
        quantity_raw="",
        quantity_unit="",
        amount=amount,
        amount_places=values.places(amount),
        is_double=False,
        currency=values.CURRENCY,
        project_id=row.text("workspace"),
        api_key_id=row.text("api_key"),
        category=Category.CREDIT if amount < 0 else Category.USAGE,
        terms=Terms(
            processing_tier=words.tier_of(row.text("usage_type")),
            region=words.region_of(row.text("inference_geo")),
            context_tier=words.window_of(row.text("context_window")),
        ),
        tags=(("speed", row.text("speed")),) if row.text("speed") else (),
    )


IMPORTER = Importer(
    name="anthropic_costs_csv",
    title="the cost export of Anthropic's console (CSV)",
    document=Document.COST,
    read=read,
    required=REQUIRED,
    told_by=("usage_date_utc", "cost_usd"),
    gaps_are_empty=True,
)
