"""Makes what an emitter sent the same on every run: ids, times, ports, folders and durations become fixed ones.

Pure: bytes in, a JSON value out, which `json_format.ParseDict` turns back into the message. Spans keep their order,
their parents, their names, and the type of each attribute's value; what they say of tokens is not touched.
"""

import re
from typing import Any

from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

START = 1_790_000_000_000_000_000
PORT = 8081
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TEXTS = (
    (re.compile(r"(127\.0\.0\.1|localhost)(:|%3A)\d+"), rf"\g<1>\g<2>{PORT}"),
    (re.compile(r"20\d\d-\d\d-\d\d([T ])\d\d:\d\d:\d\d(\.\d+)?"), r"2026-09-21\g<1>13:46:40.250000"),
    (re.compile(r"0x[0-9a-f]{8,}"), "0x0"),
)
_LASTS = re.compile(r"time|latency|duration|ttft|first_?chunk|first_?token|msto|second|spend_reset", re.IGNORECASE)
_PLACES = re.compile(r"port$")
_LEFT_OUT = re.compile(
    r"stack_?trace|host\.|process\.|telemetry\.distro|service\.instance|^openlit\.|hidden_params|headers"
)


def scrub(exports: list[bytes]) -> dict[str, Any]:
    """One request of all the exports, in proto3's JSON form, its spans in the order in which they began."""
    whole, ids, uuids = ExportTraceServiceRequest(), _Numbers(), _Numbers()
    homes: dict[tuple[bytes, bytes], Any] = {}
    for number, (resource, scope, span) in enumerate(_in_order(exports)):
        home = homes.get(key := (resource.SerializeToString(), scope.SerializeToString()))
        if home is None:
            added = whole.resource_spans.add(resource=resource)
            _attributes(added.resource, uuids)
            home = homes[key] = added.scope_spans.add(scope=scope)
        _fixed(span, number, ids)
        _attributes(span, uuids)
        home.spans.append(span)
    return json_format.MessageToDict(whole)


def _in_order(exports: list[bytes]) -> list[tuple[Any, Any, Any]]:
    """(resource, scope, span) of all. A parent goes first where its child began in the same tick of the clock."""
    parts = [
        (resource.resource, scope.scope, span)
        for export in exports
        for resource in ExportTraceServiceRequest.FromString(export).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
    parents = {span.span_id: span.parent_span_id for _, _, span in parts}

    def depth(span_id: bytes) -> int:
        return 1 + depth(parents[span_id]) if span_id in parents else 0

    return sorted(parts, key=lambda part: (part[2].start_time_unix_nano, depth(part[2].span_id), part[2].name))


def _fixed(span: Any, number: int, ids: "_Numbers") -> None:
    del span.events[:]
    del span.links[:]
    if span.status.code == 2:
        span.status.ClearField("message")
    else:
        span.ClearField("status")
    span.trace_id, span.span_id = ids.of(span.trace_id, 16), ids.of(span.span_id, 8)
    if span.parent_span_id:
        span.parent_span_id = ids.of(span.parent_span_id, 8)
    span.start_time_unix_nano = START + number * 10**9
    span.end_time_unix_nano = span.start_time_unix_nano + 10**9


def unscrubbed(corpus: dict[str, Any]) -> bytes:
    """The bytes of a corpus."""
    return json_format.ParseDict(corpus, ExportTraceServiceRequest()).SerializeToString()


class _Numbers:
    """A number for everything, in the order of its first appearance."""

    def __init__(self) -> None:
        self._seen: dict[bytes, int] = {}

    def of(self, what: bytes, size: int) -> bytes:
        return (self._seen.setdefault(what, len(self._seen) + 1)).to_bytes(size, "big")


def _attributes(owner: Any, uuids: _Numbers) -> None:
    kept = [a for a in owner.attributes if not _LEFT_OUT.search(a.key)]
    for attribute in kept:
        value = attribute.value
        kind = value.WhichOneof("value")
        if kind == "double_value" and _LASTS.search(attribute.key):
            value.double_value = 0.25
        elif kind == "int_value" and _PLACES.search(attribute.key):
            value.int_value = PORT
        elif kind == "string_value":
            value.string_value = _text(value.string_value, uuids)
        elif kind == "array_value":
            for item in value.array_value.values:
                if item.WhichOneof("value") == "string_value":
                    item.string_value = _text(item.string_value, uuids)
    kept = [type(a).FromString(a.SerializeToString()) for a in kept]
    del owner.attributes[:]
    owner.attributes.extend(kept)


def _text(text: str, uuids: _Numbers) -> str:
    for found, put in _TEXTS:
        text = found.sub(put, text)
    return _UUID.sub(lambda m: "00000000-0000-4000-8000-" + uuids.of(m[0].encode(), 6).hex(), text)
