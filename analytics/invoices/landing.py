"""Lands an invoice file in the store: the whole of it or nothing, once, with its provenance.

The lines go first, under the id of this load; the row of invoice_imports that makes them visible goes last. A load that
dies in between leaves lines that no query sees, and the next try starts afresh.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import uuid4

from clickhouse_connect.driver.client import Client

import sql
from analytics.invoices.entries import Document, Reader, Survey, survey
from analytics.invoices.errors import InvoiceInvalid
from analytics.invoices.rows import COLUMNS, row_of
from analytics.invoices.sniff import kind_of
from analytics.invoices.values import CURRENCY
from gateway.domain.money import plain

BLOCK_LINES = 20_000

_IMPORT_COLUMNS = (
    "import_id",
    "load_id",
    "provider",
    "account",
    "file_name",
    "file_format",
    "organization",
    "currency",
    "scale",
    "lines",
    "total",
    "days",
    "imported_at",
    "document",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """An invoice file as it stands in the store."""

    import_id: str
    """SHA-256 of the file's bytes, hexadecimal."""
    provider: str
    account: str
    file_format: str
    """openai_costs_csv | openai_costs_json."""
    lines: int
    total: Decimal
    currency: str
    days: tuple[date, ...]
    """The UTC days it covers, those without charges included."""
    repeated: bool = False
    """The store had this file already, and it stands for each of its days; nothing was changed."""
    notes: tuple[str, ...] = ()
    """What whoever imports should look at: what this file replaced, or that it names another organization."""


def import_file(client: Client, path: Path, *, provider: str, account: str, now: datetime) -> Import:
    """Take OpenAI's cost export (CSV of the dashboard, or JSON of the Costs API) as the invoice of that account.

    The kind is told from the content. The same file again is a no-op while it stands; where another has replaced it, it
    stands again. For the days it covers, the newest import of an account replaces the older ones, which are kept.
    Raises InvoiceInvalid, with nothing changed, for a file of another kind or a damaged one, and OSError for one that
    cannot be read.
    """
    if not provider or not account:
        raise ValueError("an invoice belongs to a provider and an account; name both")
    import_id = _digest(path)
    known = sql.fetch(client, "invoice_imported", import_id=import_id, provider=provider, account=account)
    if known.height and known["stands"][0]:
        row = known.row(0, named=True)
        return Import(
            import_id=import_id,
            provider=provider,
            account=account,
            file_format=row["file_format"],
            lines=row["lines"],
            total=Decimal(row["total"]),
            currency=row["currency"],
            days=tuple(row["days"]),
            repeated=True,
        )
    file_format, read = kind_of(path)
    found = survey(path, read)
    load_id = uuid4().hex
    rows = _rows(path, read, found, load_id)
    while block := list(islice(rows, BLOCK_LINES)):
        client.insert("tollway.invoice_lines", block, column_names=COLUMNS)
    if _digest(path) != import_id:
        raise InvoiceInvalid(path, "it changed while it was read; import it again")
    days = tuple(sorted(found.days))
    before = sql.fetch(
        client, "invoice_standing", provider=provider, account=account, days=list(days), document=Document.COST.value
    ).row(0, named=True)
    about: list[object] = [import_id, load_id, provider, account, path.name, file_format, found.organization]
    about += [CURRENCY, found.scale, found.lines, f"{found.total:f}", list(days), now, Document.COST.value]
    client.insert("tollway.invoice_imports", [about], column_names=_IMPORT_COLUMNS)
    return Import(
        import_id=import_id,
        provider=provider,
        account=account,
        file_format=file_format,
        lines=found.lines,
        total=found.total,
        currency=CURRENCY,
        days=days,
        notes=_notes(found, before),
    )


def _notes(found: Survey, before: Mapping[str, Any]) -> tuple[str, ...]:
    """What a second look is due to. A wrong file must be seen, and the right one must always get in again."""
    notes = []
    if before["lines"]:
        was = f"{before['lines']} lines, {plain(Decimal(before['total']))} {CURRENCY}"
        notes.append(f"replaces {was} for the same days by {found.lines} lines, {plain(found.total)} {CURRENCY}")
    others = [name for name in before["organizations"] if found.organization and name != found.organization]
    if others:
        notes.append(
            f"bills organization {found.organization}; earlier files of this account billed {', '.join(others)}"
        )
    return tuple(notes)


def _rows(path: Path, read: Reader, found: Survey, load_id: str) -> Iterator[list[object]]:
    for day, entry in read(path):
        if entry is not None:
            yield row_of(entry, day, scale=found.scale_of(entry), load_id=load_id, document=Document.COST)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
