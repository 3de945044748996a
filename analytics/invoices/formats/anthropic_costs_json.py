"""Answers of Anthropic's cost report (/v1/organizations/cost_report): a bucket is a UTC day, a result a charge.

An amount is a text with a decimal number of CENTS: "123.45" is 1.2345 USD. A JSON number in its place is refused, since
nothing would say whether it is in dollars. What the Priority Tier costs is not in this report.
"""

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path

from analytics.invoices import pages, values
from analytics.invoices.entries import Category, Covered, Document, Entry, Terms
from analytics.invoices.errors import InvoiceInvalid
from analytics.invoices.formats import anthropic_words as words
from analytics.invoices.importer import Importer
from analytics.invoices.pages import Node
from analytics.reconciliation.variance import OTHER
from gateway.domain.money import EXACT

CENT_PLACES = 2


def read(path: Path) -> Iterator[Covered]:
    """The results of every bucket. Raises InvoiceInvalid with the line, or the path in the JSON, of a bad value."""
    seen: dict[date, str] = {}
    row = 0
    for bucket in pages.buckets(path):
        start, end = bucket.instant("starting_at"), bucket.instant("ending_at")
        if start.timestamp() % values.DAY_SECONDS or (end - start).total_seconds() != values.DAY_SECONDS:
            raise InvoiceInvalid(path, f"the bucket from {start} to {end} is not one whole UTC day", place=bucket.place)
        day = start.date()
        if day in seen:
            raise InvoiceInvalid(path, f"{day} is there twice, first in {seen[day]}", place=bucket.place)
        seen[day] = bucket.place
        if not bucket.items("results"):
            yield day, None
        for result in pages.results(bucket):
            row += 1
            yield day, _entry(result, row)


def _entry(result: Node, row: int) -> Entry:
    amount, places = _amount(result)
    model, kind = result.text("model"), result.text("cost_type")
    way_out = "ask for the report grouped by description"
    token_class, reason = words.class_of(result.text("token_type"), model, way_out=way_out)
    if kind not in ("", "tokens"):
        token_class, reason = OTHER, f"the cost of {kind}, not of tokens"
    if amount < 0:
        token_class, reason = OTHER, "a negative amount, such as a credit"
    return Entry(
        row=row,
        place=result.place,
        line_item=result.text("description"),
        model=model,
        token_class=token_class,
        reason=reason,
        quantity=None,
        quantity_raw="",
        quantity_unit="",
        amount=amount,
        amount_places=places,
        is_double=False,
        currency=result.currency("currency"),
        project_id=result.text("workspace_id"),
        category=Category.CREDIT if amount < 0 else Category.USAGE,
        terms=Terms(
            processing_tier=words.tier_of(result.text("service_tier")),
            region=words.region_of(result.text("inference_geo")),
            context_tier=words.window_of(result.text("context_window")),
        ),
    )


def _amount(result: Node) -> tuple[Decimal, int]:
    """In dollars, and the decimal places that were written of them."""
    given = result.value.get("amount")
    if not isinstance(given, str):
        problem = f'a JSON {pages.kind(given)}; this report writes cents as a text, such as "123.45" for 1.2345 USD'
        raise result.fault("amount", problem)
    cents = result.number("amount")
    if cents is None:
        raise result.fault("amount", "missing")
    return EXACT.scaleb(cents, -CENT_PLACES), values.places(cents) + CENT_PLACES


IMPORTER = Importer(
    name="anthropic_costs_json", title="answers of Anthropic's cost report (JSON)", document=Document.COST, read=read
)
