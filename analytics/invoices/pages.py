"""Answers of a vendor's API as a file keeps them: one page, a list of pages, or pages one after another.

Numbers are read as Decimal, so no amount ever passes through a float of ours. Pages are read one at a time, so a
file may be of any length; whatever is wrong in one is said with its place: the line, or the path in the JSON.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import NoReturn

from analytics.invoices import values
from analytics.invoices.errors import InvoiceInvalid, ValueBad

CHUNK = 1024 * 1024
DOCUMENT_MAX = 128 * 1024 * 1024
"""Characters of one page."""


class Node:
    """An object of the JSON, and where it is."""

    def __init__(self, path: Path, place: str, value: object, *, what: str) -> None:
        """`what` names it in the message where it is no object: "a bucket"."""
        if not isinstance(value, dict):
            raise InvoiceInvalid(path, f"{what} is a JSON {kind(value)}, not an object", place=place)
        self.path = path
        self.place = place
        self.value: dict[str, object] = value

    def items(self, name: str) -> list[object]:
        """A list. Raises InvoiceInvalid."""
        value = self.value.get(name)
        if not isinstance(value, list):
            raise self.fault(name, f"a JSON {kind(value)}, not a list")
        return value

    def text(self, name: str) -> str:
        """A text; "" for null, or where there is none."""
        value = self.value.get(name)
        return "" if value is None else str(value)

    def number(self, name: str, *, below: str = "") -> Decimal | None:
        """A JSON number, or one written as text; None for null. `below` is the object in which it is."""
        value = (self._inner(below) if below else self.value).get(name)
        shown = f"{below}.{name}" if below else name
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
            raise self.fault(shown, f"a JSON {kind(value)}, not a number")
        try:
            return values.decimal_of(str(value))
        except ValueBad as bad:
            raise self.fault(shown, str(bad)) from bad

    def count(self, name: str, *, below: str = "") -> Decimal | None:
        """A number of zero or more; None for null."""
        found = self.number(name, below=below)
        if found is not None and found < 0:
            raise self.fault(f"{below}.{name}" if below else name, f"{found} is negative")
        return found

    def tokens(self, name: str, *, below: str = "") -> int:
        """A whole number of zero or more; 0 for null."""
        found = self.count(name, below=below) or Decimal(0)
        if found != found.to_integral_value():
            raise self.fault(name, f"{found} is not a whole number of tokens")
        return int(found)

    def currency(self, name: str) -> str:
        """US dollars."""
        try:
            return values.currency_of(self.text(name))
        except ValueBad as bad:
            raise self.fault(name, str(bad)) from bad

    def instant(self, name: str) -> datetime:
        """A moment in UTC: RFC 3339, or Unix seconds."""
        value = self.value.get(name)
        try:
            return values.moment_of(value) if isinstance(value, int) else values.instant_of(self.text(name))
        except ValueBad as bad:
            raise self.fault(name, str(bad)) from bad

    def fault(self, name: str, problem: str) -> InvoiceInvalid:
        """Why this cannot be taken."""
        return InvoiceInvalid(self.path, problem, place=f"{self.place}.{name}")

    def _inner(self, name: str) -> Mapping[str, object]:
        value = self.value.get(name)
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise self.fault(name, f"a JSON {kind(value)}, not an object")
        return value


def buckets(path: Path) -> Iterator[Node]:
    """Every bucket of every page. Raises InvoiceInvalid, at the end for pages of which the rest is missing."""
    last_page: Mapping[str, object] = {}
    for number, page in enumerate(pages(path), start=1):
        last_page = page
        data = page.get("data")
        if not isinstance(data, list):
            raise InvoiceInvalid(path, f"a JSON {kind(data)}, not a list", place=f"page {number}, data")
        for index, bucket in enumerate(data):
            yield Node(path, f"page {number}, data[{index}]", bucket, what="a bucket")
    if last_page.get("has_more") is True:
        raise InvoiceInvalid(path, "the last page says has_more: fetch the pages that follow and append them")


def results(bucket: Node) -> Iterator[Node]:
    """The results of a bucket."""
    for position, result in enumerate(bucket.items("results")):
        yield Node(bucket.path, f"{bucket.place}.results[{position}]", result, what="a result")


def pages(path: Path) -> Iterator[Mapping[str, object]]:
    """Every page in the file, in order. Raises InvoiceInvalid for what is not JSON, or not objects."""
    number = 0
    for value in _documents(path):
        for page in value if isinstance(value, list) else [value]:
            if not isinstance(page, dict):
                raise InvoiceInvalid(path, f"a page is a JSON {kind(page)}, not an object", place=f"page {number}")
            number += 1
            yield page


def _documents(path: Path) -> Iterator[object]:
    """The JSON values of the file one after another, of which one at a time is in memory."""
    decoder = json.JSONDecoder(parse_float=Decimal, parse_constant=_constant)
    text, line, column = "", 1, 1
    try:
        with path.open(encoding="utf-8-sig") as file:
            while (more := file.read(max(CHUNK, len(text)))) or text:
                text += more
                at = _skip_space(text, 0)
                while at < len(text):
                    try:
                        value, end = decoder.raw_decode(text, at)
                    except json.JSONDecodeError as error:
                        if more and len(text) <= DOCUMENT_MAX:
                            break  # It may go on in what was not read yet.
                        raise _damaged(path, text, error, line, column) from error
                    yield value
                    at = _skip_space(text, end)
                line, column = _moved(text[:at], line, column)
                text = text[at:]
    except InvoiceInvalid:
        raise
    except UnicodeDecodeError as error:
        raise InvoiceInvalid(path, "not UTF-8 text", place=f"after line {line}") from error
    except (ValueError, RecursionError) as error:
        raise InvoiceInvalid(path, str(error) or "nested too deeply", place=f"after line {line}") from error


def _damaged(path: Path, text: str, error: json.JSONDecodeError, line: int, column: int) -> InvoiceInvalid:
    if len(text) > DOCUMENT_MAX:
        return InvoiceInvalid(path, f"a page of more than {DOCUMENT_MAX // 1024**2} Mi characters, or damaged JSON")
    line, column = _moved(text[: error.pos], line, column)
    return InvoiceInvalid(path, f"damaged or cut off JSON ({error.msg})", place=f"line {line}, column {column}")


def _moved(text: str, line: int, column: int) -> tuple[int, int]:
    """Where in the file one is behind the text."""
    ends = text.count("\n")
    return line + ends, len(text) - text.rfind("\n") if ends else column + len(text)


def kind(value: object) -> str:
    """What JSON calls such a value."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | Decimal():
            return "number"
        case str():
            return "string"
        case list():
            return "list"
        case _:
            return "object"


def _constant(name: str) -> NoReturn:
    raise ValueBad(f"{name} is not an amount")


def _skip_space(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at
