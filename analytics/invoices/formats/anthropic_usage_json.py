"""Answers of Anthropic's usage report (/v1/organizations/usage_report/messages): by minute, hour or day; no money.

Here uncached input does not take in what was read from the cache or written to it: the classes are additive.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

from analytics.invoices import pages
from analytics.invoices.entries import Covered, Document, Entry, Terms
from analytics.invoices.errors import InvoiceInvalid
from analytics.invoices.formats import anthropic_words as words
from analytics.invoices.importer import Importer
from analytics.invoices.pages import Node
from analytics.reconciliation.variance import OTHER

_WAY_OUT = "ask for the report grouped by model"
_FIELDS = (
    ("uncached_input_tokens", ""),
    ("cache_read_input_tokens", ""),
    ("ephemeral_5m_input_tokens", "cache_creation"),
    ("ephemeral_1h_input_tokens", "cache_creation"),
    ("output_tokens", ""),
)


def read(path: Path) -> Iterator[Covered]:
    """An entry for each class of tokens of each result, and one for its web searches."""
    seen: dict[datetime, str] = {}
    row = 0
    for bucket in pages.buckets(path):
        start, end = bucket.instant("starting_at"), bucket.instant("ending_at")
        if start in seen:
            raise InvoiceInvalid(path, f"{start} is there twice, first in {seen[start]}", place=bucket.place)
        seen[start] = bucket.place
        if end <= start or (end - timedelta(microseconds=1)).date() != start.date():
            raise InvoiceInvalid(path, f"a bucket from {start} to {end} is not within a UTC day", place=bucket.place)
        if not bucket.items("results"):
            yield start.date(), None
        for result in pages.results(bucket):
            row += 1
            for entry in _entries(result, row, start, end):
                yield start.date(), entry


def _entries(result: Node, row: int, start: datetime, end: datetime) -> Iterator[Entry]:
    if "uncached_input_tokens" not in result.value:
        raise result.fault("uncached_input_tokens", "missing")
    for name, below in _FIELDS:
        tokens = result.tokens(name, below=below)
        if tokens:
            said = f"{below}.{name}" if below else name
            token_class, reason = words.class_of(said, result.text("model"), way_out=_WAY_OUT)
            yield _entry(result, row, (start, end), said, tokens, token_class=token_class, reason=reason)
    searches = result.tokens("web_search_requests", below="server_tool_use")
    if searches:
        reason = "counted in requests, not in tokens"
        yield _entry(
            result,
            row,
            (start, end),
            "web_search_requests",
            searches,
            token_class=OTHER,
            reason=reason,
            unit="requests",
        )


def _entry(
    result: Node,
    row: int,
    span: tuple[datetime, datetime],
    said: str,
    count: int,
    *,
    token_class: str,
    reason: str,
    unit: str = "tokens",
) -> Entry:
    return Entry(
        row=row,
        place=result.place,
        line_item=said,
        model=result.text("model"),
        token_class=token_class,
        reason=reason,
        quantity=count if token_class != OTHER else None,
        quantity_raw=str(count),
        quantity_unit=unit,
        amount=Decimal(0),
        amount_places=0,
        is_double=False,
        currency="",
        project_id=result.text("workspace_id"),
        api_key_id=result.text("api_key_id"),
        user_id=result.text("account_id"),
        start=span[0],
        end=span[1],
        terms=Terms(
            processing_tier=words.tier_of(result.text("service_tier")),
            region=words.region_of(result.text("inference_geo")),
            context_tier=words.window_of(result.text("context_window")),
        ),
        tags=(("speed", result.text("speed")),) if result.text("speed") else (),
    )


IMPORTER = Importer(
    name="anthropic_usage_json", title="answers of Anthropic's usage report (JSON)", document=Document.USAGE, read=read
)
