"""Tells what kind of file it was given, from its first bytes and its header; the name does not matter.

Kinds that are known and not taken are named, so that whoever picked the wrong export learns which one it was.
"""

import csv
import json
from decimal import Decimal
from pathlib import Path

from analytics.invoices import openai_csv, openai_json
from analytics.invoices.entries import Reader
from analytics.invoices.errors import InvoiceInvalid

ACCEPTED = "OpenAI's cost export (CSV of the dashboard) or answers of its Costs API (JSON)"
HEAD_BYTES = 65_536

_MAGIC = {
    b"PK\x03\x04": "a zip file or a spreadsheet",
    b"\x1f\x8b": "a gzip file",
    b"%PDF": "a PDF",
    b"PAR1": "a Parquet file",
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
    b"\xd0\xcf\x11\xe0": "an old spreadsheet",
}
_KNOWN_CSV = (
    ({"BilledCost", "ChargePeriodStart"}, "a FOCUS cost and usage file"),
    ({"start_time", "num_model_requests"}, "OpenAI's usage export, which has no amounts"),
    ({"start_time", "input_tokens"}, "OpenAI's usage export, which has no amounts"),
    ({"usage_date_utc", "cost_usd"}, "Anthropic's cost export"),
    ({"usage_date_utc"}, "Anthropic's usage export"),
    ({"generation_id", "cost_total"}, "OpenRouter's activity export"),
    ({"line_item_usage_type"}, "an AWS cost and usage report"),
    ({"meterCategory"}, "an Azure cost export"),
    ({"sku.id"}, "a Google Cloud billing export"),
    ({"tenant", "alias", "billed_cost"}, "a file of Tollway's own monthly pack"),
)
_TIMES = {"start_time", "end_time", "start_time_iso", "end_time_iso"}


def kind_of(path: Path) -> tuple[str, Reader]:
    """The file's format and its reader. Raises InvoiceInvalid, saying what was found and what is accepted."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    for magic, name in _MAGIC.items():
        if head.startswith(magic):
            raise _other(path, name)
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not start:
        raise _other(path, "an empty file")
    if b"\0" in head:
        raise _other(path, "a binary file")
    if start[:1] in (b"{", b"["):
        _check_json(path)
        return openai_json.FORMAT, openai_json.read
    _check_csv(path, start)
    return openai_csv.FORMAT, openai_csv.read


def _check_csv(path: Path, head: bytes) -> None:
    line = head.splitlines()[0].decode("utf-8", "replace")
    if line.startswith("<"):
        raise _other(path, "a web page or XML")
    header = [name.strip() for name in next(csv.reader([line]), [])]
    names = set(header)
    if names.issuperset(openai_csv.REQUIRED):
        repeated = sorted({name for name in header if header.count(name) > 1})
        if repeated:
            raise InvoiceInvalid(path, f"column {repeated[0]} is there twice", place="line 1")
        return
    for signature, name in _KNOWN_CSV:
        if names.issuperset(signature):
            raise _other(path, name)
    if names and names <= _TIMES:
        raise _other(path, "an export with times and nothing else, as of an organization without usage")
    if len(header) == 1 and any(mark in line for mark in ";\t|"):
        raise _other(path, "a table not separated by commas; it may have been saved again by a spreadsheet")
    if "start_time" in names or "amount_value" in names:
        missing = ", ".join(name for name in openai_csv.REQUIRED if name not in names)
        raise _other(path, f"a table without the columns {missing}")
    raise _other(path, f"text that begins {line[:60]!r}")


def _check_json(path: Path) -> None:
    for number, page in enumerate(openai_json.pages(path), start=1):
        data = page.get("data")
        if isinstance(data, list) and page.get("object", "page") == "page":
            continue
        if "error" in page:
            raise _other(path, f"an error answer ({_short(page['error'])})", place=f"page {number}")
        raise _other(path, f"JSON with {', '.join(sorted(page)[:6]) or 'nothing in it'}", place=f"page {number}")


def _short(value: object) -> str:
    return json.dumps(value, default=lambda number: str(number) if isinstance(number, Decimal) else "?")[:80]


def _other(path: Path, found: str, *, place: str = "") -> InvoiceInvalid:
    return InvoiceInvalid(path, f"this is {found}; accepted: {ACCEPTED}", place=place)
