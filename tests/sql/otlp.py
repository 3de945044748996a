"""Builds OTLP requests for tests: `request(span(...), ...)` as serialised bytes, attributes given as Python values."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

import sql

START = 1_790_000_000_000_000_000
"""2026-09-21T13:46:40Z in Unix nanoseconds."""


def landed(store: Any, batch_id: str) -> int:
    """How many spans of a batch are in the store."""
    frame = sql.fetch(store.reader, "collector_count_batch", facts="tollway", batch_id=batch_id)
    return int(frame["spans"].sum())


def span(
    attributes: Mapping[str, object], *, kind: int = 3, status: int = 0, start: int = START, **fields: Any
) -> Span:
    """A span of one second, with random ids unless given."""
    made = Span(
        trace_id=fields.pop("trace_id", os.urandom(16)),
        span_id=fields.pop("span_id", os.urandom(8)),
        name=fields.pop("name", "chat"),
        kind=kind,
        start_time_unix_nano=start,
        end_time_unix_nano=fields.pop("end", start + 10**9),
        attributes=[attribute(key, value) for key, value in attributes.items()],
        **fields,
    )
    made.status.code = status
    return made


def attribute(key: str, value: object) -> KeyValue:
    """One attribute, its OTLP type taken from the Python one."""
    pair = KeyValue(key=key)
    match value:
        case bool():
            pair.value.bool_value = value
        case int():
            pair.value.int_value = value
        case float():
            pair.value.double_value = value
        case str():
            pair.value.string_value = value
        case bytes():
            pair.value.bytes_value = value
        case Sequence():
            for item in value:
                pair.value.array_value.values.add().string_value = item
        case _:
            raise TypeError(f"{key}: {value!r}")
    return pair


def request(*spans: Span, service: str = "app") -> bytes:
    """A whole export request, one resource and one scope."""
    whole = ExportTraceServiceRequest()
    resource = whole.resource_spans.add()
    resource.resource.attributes.append(attribute("service.name", service))
    resource.scope_spans.add().spans.extend(spans)
    return whole.SerializeToString()


def attempt(**changes: object) -> dict[str, object]:
    """Attributes of a gateway's attempt that ended well; dots in names are written as double underscores."""
    plain: dict[str, object] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o-mini",
        "gen_ai.response.model": "gpt-4o-mini-2024-07-18",
        "gen_ai.response.id": "chatcmpl-1",
        "gen_ai.request.stream": True,
        "gen_ai.request.max_tokens": 256,
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.response.time_to_first_chunk": 0.25,
        "gen_ai.usage.input_tokens": 1000,
        "gen_ai.usage.output_tokens": 50,
        "gen_ai.usage.cache_read.input_tokens": 300,
        "gen_ai.usage.cache_write.input_tokens": 100,
        "gen_ai.usage.reasoning.output_tokens": 20,
        "http.response.status_code": 200,
        "server.address": "127.0.0.1",
        "server.port": 8081,
        "tollway.attempt.id": os.urandom(16).hex(),
        "tollway.tenant": "acme",
        "tollway.alias": "fast",
        "tollway.tier": "interactive",
        "tollway.session": "5e55",
        "tollway.request.id": "req-1",
        "tollway.upstream": "openai-us",
        "tollway.account": "org-main",
        "tollway.region": "us-east-1",
        "tollway.quantization": "none",
        "tollway.pattern": "direct",
        "tollway.attempt.index": 1,
        "tollway.attempt.outcome": "ok",
        "tollway.fallback.depth": 1,
        "tollway.fallback.reason": "timeout",
        "tollway.fallback.estimated_cost_usd": "0.000123456789012345",
        "tollway.usage.completeness": "measured",
        "tollway.usage.raw": '{"prompt_tokens": 1000}',
        "tollway.usage.cache_write_1h": 40,
        "tollway.rate_card": "openai/gpt-4o-mini@2023-01-01T00:00:00Z#1a2b3c4d",
        "tollway.cache.status": "off",
        "tollway.queue.seconds": 0.002,
        "tollway.request.bytes": 4096,
    }
    for name, value in changes.items():
        key = name.replace("__", ".")
        if value is None:
            plain.pop(key, None)
        else:
            plain[key] = value
    return plain
