"""Lands an invoice file in the store: the whole of it or nothing, once, with its provenance.

The lines go first, under the id of this load; the row of invoice_imports that makes them visible goes last. A load that
dies in between leaves lines that no query sees, and the next try starts afresh.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import uuid4

from clickhouse_connect.driver.client import Client

import sql
from analytics.invoices import table
from analytics.invoices.entries import Document, LeftOut, Sum, Survey, survey
from analytics.invoices.errors import InvoiceInvalid
from analytics.invoices.importer import Importer
from analytics.invoices.rows import COLUMNS, row_of
from analytics.invoices.sniff import kind_of
from analytics.invoices.values import CURRENCY
from gateway.domain.money import plain

BLOCK_LINES = 20_000
DAYS_MAX = 400
"""Days from the first to the last of a file in which days without rows had no charges; more is a wrong date."""

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
    "invoice_ids",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """An invoice file as it stands in the store, or as it would."""

    import_id: str
    """SHA-256 of the file's bytes, hexadecimal."""
    provider: str
    account: str
    file_format: str
    """The importer's name, such as openai_costs_csv."""
    document: Document
    lines: int
    total: Decimal
    """In USD; voided lines do not count. 0 for usage, which has no money."""
    currency: str
    """ "" = the file says no money."""
    days: tuple[date, ...]
    """The days it covers, those without charges included."""
    repeated: bool = False
    """The store had this file already, and it stands for each of its days; nothing was changed."""
    notes: tuple[str, ...] = ()
    """What whoever imports should look at: what this file replaced, or that it names another organization."""
    invoice_ids: tuple[str, ...] = ()
    """The invoices it speaks for, where it is of them."""
    by_category: Mapping[tuple[str, str], Sum] = field(default_factory=dict)
    """As Survey has it; {} for a repeated one."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Rows that are not of what is imported, by reason; {} for a repeated one."""


@dataclass(frozen=True, slots=True)
class _Checked:
    """A file that was read to its end, and what it amounts to."""

    found: Survey
    days: tuple[date, ...]
    shown: Import


def preview_file(
    client: Client, path: Path, *, provider: str, account: str, importer: Importer | None = None
) -> Import:
    """What import_file would land and replace; changes nothing. Raises as import_file does."""
    import_id, used = digest(path), importer or kind_of(path)
    known = _known(client, import_id, used, provider=provider, account=account)
    return known or _checked(client, path, import_id, used, provider=provider, account=account).shown


def import_file(
    client: Client, path: Path, *, provider: str, account: str, now: datetime, importer: Importer | None = None
) -> Import:
    """Take a vendor's usage, costs or invoice as those of that account.

    The kind is told from the content unless `importer` says it. The same file again is a no-op while it stands; where
    another has replaced it, it stands again. For the days it covers, or the invoices it names, the newest import of an
    account's document replaces the older ones, which are kept. Raises InvoiceInvalid, with nothing changed, for a file
    of another kind or a damaged one, and OSError for one that cannot be read.
    """
    if not provider or not account:
        raise ValueError("an invoice belongs to a provider and an account; name both")
    import_id, used = digest(path), importer or kind_of(path)
    known = _known(client, import_id, used, provider=provider, account=account)
    if known is not None:
        return known
    checked = _checked(client, path, import_id, used, provider=provider, account=account)
    load_id = uuid4().hex
    rows = _rows(path, used, checked.found, load_id)
    while block := list(islice(rows, BLOCK_LINES)):
        client.insert("tollway.invoice_lines", block, column_names=COLUMNS)
    if digest(path) != import_id:
        raise InvoiceInvalid(path, "it changed while it was read; import it again")
    found, shown = checked.found, checked.shown
    about: list[object] = [import_id, load_id, provider, account, path.name, used.name, found.organization]
    about += [shown.currency, found.scale, found.lines, f"{found.total:f}", list(checked.days), now]
    about += [used.document.value, list(shown.invoice_ids)]
    client.insert("tollway.invoice_imports", [about], column_names=_IMPORT_COLUMNS)
    return shown


