"""The few protobuf shapes that a span is made of, written straight to bytes.

A general encoder builds a message object per attribute and throws it away; a gateway writes the same thirty keys for
ever. So each key is encoded once, at import, and a value costs one concatenation. Only what OTLP spans need is here:
`KeyValue` attributes of a Span (field 9) or an Event (field 3). Nothing here reads a message.
"""

from struct import Struct

_DOUBLE = Struct("<d")
_INT64_MAX = 2**63 - 1
_SHORT = 64
"""Texts below this, under any key below 60 bytes, give lengths of one byte each: the common case, without varints."""
_KEY_MAX = 59


def varint(value: int) -> bytes:
    """A number >= 0 as a protobuf varint."""
    return _SMALL[value] if value < _SMALL_END else _varint(value)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


_SMALL_END = 0x8000
_SMALL = tuple(_varint(value) for value in range(_SMALL_END))
"""The varints of one and of two bytes, and the least of three: nearly all that are written."""


def message(tag: int, body: bytes) -> bytes:
    """A length-delimited field whose tag is one byte."""
    return bytes((tag,)) + varint(len(body)) + body


class Key:
    """One attribute key, encoded once; its methods give the whole attribute for a value."""

    __slots__ = ("_double", "_head", "_ints", "_size", "_tag_byte", "_texts", "_true", "name")

    def __init__(self, name: str, *, tag: int = 0x4A) -> None:
        """`tag` is the field that holds the attribute: 0x4A in a Span, 0x1A in an Event."""
        raw = name.encode()
        if len(raw) > _KEY_MAX:
            raise ValueError(f"{name} is {len(raw)} bytes, the encoder's bound is {_KEY_MAX}")
        self.name = name
        self._tag_byte = bytes((tag,))
        self._head = b"\x0a" + varint(len(raw)) + raw + b"\x12"
        self._size = len(self._head)
        self._texts = [self._lead(size + 2, 1) + bytes((0x0A, size)) for size in range(_SHORT)]
        self._ints = [self._lead(size + 1, 1) + b"\x18" for size in range(11)]
        self._double = self._lead(9, 1) + b"\x21"
        self._true = self._lead(2, 1) + b"\x10\x01"

    def _lead(self, any_value: int, any_size: int) -> bytes:
        return self._tag_byte + varint(self._size + any_size + any_value) + self._head + varint(any_value)

    def text(self, value: str) -> bytes:
        """A string attribute. What UTF-8 cannot carry (a lone surrogate) becomes `?`: better misspelt than lost."""
        raw = value.encode("utf-8", "replace")
        size = len(raw)
        if size < _SHORT:
            return self._texts[size] + raw
        return self._long(b"\x0a", raw)

    def integer(self, value: int) -> bytes:
        """An int attribute, 0 or more. Beyond 64 bits it stays at the largest: absurd, but on record."""
        raw = varint(min(value, _INT64_MAX))
        return self._ints[len(raw)] + raw

    def double(self, value: float) -> bytes:
        """A double attribute."""
        return self._double + _DOUBLE.pack(value)

    def true(self) -> bytes:
        """A bool attribute that holds; one that does not is left out."""
        return self._true

    def texts(self, value: str) -> bytes:
        """An array attribute of one string."""
        return self._long(b"\x2a", message(0x0A, message(0x0A, value.encode("utf-8", "replace"))))

    def _long(self, field: bytes, raw: bytes) -> bytes:
        size = varint(len(raw))
        any_size = varint(1 + len(size) + len(raw))
        total = varint(self._size + len(any_size) + 1 + len(size) + len(raw))
        return b"".join((self._tag_byte, total, self._head, any_size, field, size, raw))
