"""Reads the cost export of OpenAI's dashboard: cost_<from>_<to>.csv, one row per UTC day and group.

Columns start_time, end_time, amount_value, amount_currency and line_item must be there; quantity, quantity_unit,
organization_id, project_id, api_key_id and user_id are taken where they are. Buckets without charges have no amount.
"""

import csv
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path

from analytics.invoices import values
from analytics.invoices.entries import Category, Covered, Entry
from analytics.invoices.errors import InvoiceInvalid, ValueBad
from analytics.invoices.line_items import understand

FORMAT = "openai_costs_csv"
REQUIRED = ("start_time", "end_time", "amount_value", "amount_currency", "line_item")
_SAYS_SOMETHING = ("line_item", "quantity", "amount_currency")


def read(path: Path) -> Iterator[Covered]:
    """The file's rows, one at a time. Raises InvoiceInvalid with the line and column of a bad value."""
    with path.open(encoding="utf-8-sig", newline="") as text:
        rows = csv.reader(text, strict=True)
        try:
            header = [name.strip() for name in next(rows, [])]
            for values_of_row in rows:
                if values_of_row:
                    yield _covered(path, rows.line_num, header, values_of_row)
        except csv.Error as error:
            raise InvoiceInvalid(path, f"damaged or cut off ({error})", place=f"line {rows.line_num}") from error
        except UnicodeDecodeError as error:
            raise InvoiceInvalid(path, "not UTF-8 text", place=f"after line {rows.line_num}") from error


def _covered(path: Path, line: int, header: list[str], fields: list[str]) -> Covered:
    if len(fields) != len(header):
        problem = f"{len(fields)} values under {len(header)} columns: the file was cut off or edited"
        raise InvoiceInvalid(path, problem, place=f"line {line}")
    row = _Row(path, line, dict(zip(header, fields, strict=True)))
    day = row.day()
    return day, None if row.is_empty else row.entry()


class _Row:
    """One row, with the place of whatever is wrong in it."""

    def __init__(self, path: Path, line: int, fields: dict[str, str]) -> None:
        self._path = path
        self._line = line
        self._fields = fields

    @property
    def is_empty(self) -> bool:
        """Whether the bucket has no charge. A row that names something and has no amount is not empty but wrong."""
        return all(values.absent(self._text(name)) for name in ("amount_value", *_SAYS_SOMETHING))

    def day(self) -> date:
        start, end = (self._seconds(name) for name in ("start_time", "end_time"))
        try:
            return values.day_of(start, end)
        except ValueBad as bad:
            raise self._invalid("start_time", str(bad)) from bad

    def entry(self) -> Entry:
        amount = self._amount()
        quantity = self._quantity()
        unit, line_item = self._optional("quantity_unit"), self._optional("line_item")
        meaning = understand(line_item, quantity, unit, amount)
        return Entry(
            row=self._line,
            place=f"line {self._line}",
            line_item=line_item,
            model=meaning.model,
            token_class=meaning.token_class,
            reason=meaning.reason,
            quantity=meaning.quantity,
            quantity_raw=self._optional("quantity"),
            quantity_unit=unit,
            amount=amount,
            amount_places=values.places(amount),
            is_double=False,
            currency=self._currency(),
            organization=self._optional("organization_id"),
            project_id=self._optional("project_id"),
            api_key_id=self._optional("api_key_id"),
            user_id=self._optional("user_id"),
            category=Category.CREDIT if amount < 0 else Category.USAGE,
        )

    def _amount(self) -> Decimal:
        if values.absent(self._text("amount_value")):
            raise self._invalid("amount_value", "empty, in a row that is not an empty bucket")
        try:
            return values.decimal_of(self._text("amount_value"))
        except ValueBad as bad:
            raise self._invalid("amount_value", str(bad)) from bad

    def _quantity(self) -> Decimal | None:
        text = self._text("quantity")
        try:
            return None if values.absent(text) else values.count_of(text)
        except ValueBad as bad:
            raise self._invalid("quantity", str(bad)) from bad

    def _currency(self) -> str:
        try:
            return values.currency_of(self._text("amount_currency"))
        except ValueBad as bad:
            raise self._invalid("amount_currency", str(bad)) from bad

    def _seconds(self, name: str) -> int:
        text = self._text(name).strip()
        if not (text.isascii() and text.isdigit()):
            raise self._invalid(name, f"{text[:40]!r} is not a time in Unix seconds")
        return int(text[:18])

    def _text(self, name: str) -> str:
        return self._fields.get(name, "")

    def _optional(self, name: str) -> str:
        text = self._text(name).strip()
        return "" if values.absent(text) else text

    def _invalid(self, column: str, problem: str) -> InvoiceInvalid:
        return InvoiceInvalid(self._path, problem, place=f"line {self._line}, column {column}")
