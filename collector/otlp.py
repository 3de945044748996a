"""OTLP trace requests as bytes: are they valid, and which spans are in them.

Attributes are never walked here; ClickHouse decodes them. A span's key is its trace id and span id, 24 bytes.
"""

from hashlib import blake2b
from struct import Struct
from typing import Any, NamedTuple

from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

from collector.framing import frame
from collector.refusals import BadRequest, TooLarge
from gateway.domain.attributes import SCOPE

TRACE_ID_BYTES = 16
SPAN_ID_BYTES = 8
KEY_BYTES = TRACE_ID_BYTES + SPAN_ID_BYTES
KEY = Struct(f"{KEY_BYTES}s")
NO_KEY = bytes(KEY_BYTES)
"""The key of a span without ids: it is like no other span, not even another without ids."""
DIGEST_BYTES = 16
LENGTH = Struct("<Q")
WHOLE_BYTES_MAX = 1024 * 1024
"""A body above this is decoded a span at a time: empty messages take 90 times their size in memory, for a while."""
PIECE_BYTES_MAX = 16 * 1024 * 1024
"""What one span, or what stands around spans, may have then."""


class SpansRead(NamedTuple):
    """What is read of a request: nothing of an attribute."""

    keys: bytes
    """Of all its spans, in their order, joined."""
    own: bool
    """Whether it has nothing but spans in the scope of a gateway. Anybody may say so of theirs."""


class _Ids(NamedTuple):
    trace_id: bytes
    span_id: bytes


def digest(content: bytes) -> bytes:
    """16 bytes by which the same content is known again."""
    return blake2b(content, digest_size=DIGEST_BYTES).digest()


def body_digest(body: bytes, keys: bytes) -> bytes:
    """16 bytes by which a request is known again; `keys` are its spans'.

    Its spans and its length tell it: of another request with the same spans none would be landed again either, so its
    bytes, forty times as many, need not be gone through. Spans without ids are told by nothing but their bytes.
    """
    return digest(body if NO_KEY in keys else LENGTH.pack(len(body)) + keys)


def read_spans(body: bytes) -> SpansRead:
    """Which spans a request has, and whose they say they are.

    Raises BadRequest for what is not a request, TooLarge for one that would burst the memory when it is decoded.
    """
    spans, own = _spans_one_by_one(body) if len(body) > WHOLE_BYTES_MAX else _spans(body)
    keys = [span.trace_id + span.span_id for span in spans]
    if any(len(key) != KEY_BYTES for key in keys):
        keys = [span_key(span.trace_id, span.span_id) for span in spans]
    return SpansRead(b"".join(keys), own)


def span_key(trace_id: bytes, span_id: bytes) -> bytes:
    """24 bytes by which a span is known again: its ids joined, or a digest of ids that are not 16 and 8 bytes."""
    if len(trace_id) == TRACE_ID_BYTES and len(span_id) == SPAN_ID_BYTES:
        return trace_id + span_id
    if not trace_id and not span_id:
        return NO_KEY
    return blake2b(trace_id, digest_size=KEY_BYTES, key=span_id[:64]).digest()


def split_keys(keys: bytes) -> list[bytes]:
    """Joined keys as a list."""
    return [key for (key,) in KEY.iter_unpack(keys)]


def _spans(body: bytes) -> tuple[list[Any], bool]:
    request = _parse(ExportTraceServiceRequest, body)
    scopes = [scope for resource in request.resource_spans for scope in resource.scope_spans]
    own = all(scope.scope.name == SCOPE for scope in scopes) and not len(UnknownFieldSet(request))
    return [span for scope in scopes for span in scope.spans], own


def _spans_one_by_one(body: bytes) -> tuple[list[Any], bool]:
    """The ids of each span alone; each is decoded, to see that it can be, and let go before the next."""
    ids: list[Any] = []
    whole = frame(body)
    own = not whole.rest
    for group in whole.resources:
        _parse(ResourceSpans, _small(group.rest))
        for scope in group.scopes:
            own = _parse(ScopeSpans, _small(scope.rest)).scope.name == SCOPE and own
            for field in scope.spans:
                span = _parse(Span, _small(body[field.value : field.end]))
                ids.append(_Ids(span.trace_id, span.span_id))
    return ids, own


def _small(piece: bytes) -> bytes:
    if len(piece) > PIECE_BYTES_MAX:
        raise TooLarge(f"a span, resource or scope has more than {PIECE_BYTES_MAX} bytes")
    return piece


def _parse(message: Any, body: bytes) -> Any:
    try:
        return message.FromString(body)
    except DecodeError:
        raise BadRequest("the body is not an OTLP ExportTraceServiceRequest in protobuf") from None
