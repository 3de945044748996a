"""A table of rows, read one at a time: CSV, CSV in gzip, or Parquet. Whatever is wrong in a row is said with its place.

Memory does not grow with the length of the file. Values are text as the file has it; a Parquet file's are printed.
"""

import csv
import gzip
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, tzinfo
from decimal import Decimal
from difflib import get_close_matches
from io import TextIOWrapper
from pathlib import Path
from typing import IO, Any, cast

from analytics.invoices import values
from analytics.invoices.errors import InvoiceInvalid, ValueBad

GZIP = b"\x1f\x8b"
PARQUET = b"PAR1"
BATCH_ROWS = 10_000
DAMAGED = (EOFError, OSError, zlib.error)


def head_of(path: Path, size: int) -> bytes:
    """The first bytes of the file, inflated where it is gzip. Raises InvoiceInvalid for gzip that is damaged there."""
    with path.open("rb") as file:
        head = file.read(size)
    if not head.startswith(GZIP):
        return head
    try:
        with gzip.open(path) as file:
            return file.read(size)
    except DAMAGED as error:
        raise InvoiceInvalid(path, f"damaged gzip ({error})", place="its beginning") from error


def ends_whole(path: Path) -> bool:
    """Whether the last line has its line end; a compressed or binary file says itself where it ends."""
    with path.open("rb") as file:
        start = file.read(len(PARQUET))
        if not start or start.startswith(GZIP) or start == PARQUET:
            return True
        file.seek(-1, 2)
        return file.read(1) in b"\r\n"


def is_parquet(path: Path) -> bool:
    """Whether the file says that it is Parquet."""
    with path.open("rb") as file:
        return file.read(len(PARQUET)) == PARQUET


def header_of(path: Path, delimiter: str = ",") -> list[str]:
    """The names of the columns. Raises InvoiceInvalid where there are none to read."""
    if is_parquet(path):
        return [str(name) for name in _parquet(path).schema_arrow.names]
    line = head_of(path, 65_536).decode("utf-8-sig", "replace").lstrip().splitlines()[:1]
    try:
        return [name.strip() for name in next(csv.reader(line, delimiter=delimiter), [])]
    except csv.Error as error:
        raise InvoiceInvalid(path, f"a header that cannot be read ({error})", place="line 1") from error


def check_header(path: Path, header: Sequence[str], required: Iterable[str]) -> None:
    """Refuse a header in which a column is missing, perhaps renamed, or is there twice."""
    for name in required:
        if name not in header:
            near = get_close_matches(name, [other for other in header if other not in required], n=1, cutoff=0.6)
            there = f"; is it {near[0]!r}, column {header.index(near[0]) + 1}, renamed?" if near else ""
            raise InvoiceInvalid(path, f"column {name} is missing{there}", place="line 1")
    repeated = sorted({name for name in header if name and header.count(name) > 1})
    if repeated:
        raise InvoiceInvalid(path, f"column {repeated[0]} is there twice", place="line 1")


def rows(path: Path, required: Sequence[str], *, delimiter: str = ",") -> Iterator["Row"]:
    """The file's rows in order. Raises InvoiceInvalid for a header without those columns and for a damaged row."""
    check_header(path, header_of(path, delimiter), required)
    yield from _parquet_rows(path) if is_parquet(path) else _csv_rows(path, delimiter)


def _csv_rows(path: Path, delimiter: str) -> Iterator["Row"]:
    with _opened(path) as binary, TextIOWrapper(binary, "utf-8-sig", newline="") as text:
        lines = csv.reader(text, strict=True, delimiter=delimiter)
        try:
            header = [name.strip() for name in next(lines, [])]
            for fields in lines:
                if not fields:
                    continue
                if len(fields) != len(header):
                    problem = f"{len(fields)} values under {len(header)} columns: the file was cut off or edited"
                    raise InvoiceInvalid(path, problem, place=f"line {lines.line_num}")
                yield Row(path, lines.line_num, dict(zip(header, fields, strict=True)), unit="line")
        except csv.Error as error:
            raise InvoiceInvalid(path, f"damaged or cut off ({error})", place=f"line {lines.line_num}") from error
        except UnicodeDecodeError as error:
            raise InvoiceInvalid(path, "not UTF-8 text", place=f"after line {lines.line_num}") from error
        except DAMAGED as error:
            raise InvoiceInvalid(path, f"damaged or cut off ({error})", place=f"after line {lines.line_num}") from error


