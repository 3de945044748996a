"""Reads answers of OpenAI's Costs API (/v1/organization/costs): one page, a list of pages, or pages one after another.

Numbers are read as Decimal, so no amount ever passes through a float of ours. Where the vendor's own number is a
float's print (more digits than a double holds), the amount is kept as it stands and its first fifteen digits count.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import NoReturn

from analytics.invoices import values
from analytics.invoices.entries import Category, Covered, Entry
from analytics.invoices.errors import InvoiceInvalid, ValueBad
from analytics.invoices.line_items import understand

FORMAT = "openai_costs_json"
SIZE_MAX_BYTES = 256 * 1024 * 1024
RESULT = "organization.costs.result"


def read(path: Path) -> Iterator[Covered]:
    """The results of every bucket. Raises InvoiceInvalid with the line, or the path in the JSON, of a bad value."""
    seen: dict[date, str] = {}
    row = 0
    last_page: Mapping[str, object] = {}
    for number, page in enumerate(pages(path), start=1):
        last_page = page
        for index, bucket in enumerate(_list(path, page.get("data"), f"page {number}, data")):
            place = f"page {number}, data[{index}]"
            day, results = _bucket(path, bucket, place)
            if day in seen:
                raise InvoiceInvalid(path, f"{day} is there twice, first in {seen[day]}", place=place)
            seen[day] = place
            if not results:
                yield day, None
            for position, result in enumerate(results):
                row += 1
                yield day, _Result(path, f"{place}.results[{position}]", result).entry(row)
    if last_page.get("has_more") is True:
        raise InvoiceInvalid(path, "the last page says has_more: fetch the pages that follow and append them")


def pages(path: Path) -> list[Mapping[str, object]]:
    """Every page in the file, in order. Raises InvoiceInvalid for what is not JSON, or not objects."""
    if path.stat().st_size > SIZE_MAX_BYTES:
        raise InvoiceInvalid(path, f"larger than {SIZE_MAX_BYTES // 1024**2} MiB; import fewer pages at a time")
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvoiceInvalid(path, "not UTF-8 text") from error
    decoder = json.JSONDecoder(parse_float=Decimal, parse_constant=_constant)
    found: list[Mapping[str, object]] = []
    at = 0
    while (at := _skip_space(text, at)) < len(text):
        try:
            value, at = decoder.raw_decode(text, at)
        except json.JSONDecodeError as error:
            place = f"line {error.lineno}, column {error.colno}"
            raise InvoiceInvalid(path, f"damaged or cut off JSON ({error.msg})", place=place) from error
        except (ValueError, RecursionError) as error:
            raise InvoiceInvalid(path, str(error) or "nested too deeply") from error
        for page in value if isinstance(value, list) else [value]:
            if not isinstance(page, dict):
                raise InvoiceInvalid(path, f"a page is a JSON {_kind(page)}, not an object", place=f"page {len(found)}")
            found.append(page)
    return found


def _bucket(path: Path, bucket: object, place: str) -> tuple[date, list[object]]:
    if not isinstance(bucket, dict):
        raise InvoiceInvalid(path, f"a bucket is a JSON {_kind(bucket)}, not an object", place=place)
    start, end = bucket.get("start_time"), bucket.get("end_time")
    if not isinstance(start, int) or not isinstance(end, int):
        raise InvoiceInvalid(path, "start_time and end_time are not Unix seconds", place=place)
    try:
        return values.day_of(start, end), _list(path, bucket.get("results"), f"{place}.results")
    except ValueBad as bad:
        raise InvoiceInvalid(path, str(bad), place=place) from bad


class _Result:
    """One result of a bucket, with the place of whatever is wrong in it."""

    def __init__(self, path: Path, place: str, result: object) -> None:
        if not isinstance(result, dict):
            raise InvoiceInvalid(path, f"a result is a JSON {_kind(result)}, not an object", place=place)
        kind = result.get("object", RESULT)
        if kind != RESULT:
            raise InvoiceInvalid(path, f"a result is {str(kind)[:60]!r}; only {RESULT!r} is an invoice", place=place)
        self._path = path
        self._place = place
        self._result: dict[str, object] = result

    def entry(self, row: int) -> Entry:
        amount, currency, is_double = self._amount()
        quantity = self._number(self._result.get("quantity"), "quantity")
        if quantity is not None and quantity < 0:
            raise self._invalid("quantity", f"{quantity} is negative")
        unit, line_item = self._text("quantity_unit"), self._text("line_item")
        meaning = understand(line_item, quantity, unit, amount)
        return Entry(
            row=row,
            place=self._place,
            line_item=line_item,
            model=meaning.model,
            token_class=meaning.token_class,
            reason=meaning.reason,
            quantity=meaning.quantity,
            quantity_raw="" if quantity is None else f"{quantity:f}",
            quantity_unit=unit,
            amount=amount,
            amount_places=values.meant_places(amount) if is_double else values.places(amount),
            is_double=is_double,
            currency=currency,
            organization=self._text("organization_id"),
            project_id=self._text("project_id"),
            api_key_id=self._text("api_key_id"),
            user_id=self._text("user_id"),
            category=Category.CREDIT if amount < 0 else Category.USAGE,
        )

    def _amount(self) -> tuple[Decimal, str, bool]:
        given = self._result.get("amount")
        if not isinstance(given, dict):
            raise self._invalid("amount", f"a JSON {_kind(given)}, not an object with value and currency")
        amount = self._number(given.get("value"), "amount.value")
        if amount is None:
            raise self._invalid("amount.value", "missing")
        try:
            currency = values.currency_of(str(given.get("currency", "")))
        except ValueBad as bad:
            raise self._invalid("amount.currency", str(bad)) from bad
        return amount, currency, not isinstance(given.get("value"), str) and values.is_double(amount)

    def _number(self, value: object, name: str) -> Decimal | None:
        """A JSON number, or one written as text."""
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
            raise self._invalid(name, f"a JSON {_kind(value)}, not a number")
        try:
            return values.decimal_of(str(value))
        except ValueBad as bad:
            raise self._invalid(name, str(bad)) from bad

    def _text(self, name: str) -> str:
        value = self._result.get(name)
        return "" if value is None else str(value)

    def _invalid(self, name: str, problem: str) -> InvoiceInvalid:
        return InvoiceInvalid(self._path, problem, place=f"{self._place}.{name}")


def _list(path: Path, value: object, place: str) -> list[object]:
    if not isinstance(value, list):
        raise InvoiceInvalid(path, f"a JSON {_kind(value)}, not a list", place=place)
    return value


def _constant(name: str) -> NoReturn:
    raise ValueBad(f"{name} is not an amount")


def _kind(value: object) -> str:
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


def _skip_space(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at
