"""Puts attempts into the store as the collector would have landed them: one row of `spans` each, whole."""

from datetime import datetime, timedelta
from itertools import count

from clickhouse_connect.driver.client import Client

from gateway.domain.usage import Usage
from tests.analytics.recon_builders import MODEL, instant

_numbers = count(1)


def attempt(
    at: str | datetime = "2026-11-03T10:00",
    *,
    outcome: str = "ok",
    completeness: str = "measured",
    usage: Usage | None = None,
    **changes: object,
) -> dict[str, object]:
    """A row of `spans`: an attempt of tenant acme by alias fast that ended well, 1000 tokens in and 100 out."""
    number = next(_numbers)
    started = instant(at) if isinstance(at, str) else at
    if usage is None:
        usage = Usage() if completeness == "unknown" else Usage(input_uncached=1000, output=100)
    row: dict[str, object] = {
        "attempt_id": f"{number:032x}",
        "trace_id": f"{number:032x}",
        "span_id": f"{number:016x}",
        "parent_span_id": f"{number + 10**6:016x}",
        "kind": 3,
        "started_at": started,
        "ended_at": started + timedelta(seconds=1),
        "tenant": "acme",
        "alias": "fast",
        "tier": "interactive",
        "request_id": f"req-{number}",
        "upstream": "openai-us",
        "provider": "openai",
        "account": "org-main",
        "model": MODEL,
        "response_model": "",
        "response_id": f"resp-{number}",
        "attempt_index": 0,
        "error_type": "",
        "http_status": 200 if outcome == "ok" else 0,
        "outcome": outcome,
        "fallback_depth": 0,
        "fallback_reason": "",
        "completeness": completeness,
        "queue_seconds": 0.25,
        "request_bytes": 4000,
        "max_output_tokens": 500,
        "billable": outcome != "refused",
        "batch_id": "test",
        "received_at": started + timedelta(seconds=2),
        **{str(token_class): tokens for token_class, tokens in usage.items()},
    }
    return row | changes


def land(client: Client, *rows: dict[str, object]) -> None:
    """Insert the rows, one insert a call."""
    names = list(rows[0])
    client.insert("tollway.spans", [[row[name] for name in names] for row in rows], column_names=names)


def told_later(began: dict[str, object]) -> dict[str, object]:
    """The row of what a vendor told of that response when it was looked at again."""
    same = {name: began[name] for name in ("trace_id", "parent_span_id", "upstream")}
    return attempt("2026-11-03T09:59:59", finish_reason="stop", route="/v1/responses", request_bytes=0, **same)
