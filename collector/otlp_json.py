"""OTLP/JSON, turned into the protobuf it stands for; no message objects are built on the way.

The rules are those of the OTLP specification ("JSON Protobuf Encoding"), which differ from protobuf's own: trace and
span ids are hexadecimal in any case, enums are integers only, keys are lowerCamelCase only. 64-bit integers come as
numbers or decimal strings, other bytes as base64, and unknown fields are ignored. Fields are written in the order of
their numbers, whatever order they came in, so the same request gives the same bytes.
"""

import binascii
import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import orjson

from collector.refusals import BadRequest, TooLarge

DEPTH_MAX = 100
"""Messages within messages: what protobuf decoders accept."""
HEX_IDS = frozenset({"traceId", "spanId", "parentSpanId"})
VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
BYTES_TYPE = 12


class _Fault(Exception):
    """What is wrong with a value; the places it lies in are added on the way out."""

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.place: list[str] = []


def memory(body: bytes) -> int:
    """About how many bytes of memory it takes to decode that JSON; never much less than it takes."""
    objects, lists, values, quotes = (body.count(mark) for mark in (b"{", b"[", b",", b'"'))
    return 4 * len(body) + 240 * objects + 120 * lists + 64 * values + 40 * quotes


def to_protobuf(body: bytes, descriptor: Any, *, memory_max: int) -> bytes:
    """The message of that descriptor which the JSON stands for, serialised.

    Raises BadRequest, naming the place, for what is not one; TooLarge where decoding could take over `memory_max`.
    """
    if memory(body) > memory_max:
        raise TooLarge(
            f"decoding this JSON could take more than {memory_max} bytes of memory: send smaller batches, or protobuf"
        )
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"the body is not JSON: {error}") from None
    try:
        return _message(value, _shape(descriptor), 0)
    except _Fault as fault:
        place = "".join(reversed(fault.place)).lstrip(".") or "the body"
        raise BadRequest(f"{place}: {fault}") from None


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    tag: bytes
    write: Callable[[Any], bytes] | None
    """None = a message,"""
    inner: Any
    """of this descriptor."""
    repeated: bool
    oneof: str
    """Of the fields with the same, at most one is set; "" = it stands alone."""


@cache
def _shape(descriptor: Any) -> tuple[_Field, ...]:
    """A message's fields, by number."""
    return tuple(_field(field) for field in sorted(descriptor.fields, key=lambda field: int(field.number)))


def _field(field: Any) -> _Field:
    name = str(field.json_name)
    write, wire = _SCALARS.get(field.type, (None, LENGTH))
    if name in HEX_IDS and field.type == BYTES_TYPE:
        write = _hex
    return _Field(
        name=name,
        tag=_varint(field.number << 3 | wire),
        write=write,
        inner=field.message_type,
        repeated=bool(field.is_repeated),
        oneof=str(field.containing_oneof.name) if field.containing_oneof is not None else "",
    )


def _message(value: object, shape: tuple[_Field, ...], depth: int) -> bytes:
    if not isinstance(value, dict):
        raise _Fault(f"an object is needed, not {_kind(value)}")
    if depth > DEPTH_MAX:
        raise _Fault(f"more than {DEPTH_MAX} objects within each other")
    pieces: list[bytes] = []
    chosen: dict[str, str] = {}
    for field in shape:
        given = value.get(field.name)
        if given is None:
            continue
        if field.oneof and chosen.setdefault(field.oneof, field.name) != field.name:
            raise _Fault(f"{chosen[field.oneof]} and {field.name} exclude each other")
        try:
            _write(given, field, depth, pieces)
        except _Fault as fault:
            fault.place.append(f".{field.name}")
            raise
    return b"".join(pieces)


def _write(given: object, field: _Field, depth: int, pieces: list[bytes]) -> None:
    if not field.repeated:
        pieces += (field.tag, _value(given, field, depth))
        return
    if not isinstance(given, list):
        raise _Fault(f"a list is needed, not {_kind(given)}")
    for position, one in enumerate(given):
        try:
            pieces += (field.tag, _value(one, field, depth))
        except _Fault as fault:
            fault.place.append(f"[{position}]")
            raise


