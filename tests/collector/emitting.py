"""Spans to send, and what was sent: the generator whose own ledger the store is held against."""

import os
from collections.abc import Sequence

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

NOW_NS = 1_700_000_000_000_000_000


def key() -> bytes:
    """The ids of a span to be: trace id and span id, joined."""
    return os.urandom(24)


def keys(count: int) -> list[bytes]:
    return [key() for _ in range(count)]


def body(spans: Sequence[bytes], *, tenant: str = "acme", name: str = "chat gpt", attributes: int = 0) -> bytes:
    """An ExportTraceServiceRequest with one CLIENT span for each key."""
    request = ExportTraceServiceRequest()
    scope = request.resource_spans.add().scope_spans.add()
    for one in spans:
        span = scope.spans.add(trace_id=one[:16], span_id=one[16:], name=name, kind=3)
        span.start_time_unix_nano = NOW_NS
        span.end_time_unix_nano = NOW_NS + 250_000_000
        values = {"tollway.attempt.id": one[:16].hex(), "tollway.tenant": tenant, "tollway.alias": "fast"}
        values |= {f"some.attribute.{number}": "v" * 20 for number in range(attributes)}
        for attribute, value in values.items():
            span.attributes.add(key=attribute).value.string_value = value
    encoded: bytes = request.SerializeToString()
    return encoded
