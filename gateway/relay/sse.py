"""Server-sent events as bytes: where whole events end, and what data an event carries (WHATWG HTML, section 9.2)."""

import re
from collections.abc import Iterator

EVENT_BYTES_MAX = 16 * 1024 * 1024
"""An event longer than this is taken for a server gone wrong."""

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
"""A stream may begin with one; it is no part of the first line."""

_BLANK_LINE = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r)")
_LINE_END = re.compile(rb"\r\n|\n|\r")


class EventTooLong(ValueError):
    """An event that does not end."""


class Splitter:
    """Cuts a stream into the whole events it has brought and a tail still to be completed."""

    __slots__ = ("_tail",)

    def __init__(self) -> None:
        self._tail = b""

    def feed(self, piece: bytes) -> bytes:
        """All whole events now at hand, their blank lines included; b"" if none. Raises EventTooLong."""
        seen = len(self._tail)
        data = self._tail + piece if seen else piece
        # A blank line may begin in what was there before; no further back than three bytes.
        end = _end_of_last(data, max(0, seen - 3))
        if len(data) - end > EVENT_BYTES_MAX:
            raise EventTooLong(f"an event of more than {EVENT_BYTES_MAX} bytes")
        self._tail = data[end:]
        return data[:end]

    def rest(self) -> bytes:
        """What came after the last whole event; the stream's end completes it."""
        rest, self._tail = self._tail, b""
        return rest


def _end_of_last(data: bytes, start: int) -> int:
    """Where the last whole event ends; 0 if there is none behind `start`."""
    if data.find(b"\r", start) < 0:
        last = data.rfind(b"\n\n", start)
        return last + 2 if last >= 0 else 0
    end = 0
    for blank in _BLANK_LINE.finditer(data, start):
        end = blank.end()
    return end


def events(data: bytes, start: int = 0) -> Iterator[bytes]:
    """Each event of a run of whole events, from `start` on, its blank line included; what follows the last blank line
    comes last."""
    if data.find(b"\r", start) < 0:
        while (end := data.find(b"\n\n", start)) >= 0:
            yield data[start : end + 2]
            start = end + 2
    else:
        for blank in _BLANK_LINE.finditer(data, start):
            yield data[start : blank.end()]
            start = blank.end()
    if start < len(data):
        yield data[start:]


def data_of(event: bytes) -> bytes | None:
    """The event's data, its lines joined by newlines; None for a comment or an event without data."""
    if event.startswith(b"data: ") and event.find(b"\n") >= len(event) - 2 and b"\r" not in event:
        return event[6:].rstrip(b"\n")
    lines = []
    for line in _LINE_END.split(event.removeprefix(BYTE_ORDER_MARK)):
        name, _, value = line.partition(b":")
        if name == b"data":
            lines.append(value.removeprefix(b" "))
    return b"\n".join(lines) if lines else None
