"""The cost export of OpenAI's dashboard: cost_<from>_<to>.csv, one row per UTC day and group.

Columns start_time, end_time, amount_value, amount_currency and line_item must be there; quantity, quantity_unit,
organization_id, project_id, api_key_id and user_id are taken where they are. Buckets without charges have no amount.
"""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

from analytics.invoices import table, values
from analytics.invoices.entries import Category, Covered, Document, Entry
from analytics.invoices.errors import ValueBad
from analytics.invoices.formats.openai_line_items import understand
from analytics.invoices.importer import Importer
from analytics.invoices.table import Row

REQUIRED = ("start_time", "end_time", "amount_value", "amount_currency", "line_item")
_SAYS_SOMETHING = ("amount_value", "line_item", "quantity", "amount_currency")


def read(path: Path) -> Iterator[Covered]:
    """The file's rows, one at a time. Raises InvoiceInvalid with the line and column of a bad value."""
    for row in table.rows(path, REQUIRED):
        # A row that names something and has no amount is not an empty bucket but wrong.
        yield _day(row), _entry(row) if any(row.says(name) for name in _SAYS_SOMETHING) else None


def _day(row: Row) -> date:
    start, end = (_seconds(row, name) for name in ("start_time", "end_time"))
    try:
        return values.day_of(start, end)
    except ValueBad as bad:
        raise row.fault("start_time", str(bad)) from bad


def _entry(row: Row) -> Entry:
    if not row.says("amount_value"):
        raise row.fault("amount_value", "empty, in a row that is not an empty bucket")
    amount = row.amount("amount_value")
    unit, line_item = row.text("quantity_unit"), row.text("line_item")
    meaning = understand(line_item, row.count("quantity"), unit, amount)
    return Entry(
        row=row.number,
        place=row.place,
        line_item=line_item,
        model=meaning.model,
        token_class=meaning.token_class,
        reason=meaning.reason,
        quantity=meaning.quantity,
        quantity_raw=row.text("quantity"),
        quantity_unit=unit,
        amount=amount,
        amount_places=values.places(amount),
        is_double=False,
        currency=row.currency("amount_currency"),
        organization=row.text("organization_id"),
        project_id=row.text("project_id"),
        api_key_id=row.text("api_key_id"),
        user_id=row.text("user_id"),
        category=Category.CREDIT if amount < 0 else Category.USAGE,
        terms=meaning.terms,
    )


def _seconds(row: Row, name: str) -> int:
    text = row.text(name)
    if not (text.isascii() and text.isdigit()):
        raise row.fault(name, f"{text[:40]!r} is not a time in Unix seconds")
    return int(text[:18])


IMPORTER = Importer(
    name="openai_costs_csv",
    title="OpenAI's cost export (CSV of the dashboard)",
    document=Document.COST,
    read=read,
    required=REQUIRED,
    told_by=("start_time", "amount_value"),
)
