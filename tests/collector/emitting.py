"""Spans to send, and what was sent: the generator whose own ledger the store is held against."""

import base64
import os
from collections.abc import Sequence
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector.otlp_json import HEX_IDS

NOW_NS = 1_700_000_000_000_000_000


def key() -> bytes:
    """The ids of a span to be: trace id and span id, joined."""
    return os.urandom(24)


def keys(count: int) -> list[bytes]:
    return [key() for _ in range(count)]


def body(
    spans: Sequence[bytes], *, tenant: str = "acme", name: str = "chat gpt", attributes: int = 0, scope: str = ""
) -> bytes:
    """An ExportTraceServiceRequest with one CLIENT span for each key, in a scope of that name."""
    request = ExportTraceServiceRequest()
    held = request.resource_spans.add().scope_spans.add()
    if scope:
        held.scope.name = scope
    for one in spans:
        span = held.spans.add(trace_id=one[:16], span_id=one[16:], name=name, kind=3)
        span.start_time_unix_nano = NOW_NS
        span.end_time_unix_nano = NOW_NS + 250_000_000
        values = {"tollway.attempt.id": one[:16].hex(), "tollway.tenant": tenant, "tollway.alias": "fast"}
        values |= {f"some.attribute.{number}": "v" * 20 for number in range(attributes)}
        for attribute, value in values.items():
            span.attributes.add(key=attribute).value.string_value = value
    encoded: bytes = request.SerializeToString()
    return encoded


def as_otlp(value: Any, *, numbers: bool = False, unknown: bool = False) -> Any:
    """Protobuf's JSON of a message in OTLP's: ids in hexadecimal, and as asked numbers for texts and unknown fields."""
    if isinstance(value, list):
        return [as_otlp(one, numbers=numbers, unknown=unknown) for one in value]
    if not isinstance(value, dict):
        return value
    found = {"some_field": {"traceId": 7}, "trace_id": "abc"} if unknown else {}
    for name, inner in value.items():
        if name in HEX_IDS:
            found[name] = base64.b64decode(inner).hex().upper()
        elif numbers and name in ("intValue", "startTimeUnixNano", "endTimeUnixNano", "timeUnixNano", "asInt", "count"):
            found[name] = int(inner)
        else:
            found[name] = as_otlp(inner, numbers=numbers, unknown=unknown)
    return found
