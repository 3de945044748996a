"""OTLP trace requests as bytes: are they valid, which spans are in them, and the same bytes without some of them.

Attributes are never walked here; ClickHouse decodes them. A span's key is its trace id and span id, 24 bytes.
"""

from collections.abc import Container
from hashlib import blake2b
from typing import Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector.refusals import BadRequest

TRACE_ID_BYTES = 16
SPAN_ID_BYTES = 8
KEY_BYTES = TRACE_ID_BYTES + SPAN_ID_BYTES
NO_KEY = bytes(KEY_BYTES)
"""The key of a span without ids: it is like no other span, not even another without ids."""
DIGEST_BYTES = 16


def digest(body: bytes) -> bytes:
    """16 bytes by which the same body is known again."""
    return blake2b(body, digest_size=DIGEST_BYTES).digest()


def span_keys(body: bytes) -> bytes:
    """The keys of all spans of a request, in their order, joined. Raises BadRequest for what is not a request."""
    spans = [span for resource in _parse(body).resource_spans for scope in resource.scope_spans for span in scope.spans]
    keys = [span.trace_id + span.span_id for span in spans]
    if any(len(key) != KEY_BYTES for key in keys):
        keys = [span_key(span.trace_id, span.span_id) for span in spans]
    return b"".join(keys)


def span_key(trace_id: bytes, span_id: bytes) -> bytes:
    """24 bytes by which a span is known again: its ids joined, or a digest of ids that are not 16 and 8 bytes."""
    if len(trace_id) == TRACE_ID_BYTES and len(span_id) == SPAN_ID_BYTES:
        return trace_id + span_id
    if not trace_id and not span_id:
        return NO_KEY
    return blake2b(trace_id, digest_size=KEY_BYTES, key=span_id[:64]).digest()


def split_keys(keys: bytes) -> list[bytes]:
    """Joined keys as a list."""
    return [keys[i : i + KEY_BYTES] for i in range(0, len(keys), KEY_BYTES)]


def without(body: bytes, dropped: Container[int]) -> bytes:
    """The request without the spans at those positions, which count from 0 in the spans' order.

    What then holds no span is left out too. Raises BadRequest for what is not a request.
    """
    request = _parse(body)
    position = 0
    for resource in request.resource_spans:
        for scope in resource.scope_spans:
            spans = list(scope.spans)
            _keep(scope.spans, [span for i, span in enumerate(spans, position) if i not in dropped])
            position += len(spans)
        _keep(resource.scope_spans, [scope for scope in resource.scope_spans if len(scope.spans)])
    _keep(request.resource_spans, [resource for resource in request.resource_spans if len(resource.scope_spans)])
    rest: bytes = request.SerializeToString()
    return rest


def _keep(field: Any, kept: list[Any]) -> None:
    if len(kept) < len(field):
        del field[:]
        field.extend(kept)


def _parse(body: bytes) -> Any:
    try:
        return ExportTraceServiceRequest.FromString(body)
    except DecodeError:
        raise BadRequest("the body is not an OTLP ExportTraceServiceRequest in protobuf") from None
