"""The usage export of Anthropic's console: a row has all classes of tokens of one key, model and day; no money.

Numbers may have thousands commas, the window is written "≤ 200k", and a key is given by its name, not its id.
"""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

from analytics.invoices import table
from analytics.invoices.entries import Covered, Document, Entry, Terms
from analytics.invoices.formats import anthropic_words as words
from analytics.invoices.importer import Importer
from analytics.invoices.table import Row
from analytics.reconciliation.variance import OTHER

_COLUMNS = {
    "usage_input_tokens_no_cache": "input_no_cache",
    "usage_input_tokens_cache_write_5m": "input_cache_write_5m",
    "usage_input_tokens_cache_write_1h": "input_cache_write_1h",
    "usage_input_tokens_cache_read": "input_cache_read",
    "usage_output_tokens": "output",
}
REQUIRED = ("usage_date_utc", "model_version", *_COLUMNS)


def read(path: Path) -> Iterator[Covered]:
    """An entry for each class of tokens of each row, and one for its web searches."""
    for row in table.rows(path, REQUIRED):
        day = row.instant("usage_date_utc").date()
        found = [_entry(row, column, said) for column, said in _COLUMNS.items() if row.count(column)]
        if row.count("web_search_count"):
            found.append(_entry(row, "web_search_count", ""))
        yield from ((day, entry) for entry in found)
        if not found:
            yield day, None


def _entry(row: Row, column: str, said: str) -> Entry:
    count = row.count(column) or Decimal(0)
    if count != count.to_integral_value():
        raise row.fault(column, f"{row.text(column)[:40]!r} is not a whole number")
    model = words.model_of(row.text("model_version"))
    token_class, reason = words.class_of(said, model, way_out="export the usage by model")
    if not said:
        token_class, reason = OTHER, "counted in requests, not in tokens"
    return Entry(
        row=row.number,
        place=row.place,
        line_item=said or column,
        model=model,
        token_class=token_class,
        reason=reason,
        quantity=int(count) if token_class != OTHER else None,
        quantity_raw=row.text(column),
        quantity_unit="tokens" if said else "requests",
        amount=Decimal(0),
        amount_places=0,
        is_double=False,
        currency="",
        project_id=row.text("workspace"),
        api_key_id=row.text("api_key"),
        terms=Terms(
            processing_tier=words.tier_of(row.text("usage_type")),
            region=words.region_of(row.text("inference_geo")),
            context_tier=words.window_of(row.text("context_window")),
        ),
        tags=(("speed", row.text("speed")),) if row.text("speed") else (),
    )


IMPORTER = Importer(
    name="anthropic_usage_csv",
    title="the usage export of Anthropic's console (CSV)",
    document=Document.USAGE,
    read=read,
    required=REQUIRED,
    told_by=("usage_date_utc", "usage_output_tokens"),
    gaps_are_empty=True,
)