def _opened(path: Path) -> IO[bytes]:
    with path.open("rb") as file:
        is_gzip = file.read(len(GZIP)) == GZIP
    return cast("IO[bytes]", gzip.open(path, "rb")) if is_gzip else path.open("rb")


def _parquet(path: Path) -> Any:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        return parquet.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise InvoiceInvalid(path, f"damaged or cut off Parquet ({str(error)[:80]})") from error


def _parquet_rows(path: Path) -> Iterator["Row"]:
    import pyarrow as pa

    number = 0
    with _parquet(path) as file:
        try:
            for batch in file.iter_batches(batch_size=BATCH_ROWS):
                for record in batch.to_pylist(maps_as_pydicts="lossy"):
                    number += 1
                    yield Row(path, number, {name: _printed(value) for name, value in record.items()}, unit="row")
        except (pa.ArrowException, OSError) as error:
            problem = f"damaged or cut off Parquet ({str(error)[:80]})"
            raise InvoiceInvalid(path, problem, place=f"after row {number}") from error


def _printed(value: object) -> str:
    match value:
        case None:
            return ""
        case datetime() | date():
            return value.isoformat()
        case dict() | list():
            return json.dumps(value, default=str)
        case float():
            return repr(value)
        case _:
            return str(value)


class Row:
    """One row: its values by column, and the place of whatever is wrong in it."""

    def __init__(self, path: Path, number: int, fields: Mapping[str, str], *, unit: str) -> None:
        """`unit` is what `number` counts: line, or row."""
        self.path = path
        self.number = number
        self.fields = fields
        self.unit = unit

    @property
    def place(self) -> str:
        """Where the row is, such as "line 7"."""
        return f"{self.unit} {self.number}"

    @property
    def is_printed(self) -> bool:
        """Whether the values are prints of a binary file's: an amount may be a double's."""
        return self.unit == "row"

    def says(self, column: str) -> bool:
        """Whether the column is there and has a value."""
        return not values.absent(self.fields.get(column, ""))

    def text(self, column: str) -> str:
        """The value without space around it; "" where there is none, or the word null."""
        return self.fields.get(column, "").strip() if self.says(column) else ""

    def number_of(self, column: str) -> Decimal | None:
        """An exact number; None where there is none."""
        try:
            return values.decimal_of(self.fields[column]) if self.says(column) else None
        except ValueBad as bad:
            raise self.fault(column, str(bad)) from bad

    def amount(self, column: str) -> Decimal:
        """An exact number that has to be there."""
        found = self.number_of(column)
        if found is None:
            raise self.fault(column, "empty, where an amount is needed")
        return found

    def count(self, column: str) -> Decimal | None:
        """A number of zero or more; None where there is none."""
        found = self.number_of(column)
        if found is not None and found < 0:
            raise self.fault(column, f"{self.text(column)[:40]!r} is negative")
        return found

    def currency(self, column: str) -> str:
        """US dollars."""
        try:
            return values.currency_of(self.fields[column])
        except ValueBad as bad:
            raise self.fault(column, str(bad)) from bad

    def instant(self, column: str, *, zone: tzinfo = UTC, form: str = "") -> datetime:
        """A moment in UTC. `zone` is that of a text which names none; `form` is strptime's, "" = ISO 8601."""
        try:
            return values.instant_of(self.text(column), zone=zone, form=form)
        except ValueBad as bad:
            raise self.fault(column, str(bad)) from bad

    def object(self, column: str) -> dict[str, object]:
        """A JSON object; {} where there is none."""
        if not self.says(column):
            return {}
        try:
            found = json.loads(self.text(column), parse_float=Decimal)
        except ValueError as error:
            raise self.fault(column, f"not JSON ({error})") from error
        if not isinstance(found, dict):
            raise self.fault(column, "not a JSON object")
        return found

    def fault(self, column: str, problem: str) -> InvoiceInvalid:
        """Why this row cannot be taken."""
        return InvoiceInvalid(self.path, problem, place=f"{self.place}, column {column}")
