"""Tells what kind of file it was given, from its first bytes and its header; the name does not matter.

Kinds that are known and not taken are named, so that whoever picked the wrong export learns which one it was.
"""

import csv
import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path

from analytics.invoices import pages, table
from analytics.invoices.errors import InvoiceInvalid
from analytics.invoices.formats import (
    anthropic_costs_csv,
    anthropic_costs_json,
    anthropic_usage_csv,
    anthropic_usage_json,
    aws_cur,
    focus_costs,
    focus_invoice,
    mapped,
    openai_costs_csv,
    openai_costs_json,
    openai_usage_json,
    openrouter_csv,
)
from analytics.invoices.importer import Importer

TABLES: tuple[Importer, ...] = (
    openai_costs_csv.IMPORTER,
    anthropic_costs_csv.IMPORTER,
    anthropic_usage_csv.IMPORTER,
    aws_cur.IMPORTER,
    openrouter_csv.IMPORTER,
    focus_costs.IMPORTER,
    focus_invoice.IMPORTER,
    *mapped.shipped(),
)
ANSWERS: tuple[Importer, ...] = (
    openai_costs_json.IMPORTER,
    openai_usage_json.IMPORTER,
    anthropic_costs_json.IMPORTER,
    anthropic_usage_json.IMPORTER,
)
HEAD_BYTES = 65_536
LIKENESS = 0.6
"""Share of a format's columns with which a table is taken to be of it, and the others to be missing."""

_MAGIC = {
    b"PK\x03\x04": "a zip file or a spreadsheet; unpack it, or save it as CSV",
    b"%PDF": "a PDF",
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
    b"\xd0\xcf\x11\xe0": "an old spreadsheet",
}
_KNOWN_CSV = (
    ({"start_time", "num_model_requests"}, "OpenAI's usage export, which has no amounts"),
    ({"start_time", "input_tokens"}, "OpenAI's usage export, which has no amounts"),
    ({"lineItem/UsageType"}, "a legacy AWS cost and usage report; export CUR 2.0"),
    ({"BillingPeriodStatus"}, "FOCUS BillingPeriod, which has no charges"),
    ({"tenant", "alias", "billed_cost"}, "a file of Tollway's own monthly pack"),
)
_TIMES = {"start_time", "end_time", "start_time_iso", "end_time_iso"}


def accepted() -> str:
    """What is taken, for messages."""
    return "; ".join(importer.title for importer in (*TABLES, *ANSWERS))


def kind_of(path: Path) -> Importer:
    """The file's format. Raises InvoiceInvalid, saying what was found and what is accepted."""
    if table.is_parquet(path):
        return _table(path, table.header_of(path), "")
    head = table.head_of(path, HEAD_BYTES)
    for magic, name in _MAGIC.items():
        if head.startswith(magic):
            raise _other(path, name)
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not start:
        raise _other(path, "an empty file")
    if b"\0" in head:
        raise _other(path, "a binary file")
    if start[:1] in (b"{", b"["):
        return _answer(path)
    line = start.splitlines()[0].decode("utf-8", "replace")
    if line.startswith("<"):
        raise _other(path, "a web page or XML")
    return _table(path, [name.strip() for name in next(csv.reader([line]), [])], line)


def _table(path: Path, header: Sequence[str], line: str) -> Importer:
    names = set(header)
    whole = [importer for importer in TABLES if names.issuperset(importer.required)]
    if whole:
        found = max(whole, key=lambda importer: len(importer.required))
        table.check_header(path, header, found.required)
        return found
    told = [importer for importer in TABLES if importer.told_by and names.issuperset(importer.told_by)]
    near = max(TABLES, key=lambda importer: _likeness(importer, names))
    if not told and _likeness(near, names) >= LIKENESS:
        told = [near]
    if told:
        found = max(told, key=lambda importer: (len(importer.told_by), _likeness(importer, names)))
        try:
            table.check_header(path, header, found.required)
        except InvoiceInvalid as error:
            raise InvoiceInvalid(path, f"this looks like {found.title}, but {error.problem}", place="line 1") from None
    for signature, name in _KNOWN_CSV:
        if names.issuperset(signature):
            raise _other(path, name)
    if names and names <= _TIMES:
        raise _other(path, "an export with times and nothing else, as of an organization without usage")
    if len(header) == 1 and any(mark in line for mark in ";\t|"):
        raise _other(path, "a table not separated by commas; it may have been saved again by a spreadsheet")
    raise _other(path, f"text that begins {line[:60]!r}")


def _likeness(importer: Importer, names: set[str]) -> float:
    return sum(name in names for name in importer.required) / len(importer.required)


def _answer(path: Path) -> Importer:
    for number, page in enumerate(pages.pages(path), start=1):
        data = page.get("data")
        if not isinstance(data, list) or page.get("object", "page") != "page":
            if "error" in page:
                raise _other(path, f"an error answer ({_short(page['error'])})", place=f"page {number}")
            raise _other(path, f"JSON with {', '.join(sorted(page)[:6]) or 'nothing in it'}", place=f"page {number}")
        for bucket in data:
            results = bucket.get("results") if isinstance(bucket, dict) else None
            for result in results if isinstance(results, list) else ():
                if isinstance(result, dict):
                    return _of_result(path, result, number)
            if isinstance(bucket, dict) and not isinstance(results, list):
                return openai_costs_json.IMPORTER  # Which says what is wrong with it.
    raise InvoiceInvalid(path, "it has no results, so there is nothing to import, nor to tell costs from usage by")


def _of_result(path: Path, result: Mapping[str, object], number: int) -> Importer:
    kind = result.get("object")
    if isinstance(kind, str) and kind.startswith(openai_usage_json.RESULTS):
        return openai_usage_json.IMPORTER
    if kind is None and "uncached_input_tokens" in result:
        return anthropic_usage_json.IMPORTER
    if kind is None and "amount" in result and not isinstance(result["amount"], dict):
        return anthropic_costs_json.IMPORTER
    if kind == openai_costs_json.RESULT or "amount" in result:
        return openai_costs_json.IMPORTER
    raise _other(path, f"JSON whose results have {', '.join(sorted(result)[:6])}", place=f"page {number}")


def _short(value: object) -> str:
    return json.dumps(value, default=lambda number: str(number) if isinstance(number, Decimal) else "?")[:80]


def _other(path: Path, found: str, *, place: str = "") -> InvoiceInvalid:
    return InvoiceInvalid(path, f"this is {found}; accepted: {accepted()}", place=place)
