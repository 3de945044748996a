"""Answers of OpenAI's Costs API (/v1/organization/costs): a bucket is a UTC day, a result a charge.

Where the vendor's own number is a float's print (more digits than a double holds), the amount is kept as it stands and
its first fifteen digits count.
"""

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path

from analytics.invoices import pages, values
from analytics.invoices.entries import Category, Covered, Document, Entry
from analytics.invoices.errors import InvoiceInvalid, ValueBad
from analytics.invoices.formats.openai_line_items import understand
from analytics.invoices.importer import Importer
from analytics.invoices.pages import Node

RESULT = "organization.costs.result"


def read(path: Path) -> Iterator[Covered]:
    """The results of every bucket. Raises InvoiceInvalid with the line, or the path in the JSON, of a bad value."""
    seen: dict[date, str] = {}
    row = 0
    for bucket in pages.buckets(path):
        day = _day(bucket)
        if day in seen:
            raise InvoiceInvalid(path, f"{day} is there twice, first in {seen[day]}", place=bucket.place)
        seen[day] = bucket.place
        if not bucket.items("results"):
            yield day, None
        for result in pages.results(bucket):
            row += 1
            yield day, _entry(result, row)


def _day(bucket: Node) -> date:
    start, end = bucket.value.get("start_time"), bucket.value.get("end_time")
    if not isinstance(start, int) or not isinstance(end, int):
        raise InvoiceInvalid(bucket.path, "start_time and end_time are not Unix seconds", place=bucket.place)
    try:
        return values.day_of(start, end)
    except ValueBad as bad:
        raise InvoiceInvalid(bucket.path, str(bad), place=bucket.place) from bad


def _entry(result: Node, row: int) -> Entry:
    kind = result.value.get("object", RESULT)
    if kind != RESULT:
        problem = f"a result is {str(kind)[:60]!r}; only {RESULT!r} is a charge"
        raise InvoiceInvalid(result.path, problem, place=result.place)
    amount, currency, is_double = _amount(result)
    quantity = result.count("quantity")
    unit, line_item = result.text("quantity_unit"), result.text("line_item")
    meaning = understand(line_item, quantity, unit, amount)
    return Entry(
        row=row,
        place=result.place,
        line_item=line_item,
        model=meaning.model,
        token_class=meaning.token_class,
        reason=meaning.reason,
        quantity=meaning.quantity,
        quantity_raw="" if quantity is None else f"{quantity:f}",
        quantity_unit=unit,
        amount=amount,
        amount_places=values.meant_places(amount) if is_double else values.places(amount),
        is_double=is_double,
        currency=currency,
        organization=result.text("organization_id"),
        project_id=result.text("project_id"),
        api_key_id=result.text("api_key_id"),
        user_id=result.text("user_id"),
        category=Category.CREDIT if amount < 0 else Category.USAGE,
        terms=meaning.terms,
    )


def _amount(result: Node) -> tuple[Decimal, str, bool]:
    given = result.value.get("amount")
    if not isinstance(given, dict):
        raise result.fault("amount", f"a JSON {pages.kind(given)}, not an object with value and currency")
    inner = Node(result.path, f"{result.place}.amount", given, what="an amount")
    amount = inner.number("value")
    if amount is None:
        raise inner.fault("value", "missing")
    return amount, inner.currency("currency"), not isinstance(given.get("value"), str) and values.is_double(amount)


IMPORTER = Importer(
    name="openai_costs_json", title="answers of OpenAI's Costs API (JSON)", document=Document.COST, read=read
)
