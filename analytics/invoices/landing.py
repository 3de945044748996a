"""Lands an invoice file in the store: the whole of it or nothing, once, with its provenance."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

from clickhouse_connect.driver.client import Client


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
    """The store had this file already; nothing was changed."""


def import_file(client: Client, path: Path, *, provider: str, account: str, now: datetime) -> Import:
    """Take OpenAI's cost export (CSV of the dashboard, or JSON of the Costs API) as the invoice of that account.

    The kind is told from the content. The same file again is a no-op. For the days it covers, the newest import of an
    account replaces the older ones, which are kept. Raises InvoiceInvalid, with nothing changed, for a file of another
    kind or a damaged one, and OSError for one that cannot be read.
    """
    raise NotImplementedError