def _value(given: object, field: _Field, depth: int) -> bytes:
    if field.write is not None:
        return field.write(given)
    return _delimited(_message(given, _shape(field.inner), depth + 1))


def _varint(number: int) -> bytes:
    if number < 0x80:
        return bytes((number,))
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _delimited(content: bytes) -> bytes:
    return _varint(len(content)) + content


def _text(given: object) -> str:
    if not isinstance(given, str):
        raise _Fault(f"a text is needed, not {_kind(given)}")
    return given


def _string(given: object) -> bytes:
    return _delimited(_text(given).encode())


def _hex(given: object) -> bytes:
    text = _text(given)
    try:
        return _delimited(binascii.unhexlify(text))
    except ValueError:
        raise _Fault("an id is written in hexadecimal digits, two for each byte") from None


def _base64(given: object) -> bytes:
    text = _text(given).replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return _delimited(binascii.a2b_base64(text + "=" * (-len(text) % 4), strict_mode=True))
    except ValueError:
        raise _Fault("bytes are written in base64") from None


def _bool(given: object) -> bytes:
    if not isinstance(given, bool):
        raise _Fault(f"true or false is needed, not {_kind(given)}")
    return b"\x01" if given else b"\x00"


def _double(given: object) -> bytes:
    if isinstance(given, str) and given in ("NaN", "Infinity", "-Infinity"):
        return struct.pack("<d", float(given))
    if isinstance(given, bool) or not isinstance(given, int | float | str):
        raise _Fault(f"a number is needed, not {_kind(given)}")
    try:
        number = float(given)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise _Fault("that text is not a number")
    return struct.pack("<d", number)


def _integer(given: object, low: int, high: int) -> int:
    if isinstance(given, str):
        digits = given.removeprefix("-")
        if not (digits.isascii() and digits.isdigit() and len(digits) <= 20):
            raise _Fault("that text is not a whole number")
        number = int(given)
    elif isinstance(given, float) and given.is_integer():
        number = int(given)
    elif isinstance(given, int) and not isinstance(given, bool):
        number = given
    else:
        raise _Fault(f"a whole number is needed, not {_kind(given)}")
    if not low <= number <= high:
        raise _Fault(f"{number} is not between {low} and {high}")
    return number


def _signed(bits: int) -> Callable[[Any], bytes]:
    half = 1 << bits - 1
    return lambda given: _varint(_integer(given, -half, half - 1) & 0xFFFF_FFFF_FFFF_FFFF)


def _enum(given: object) -> bytes:
    if isinstance(given, str):
        raise _Fault("OTLP/JSON writes an enum as its number, not as a text")
    return _signed(32)(given)


def _zigzag(given: object) -> bytes:
    number = _integer(given, -(1 << 31), (1 << 31) - 1)
    return _varint((number << 1 ^ number >> 31) & 0xFFFF_FFFF)


def _unsigned(bits: int) -> Callable[[Any], bytes]:
    high = (1 << bits) - 1
    return lambda given: _varint(_integer(given, 0, high))


def _fixed(form: str, low: int, high: int) -> Callable[[Any], bytes]:
    return lambda given: struct.pack(form, _integer(given, low, high))


_SCALARS: dict[int, tuple[Callable[[Any], bytes], int]] = {
    1: (_double, FIXED64),
    3: (_signed(64), VARINT),
    4: (_unsigned(64), VARINT),
    5: (_signed(32), VARINT),
    6: (_fixed("<Q", 0, (1 << 64) - 1), FIXED64),
    7: (_fixed("<I", 0, (1 << 32) - 1), FIXED32),
    8: (_bool, VARINT),
    9: (_string, LENGTH),
    12: (_base64, LENGTH),
    13: (_unsigned(32), VARINT),
    14: (_enum, VARINT),
    16: (_fixed("<q", -(1 << 63), (1 << 63) - 1), FIXED64),
    17: (_zigzag, VARINT),
}
"""How a field is written and of which wire type it is, by its type's number in a descriptor; OTLP uses no others."""


def _kind(given: object) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "a truth value", type(None): "null"}
    return names.get(type(given), "a number")
