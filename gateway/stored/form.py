"""A multipart form as it arrives, and as it goes on: parts one after the other, the file's bytes never gathered.

What goes on is written anew from what was read, with a boundary of our own: the vendor cannot read another form in it.
"""

import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TypeAlias

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from gateway.errors import InvalidRequest

FIELD_BYTES_MAX = 65_536
"""Of any part but the file."""
PARTS_MAX = 32
TEXT_MAX = 512
"""Characters of a part's name, file name or content type."""


@dataclass(frozen=True, slots=True)
class PartBegins:
    """The head of a part."""

    name: str
    filename: str | None
    content_type: str


@dataclass(frozen=True, slots=True)
class PartEnds:
    """The part that began last is whole."""


Event: TypeAlias = PartBegins | bytes | PartEnds


async def events(chunks: AsyncIterator[bytes], content_type: str) -> AsyncIterator[Event]:
    """What the form holds, as it comes. Raises InvalidRequest for what is no form, or one cut short."""
    media_type, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if media_type != b"multipart/form-data" or not boundary:
        raise InvalidRequest("Send the file as a form: `Content-Type: multipart/form-data; boundary=...`.")
    reader = _Reader()
    try:
        parser = MultipartParser(boundary, reader.callbacks())  # type: ignore[arg-type]
        async for chunk in chunks:
            if chunk and not reader.whole:
                parser.write(chunk)
                for event in reader.take():
                    yield event
    except FormParserError as error:
        raise InvalidRequest(f"The form cannot be read: {error}") from None
    if not reader.whole:
        raise InvalidRequest("The form ends before its last boundary.")


class _Reader:
    """The parser's callbacks, gathered into events."""

    def __init__(self) -> None:
        self.whole = False
        self._events: list[Event] = []
        self._field = self._value = b""
        self._headers: dict[bytes, bytes] = {}
        self._parts = 0

    def callbacks(self) -> dict[str, object]:
        return {
            "on_part_begin": self._begin,
            "on_part_data": lambda data, start, end: self._events.append(data[start:end]),
            "on_part_end": lambda: self._events.append(PartEnds()),
            "on_header_field": self._on_field,
            "on_header_value": self._on_value,
            "on_header_end": self._on_header,
            "on_headers_finished": self._on_headers,
            "on_end": self._on_end,
        }

    def take(self) -> list[Event]:
        taken, self._events = self._events, []
        return taken

    def _begin(self) -> None:
        self._headers = {}
        self._parts += 1
        if self._parts > PARTS_MAX:
            raise InvalidRequest(f"The form has more than {PARTS_MAX} parts.")

    def _on_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header(self) -> None:
        self._headers[self._field.lower()] = self._value
        self._field = self._value = b""

    def _on_headers(self) -> None:
        disposition, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        name = options.get(b"name")
        if disposition != b"form-data" or not name:
            raise InvalidRequest("A part of the form has no name.")
        filename = options.get(b"filename")
        shown = _text(filename) if filename is not None else None
        self._events.append(PartBegins(_text(name), shown, _text(self._headers.get(b"content-type", b""))))

    def _on_end(self) -> None:
        self.whole = True


def _text(raw: bytes) -> str:
    value = raw.decode("utf-8", "replace")
    if len(value) > TEXT_MAX or any(character < " " for character in value):
        raise InvalidRequest("A part of the form has a head that is too long, or not plain text.")
    return value


class FormWriter:
    """Parts as bytes."""

    def __init__(self) -> None:
        self.boundary = f"tollway-{os.urandom(16).hex()}"

    @property
    def content_type(self) -> str:
        """The header for the whole."""
        return f"multipart/form-data; boundary={self.boundary}"

    def begin(self, part: PartBegins) -> bytes:
        """A part's head."""
        lines = [f"--{self.boundary}", f'Content-Disposition: form-data; name="{_quoted(part.name)}"']
        if part.filename is not None:
            lines[1] += f'; filename="{_quoted(part.filename)}"'
        if part.content_type:
            lines.append(f"Content-Type: {part.content_type}")
        return "\r\n".join([*lines, "", ""]).encode()

    def end(self) -> bytes:
        """What stands behind a part."""
        return b"\r\n"

    def close(self) -> bytes:
        """What stands behind the last part."""
        return f"--{self.boundary}--\r\n".encode()


def _quoted(value: str) -> str:
    """As browsers write it (WHATWG, multipart/form-data encoding)."""
    return value.replace('"', "%22")
