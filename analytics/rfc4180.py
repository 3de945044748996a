"""CSV for finance: RFC 4180, the same rows give the same bytes, and no cell runs as a formula.

Numbers are plain decimals (`.`, no thousands, never an exponent), days are ISO dates, instants end in Z. Text that a
spreadsheet would take for a formula gets a leading apostrophe; numbers never do, so -5.00 stays a number. Lines end in
CRLF; UTF-8 without a byte order mark.
"""

import csv
import io
import os
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

from gateway.domain.money import plain

Cell = str | int | Decimal | date | datetime | bool | None

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\0")


def render(columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> bytes:
    """The table as bytes, in the order given. None is an empty cell; a float is refused with TypeError."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n", strict=True)
    writer.writerow(columns)
    for row in rows:
        if len(row) != len(columns):
            raise ValueError(f"a row has {len(row)} cells under {len(columns)} columns")
        writer.writerow([guarded(value) if isinstance(value, str) else text_of(value) for value in row])
    return text.getvalue().encode("utf-8")


def write_whole(path: Path, content: bytes) -> None:
    """Put the content at `path` whole or not at all: a temporary file, synced, renamed over it, its folder synced."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def guarded(text: str) -> str:
    """Text that no spreadsheet takes for a formula (OWASP ASVS 1.2.10)."""
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


def unguarded(text: str) -> str:
    """What `guarded` was given."""
    return text[1:] if text.startswith("'") and text[1:].startswith(_FORMULA_STARTS) else text


def text_of(value: Cell) -> str:
    """The one form of a value, without the guard that text gets in a file. Raises TypeError for a float."""
    match value:
        case None:
            return ""
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case Decimal():
            return plain(value)
        case datetime():
            return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        case date():
            return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no one form in a CSV")
