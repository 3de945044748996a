"""A store with traffic and an invoice in it, landed as the collector lands them: spans in bytes, one sealed batch."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import count
from pathlib import Path

from analytics import rate_cards
from analytics.invoices import import_file
from gateway.domain import ids
from gateway.domain.attempt import Attempt, Intent, Outcome
from gateway.domain.rate_card import RateCard
from gateway.domain.usage import Completeness, TokenClass, Usage
from gateway.telemetry.spans import SpanEncoder
from sql import landing
from tests.analytics.invoice_files import csv_file, row
from tests.conftest import RunningStore

MODEL = "gpt-4o-mini"
CARD = RateCard(
    provider="openai",
    model=MODEL,
    currency="USD",
    effective_from=datetime(2023, 1, 1, tzinfo=UTC),
    per_million={
        TokenClass.INPUT_UNCACHED: Decimal("0.15"),
        TokenClass.CACHE_READ: Decimal("0.075"),
        TokenClass.OUTPUT: Decimal("0.60"),
    },
)
_batches = count(1)


def attempt(at: datetime, **changes: object) -> Attempt:
    """An attempt of tenant acme by alias fast that ended well, 1000 tokens in (a quarter cached) and 100 out."""
    ended = {
        "outcome": Outcome.OK,
        "completeness": Completeness.MEASURED,
        "usage": Usage(input_uncached=750, cache_read=250, output=100),
        "http_status": 200,
    }
    ended |= {name: changes.pop(name) for name in list(changes) if name in (*ended, "error_type")}
    nanos = int(at.timestamp()) * 10**9
    trace_id, span_id = ids.new_trace_id(), ids.new_span_id()
    intent = {
        "attempt_id": ids.attempt_id(trace_id, span_id),
        "trace_id": trace_id,
        "span_id": span_id,
        "parent_span_id": ids.new_span_id(),
        "started_at": nanos,
        "tenant": "acme",
        "alias": "fast",
        "tier": "interactive",
        "request_id": ids.new_request_id(),
        "upstream": "openai-us",
        "provider": "openai",
        "account": "org-main",
        "region": "us-east-1",
        "quantization": "none",
        "pattern": "direct",
        "model": MODEL,
        "attempt_index": 0,
        "fallback_depth": 0,
        "request_bytes": 4000,
        "max_output_tokens": 500,
    }
    return Attempt(intent=Intent(**{**intent, **changes}), ended_at=nanos + 10**9, **ended)  # type: ignore[arg-type]


def land(store: RunningStore, attempts: list[Attempt], *, now: datetime) -> None:
    """Land the attempts in one batch, and make CARD the only rate card."""
    rate_cards.load(store.writer, [CARD], now=now)
    encoder, batch = SpanEncoder("test"), f"dashboards-{next(_batches)}"
    landing.insert(
        store.writer,
        b"".join(encoder.attempt(each) for each in attempts),
        batch_id=batch,
        sender="gateway",
        tenant="",
        received_at_ms=int(now.timestamp() * 1000),
        token=batch,
        query_id=batch,
    )


def traffic(today: date) -> list[Attempt]:
    """Three days up to today: two tenants, two aliases, a fallback, a cancelled stream, an attempt never measured."""
    noon = datetime(today.year, today.month, today.day, tzinfo=UTC)
    days = [max(noon - timedelta(days=n), noon.replace(day=1)) for n in range(3)]
    attempts = [
        attempt(day + timedelta(seconds=n), tenant=tenant, alias=alias)
        for day in days
        for n in range(7)
        for tenant, alias in (("acme", "fast"), ("acme", "deep"), ("globex", "fast"))
    ]
    attempts += [
        attempt(
            noon,
            outcome=Outcome.ERROR,
            completeness=Completeness.UNKNOWN,
            usage=Usage(),
            http_status=503,
            error_type="server_error",
        ),
        attempt(noon, fallback_depth=1, fallback_reason="server_error", upstream="openai-eu", attempt_index=1),
        attempt(
            noon,
            outcome=Outcome.CANCELLED,
            completeness=Completeness.ESTIMATED,
            usage=Usage(input_uncached=750, output=31),
        ),
    ]
    return attempts


def invoice(store: RunningStore, folder: Path, day: date, *, now: datetime) -> None:
    """Import an invoice of one day's input, billed a little beyond what was metered."""
    path = csv_file(folder, row("0.01", "20000", f"{MODEL}, input", day=day))
    import_file(store.writer, path, provider="openai", account="org-main", now=now)