def digest(path: Path) -> str:
    """SHA-256 of the file's bytes, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _known(client: Client, import_id: str, used: Importer, *, provider: str, account: str) -> Import | None:
    """The import of just this file, if it stands."""
    known = sql.fetch(client, "invoice_imported", import_id=import_id, provider=provider, account=account)
    if not known.height or not known["stands"][0] or known["file_format"][0] != used.name:
        return None
    row = known.row(0, named=True)
    return Import(
        import_id=import_id,
        provider=provider,
        account=account,
        file_format=row["file_format"],
        document=Document(row["document"]),
        lines=row["lines"],
        total=Decimal(row["total"]),
        currency=row["currency"],
        days=tuple(row["days"]),
        repeated=True,
    )


def _checked(client: Client, path: Path, import_id: str, used: Importer, *, provider: str, account: str) -> _Checked:
    found = survey(path, used.read)
    days = _days(path, found, used)
    numbers = tuple(sorted(found.invoice_ids)) if used.document is Document.INVOICE else ()
    key = {"provider": provider, "account": account, "document": used.document.value}
    before = sql.fetch(client, "invoice_standing", **key, days=list(days), invoice_ids=list(numbers)).row(0, named=True)
    shown = Import(
        import_id=import_id,
        provider=provider,
        account=account,
        file_format=used.name,
        document=used.document,
        lines=found.lines,
        total=found.total,
        currency="" if used.document is Document.USAGE else CURRENCY,
        days=days,
        invoice_ids=numbers,
        notes=(*_doubts(path, used, found), *_notes(found, before, used.document)),
        by_category=found.by_category,
        left_out=found.left_out,
    )
    return _Checked(found, days, shown)


def _days(path: Path, found: Survey, used: Importer) -> tuple[date, ...]:
    """The days that the file speaks for."""
    first, last = min(found.days), max(found.days)
    if not used.gaps_are_empty:
        return tuple(sorted(found.days))
    count = (last - first).days + 1
    if count > DAYS_MAX:
        raise InvoiceInvalid(path, f"it has rows from {first} to {last}; import {DAYS_MAX} days at a time at most")
    return tuple(first + timedelta(days=number) for number in range(count))


def _doubts(path: Path, used: Importer, found: Survey) -> Iterator[str]:
    """What may be wrong with a file that can be read."""
    if used.required and found.lines and not table.ends_whole(path):
        yield "has no line end behind its last line; if it was cut off there, that line's last value is short"
    if found.other.lines and used.document is not Document.INVOICE:  # Whose lines sum all classes up.
        amount = "" if used.document is Document.USAGE else f", {plain(found.other.amount)} {CURRENCY},"
        yield f"has {found.other.lines} lines{amount} that are not tokens of a known class; they are kept as other"


def _notes(found: Survey, before: Mapping[str, Any], document: Document) -> Iterator[str]:
    """What a second look is due to. A wrong file must be seen, and the right one must always get in again."""
    if before["lines"]:
        was = f"{before['lines']} lines, {plain(Decimal(before['total']))} {CURRENCY}"
        same = "invoices" if document is Document.INVOICE else "days"
        yield f"replaces {was} for the same {same} by {found.lines} lines, {plain(found.total)} {CURRENCY}"
    others = [name for name in before["organizations"] if found.organization and name != found.organization]
    if others:
        yield f"bills organization {found.organization}; earlier files of this account billed {', '.join(others)}"


def _rows(path: Path, used: Importer, found: Survey, load_id: str) -> Iterator[list[object]]:
    for day, entry in used.read(path):
        if entry is not None and not isinstance(entry, LeftOut):
            yield row_of(entry, day, scale=found.scale_of(entry), load_id=load_id, document=used.document)
