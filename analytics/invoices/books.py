"""What was imported: which load stands, which was replaced, and how one is taken out without being deleted."""

from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
from clickhouse_connect.driver.client import Client

import sql
from analytics.invoices.formats import entered_invoice
from analytics.invoices.formats.entered_invoice import EnteredInvoice
from analytics.invoices.landing import Import, import_file

ID_LEAST = 6
"""Characters of an import's id that have to be given."""


class ImportUnknown(LookupError):
    """No import, or more than one, goes by that id; the message says which there are."""


def imports(client: Client) -> pl.DataFrame:
    """Every load, newest first: imported_at, provider, account, document, import_id, load_id, file_name, file_format,
    lines, total, currency, first_day, last_day, invoice_ids, slots, standing, state, void_reason."""
    return sql.fetch(client, "invoice_imports")


def find(client: Client, wanted: str) -> pl.DataFrame:
    """The loads of the one file and account whose import's id begins so, or that has the invoice of that number.

    Rows as `imports`. Raises ImportUnknown.
    """
    every = imports(client)
    by_id = pl.col("import_id").str.starts_with(wanted.lower()) if len(wanted) >= ID_LEAST else pl.lit(value=False)
    found = every.filter(by_id | pl.col("invoice_ids").list.contains(wanted))
    key = ["provider", "account", "import_id"]
    each = found.unique(key, maintain_order=True)
    if each.height == 1:
        return found
    if not each.height:
        raise ImportUnknown(
            f"no import's id begins with {wanted!r}, and no invoice has that number; `tollway invoices list` has them "
            f"({ID_LEAST} characters of an id are enough)"
        )
    shown = "; ".join(
        f"{one['import_id'][:12]} of {one['provider']}/{one['account']}" for one in each.iter_rows(named=True)
    )
    raise ImportUnknown(f"{wanted!r} is {each.height} imports: {shown}; give more of the id")


def contents(client: Client, load_id: str) -> pl.DataFrame:
    """A load summed up: charge_category, token_class, invoice_status, lines, quantity (null = unsaid), amount."""
    return sql.fetch(client, "invoice_contents", load_id=load_id)


def void(client: Client, wanted: str, *, reason: str, now: datetime) -> pl.DataFrame:
    """Take every load of an import out of the books: it is kept, and what it had replaced stands again.

    Gives the loads, as `imports`. Raises ImportUnknown, also for what is void already, and ValueError without a reason.
    """
    if not reason.strip():
        raise ValueError("say why it is void")
    found = find(client, wanted).filter(pl.col("state") != "void")
    if not found.height:
        raise ImportUnknown(f"{wanted!r} is void already")
    names = ["load_id", "import_id", "provider", "account"]
    rows = [[*(one[name] for name in names), reason.strip(), now] for one in found.iter_rows(named=True)]
    client.insert("tollway.invoice_voids", rows, column_names=[*names, "reason", "voided_at"])
    return found


def add_invoice(client: Client, entered: EnteredInvoice, *, provider: str, account: str, now: datetime) -> Import:
    """Take an invoice as it was entered. One of the same number is replaced; the same again changes nothing."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "entered.json"
        path.write_text(entered.written(), "utf-8")
        return import_file(client, path, provider=provider, account=account, now=now, importer=entered_invoice.IMPORTER)
