"""A pack's tables as one .xlsx, a sheet each, the same bytes for the same rows.

Ids, hashes and other text are cells of the format "Text", so that no spreadsheet takes `00123` for a number or drops
the last digits of a long one. Amounts are numbers, which spreadsheets keep to fifteen digits: the CSVs beside it are
the record. Nothing is a formula, and what looks like one is text.
"""

import io
from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal

import xlsxwriter
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from analytics.pack import Table
from analytics.rfc4180 import Cell, text_of

MADE = datetime(1980, 1, 1)  # noqa: DTZ001 - the library's own wish; it is nobody's time, so that bytes repeat
DIGITS_MAX = 15
_OPTIONS = {
    "in_memory": True,
    "strings_to_formulas": False,
    "strings_to_urls": False,
    "strings_to_numbers": False,
    "default_date_format": "yyyy-mm-dd",
}


def render(tables: Iterable[Table]) -> bytes:
    """The workbook, its sheets named as the tables are without `.csv`."""
    content = io.BytesIO()
    book = xlsxwriter.Workbook(content, _OPTIONS)
    book.set_properties({"created": MADE})
    text, head = book.add_format({"num_format": "@"}), book.add_format({"bold": True, "num_format": "@"})
    for table in tables:
        sheet = book.add_worksheet(table.name.removesuffix(".csv")[:31])
        sheet.freeze_panes(1, 0)
        for column, name in enumerate(table.columns):
            sheet.write_string(0, column, name, head)
        for number, row in enumerate(table.rows, start=1):
            for column, value in enumerate(row):
                _write(sheet, number, column, value, text)
    book.close()
    return content.getvalue()


def _write(sheet: Worksheet, row: int, column: int, value: Cell, text: Format) -> None:
    match value:
        case None:
            return
        case bool() | str() | date():
            sheet.write_string(row, column, text_of(value), text)
        case int() | Decimal():
            if _digits(Decimal(value)) > DIGITS_MAX:
                sheet.write_string(row, column, text_of(value), text)
            else:
                sheet.write_number(row, column, value)


def _digits(amount: Decimal) -> int:
    return len(amount.normalize().as_tuple().digits)
