"""The JSON lines of a batch: cut from a stream of pieces, and each made fit for the upstream that takes the file.

A line names one of the tenant's aliases; what goes up names the upstream's model. All lines of a file name the same
alias, as vendors ask too. Every fault names its line, counted from 1.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import orjson

from gateway.errors import CallerError, InvalidRequest
from gateway.wire.kinds import Kind

KINDS = {kind.route: kind for kind in Kind}


class LineTooLong(ValueError):
    """A line goes beyond its bound."""


class Cutter:
    """Whole lines out of pieces of any size; blank ones are left out. A line may have `line_max` bytes."""

    def __init__(self, line_max: int) -> None:
        self._line_max = line_max
        self._rest = bytearray()
        self.number = 0
        """Of the line given last."""
        self.taken = 0
        """Bytes of all lines up to and with that one."""

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """The lines that are whole now, without their ends. Raises LineTooLong."""
        self._rest += piece
        if b"\n" not in piece:
            self._check(len(self._rest))
            return
        lines = bytes(self._rest).split(b"\n")
        self._rest = bytearray(lines.pop())
        for line in lines:
            self.number += 1
            self.taken += len(line) + 1
            self._check(len(line), behind=0)
            if line.strip():
                yield line
        self._check(len(self._rest))

    def end(self) -> Iterator[bytes]:
        """The last line, if it has no end of its own."""
        line = bytes(self._rest)
        self._rest.clear()
        if line:
            self.number += 1
            self.taken += len(line)
        if line.strip():
            yield line

    def _check(self, size: int, behind: int = 1) -> None:
        if size > self._line_max:
            raise LineTooLong(f"Line {self.number + behind} is longer than {self._line_max} bytes.")


@dataclass(frozen=True, slots=True)
class Line:
    """One request of a batch."""

    fields: Mapping[str, object]
    body: Mapping[str, object]
    alias: str
    kind: Kind

    def for_upstream(self, model: str, changes: Mapping[str, object]) -> bytes:
        """The line to send, its end included."""
        return orjson.dumps({**self.fields, "body": {**self.body, **changes, "model": model}}) + b"\n"


def read_line(text: bytes, number: int) -> Line:
    """What a line asks for. Raises InvalidRequest."""
    try:
        fields = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise fault(number, f"is not valid JSON: {error}") from None
    if not isinstance(fields, dict):
        raise fault(number, "is not a JSON object")
    body = fields.get("body")
    if not isinstance(body, dict):
        raise fault(number, "has no `body`, an object")
    kind = KINDS.get(url) if isinstance(url := fields.get("url"), str) else None
    if kind is None:
        raise fault(number, f"has no `url` that a batch can call; these can be: {', '.join(KINDS)}")
    if not isinstance(fields.get("custom_id"), str) or not fields["custom_id"]:
        raise fault(number, "has no `custom_id`, a text")
    alias = body.get("model")
    if not isinstance(alias, str) or not alias:
        raise fault(number, "names no model: `body.model` must be a non-empty string")
    return Line(fields, body, alias, kind)


def fault(number: int, words: str) -> InvalidRequest:
    """A fault of that line."""
    return InvalidRequest(f"Line {number} {words}.", param="file")


def at_line(number: int, error: CallerError) -> CallerError:
    """The same error, naming its line."""
    told = type(error)(f"Line {number}: {error.message}", param="file")
    told.status = error.status
    return told
