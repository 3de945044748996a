"""The frame around spans: where in a request's bytes each resource, scope and span lies, found without decoding a span.

Taking spans out then is leaving their bytes out; every other byte stays as it came. The number of fields looked at is
bounded, for a few mebibytes of empty messages would become gigabytes of objects in a decoder.
"""

from collections.abc import Container, Iterator
from typing import NamedTuple

from collector.refusals import BadRequest, TooLarge

FIELDS_MAX = 500_000
"""Of one request, over resources, scopes and spans together."""
RESOURCE_SPANS, SCOPE_SPANS, SPANS = 1, 2, 2
VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5


class Field(NamedTuple):
    """Where a field of a message lies: its tag, its value, its end."""

    number: int
    start: int
    value: int
    end: int


class Scope(NamedTuple):
    """A ScopeSpans: its spans, and its other fields' bytes."""

    spans: list[Field]
    rest: bytes


class ResourceGroup(NamedTuple):
    """A ResourceSpans: its scopes, and its other fields' bytes."""

    scopes: list[Scope]
    rest: bytes


class Frame(NamedTuple):
    """An ExportTraceServiceRequest: its resources, and its other fields' bytes."""

    resources: list[ResourceGroup]
    rest: bytes


def frame(body: bytes) -> Frame:
    """The frame of an ExportTraceServiceRequest; spans are in their order. Raises BadRequest, TooLarge."""
    walk = _Walk(body)
    groups: list[ResourceGroup] = []
    resources, around = walk.messages(0, len(body), RESOURCE_SPANS)
    for resource in resources:
        scopes, rest = walk.messages(resource.value, resource.end, SCOPE_SPANS)
        groups.append(ResourceGroup([Scope(*walk.messages(s.value, s.end, SPANS)) for s in scopes], rest))
    return Frame(groups, around)


def count(body: bytes, *path: Container[int]) -> int:
    """How many messages lie at the end of that path of field numbers. Raises BadRequest, TooLarge."""
    walk = _Walk(body, strict=())
    places = [(0, len(body))]
    for numbers in path:
        places = [(f.value, f.end) for start, end in places for f in walk.fields(start, end) if f.number in numbers]
    return len(places)


def without(body: bytes, dropped: Container[int]) -> bytes:
    """The request without the spans at those positions, which count from 0 in the spans' order.

    A scope or resource that then holds no span is left out too. Raises BadRequest, TooLarge.
    """
    position = 0
    pieces: list[bytes] = []
    for group in frame(body).resources:
        scopes: list[bytes] = []
        for scope in group.scopes:
            kept = [body[s.start : s.end] for i, s in enumerate(scope.spans, position) if i not in dropped]
            position += len(scope.spans)
            if kept:
                scopes.append(_message(SCOPE_SPANS, b"".join((scope.rest, *kept))))
        if scopes:
            pieces.append(_message(RESOURCE_SPANS, b"".join((group.rest, *scopes))))
    return b"".join(pieces)


class _Walk:
    def __init__(self, body: bytes, *, strict: Container[int] = (RESOURCE_SPANS, SPANS)) -> None:
        """Fields of the `strict` numbers must be messages or texts."""
        self._body = body
        self._strict = strict
        self._fields = 0

    def messages(self, start: int, end: int, number: int) -> tuple[list[Field], bytes]:
        """The fields of that number between start and end, and the bytes of all others."""
        found: list[Field] = []
        rest: list[bytes] = []
        for field in self.fields(start, end):
            if field.number == number:
                found.append(field)
            else:
                rest.append(self._body[field.start : field.end])
        return found, b"".join(rest)

    def fields(self, start: int, end: int) -> Iterator[Field]:
        """The fields between start and end."""
        while start < end:
            self._fields += 1
            if self._fields > FIELDS_MAX:
                raise TooLarge(f"the request has more than {FIELDS_MAX} spans, scopes and resources")
            tag, value = self._varint(start)
            number, wire = tag >> 3, tag & 7
            match wire:
                case 2:
                    length, value = self._varint(value)
                    stop = value + length
                case 0:
                    stop = self._varint(value)[1]
                case 1:
                    stop = value + 8
                case 5:
                    stop = value + 4
                case _:
                    raise BadRequest("the body has a field of a kind that OTLP does not use")
            if stop > end or not number:
                raise BadRequest("a field of the body ends behind its message")
            if wire != LENGTH and number in self._strict:
                raise BadRequest("a field of the body is not of the kind that OTLP gives it")
            yield Field(number, start, value, stop)
            start = stop

    def _varint(self, at: int) -> tuple[int, int]:
        value = shift = 0
        while shift < 70:
            if at >= len(self._body):
                raise BadRequest("the body ends within a field")
            byte = self._body[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value, at
            shift += 7
        raise BadRequest("the body has a number of more than 64 bits")


def _message(number: int, content: bytes) -> bytes:
    length = len(content)
    head = bytearray((number << 3 | LENGTH,))
    while length > 0x7F:
        head.append(length & 0x7F | 0x80)
        length >>= 7
    head.append(length)
    return bytes(head) + content
