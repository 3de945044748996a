"""A month drafted from the store, and written as its pack: the same facts give the same bytes, and the manifest proves
that the files belong together.

The attempts are read once, by owner, and both the reconciliation and the allocation are made from that one answer; so
traffic that lands meanwhile cannot set the files against each other. What is signed is the hash of a draft's figures,
in which neither names nor states nor notes have a part; `render` adds those.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
from clickhouse_connect.driver.client import Client

import sql
from analytics import corrections, exceptions, manifest, pack, rate_cards, workbook
from analytics.allocation import OwnedGroup, Owner, owner_sums, share_lines
from analytics.economic.table import ManagementCost, Spent
from analytics.exceptions import Care
from analytics.focus import cost_and_usage, invoice_detail
from analytics.focus.columns import BILLING_PERIOD, COST_AND_USAGE, INVOICE_DETAIL
from analytics.focus.cost_and_usage import Charged, Document, Row
from analytics.manifest import MANIFEST, PackFile
from analytics.pack import Activity, ControlBroken, Prior, SignOff, Table
from analytics.reconciliation import evidence, ledger
from analytics.reconciliation.grain import Days
from analytics.reconciliation.month import assemble, days_of, fetch_invoiced
from analytics.reconciliation.policy import FOCUS, Policy
from analytics.reconciliation.summary import Reconciliation
from analytics.reconciliation.variance import total
from analytics.rfc4180 import render as csv_of
from analytics.rfc4180 import write_whole
from analytics.windows import Window, begun_month, month_window
from gateway.domain.usage import TokenClass

__all__ = ["ControlBroken", "Draft", "Pack", "draft", "render", "write"]

WORKBOOK = "recon.xlsx"
IN_WORKBOOK = ("recon_summary.csv", "recon_lines.csv", "recon_by_alias_tenant.csv", "recon_exceptions.csv")
STOOD_ON = (
    *("recon_summary.csv", "recon_lines.csv", "recon_corrections.csv", "focus_cost_and_usage.csv"),
    MANIFEST,
)
"""The files of a closed month that later ones need."""

Frozen = Mapping[str, Mapping[str, bytes]]
"""The files of closed months, by month, the oldest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A month's figures before anybody's name is under them."""

    reconciliation: Reconciliation
    owners: Table
    corrections: Table
    charges: tuple[Row, ...]
    """Rows of CostAndUsage, corrections of closed months among them."""
    documents: Mapping[str, Document]
    previous: Mapping[str, bytes]
    """The files of the last month that is closed before it; empty = there is none."""

    @property
    def month(self) -> str:
        """Such as 2026-11."""
        return self.reconciliation.month

    @property
    def figures(self) -> str:
        """The hash of the figures: what a preparer signs, a reviewer confirms and closing freezes."""
        tables = (pack.lines(self.reconciliation), self.owners, self.corrections, _charges(self.charges))
        digests = [hashlib.sha256(csv_of(table.columns, table.rows)).hexdigest() for table in tables]
        return hashlib.sha256("\n".join(digests).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pack:
    """A month's files, the manifest last; nothing is on the disk yet."""

    month: str
    files: Mapping[str, bytes]
    controls: Mapping[str, str]

    @classmethod
    def frozen(cls, month: str, files: Mapping[str, bytes]) -> "Pack":
        """The pack that a closed month was frozen with."""
        return cls(month=month, files=files, controls=json.loads(files[MANIFEST])["control_totals"])

    @property
    def sha256(self) -> str:
        """The hash of the manifest: it stands for the whole pack."""
        return hashlib.sha256(self.files[MANIFEST]).hexdigest()


class FolderTaken(ValueError):
    """The folder holds another month's files, which are not to be lost by a slip."""


OwnerCosts = Callable[[Client, Window, Mapping[Owner, Spent], datetime], Mapping[Owner, ManagementCost]]
"""What owners cost beside the vendors' charges, of a window until an instant, given what they spent."""


def draft(
    client: Client,
    month: str,
    costs: OwnerCosts,
    *,
    now: datetime,
    frozen: Frozen | None = None,
    corrected: bool = False,
    policy: Policy = FOCUS,
) -> Draft:
    """The month as the store has it now. `month` is a UTC month such as "2026-11"; `now` only guards against one that
    has not begun (MonthInvalid).

    `frozen` are the closed months before it; where it is the open month it takes what they have to be `corrected` by.
    Raises IdentityBroken when totals disagree.
    """
    window = begun_month(month, now=now)
    whole, charged, did, documents = _of_store(client, month, window, policy)
    spent = {owner: Spent(each.metered, each.queue_seconds) for owner, each in did.items()}
    billed = owner_sums(whole.lines, [each.shares for each in charged])
    owners = pack.by_alias_tenant(billed, did, costs(client, window, spent, now))
    rows = cost_and_usage.rows(window, charged, documents)
    found = [_corrected(client, each, frozen or {}, window, policy) for each in frozen or {} if corrected]
    late = Table("recon_corrections.csv", corrections.COLUMNS, tuple(row for table, _ in found for row in table.rows))
    rows += [row for _, more in found for row in more]
    earlier = list((frozen or {}).values())
    return Draft(
        reconciliation=whole,
        owners=owners,
        corrections=late,
        charges=tuple(rows),
        documents=documents,
        previous=earlier[-1] if earlier else {},
    )


def render(given: Draft, signed: SignOff, cares: Mapping[str, Care], *, tool: str) -> Pack:
    """The pack of that draft. Raises ControlBroken when totals that several files have differ between them."""
    whole, found = given.reconciliation, tables(given, signed, cares)
    controls = pack.controls(whole, found)
    by_name = {table.name: table for table in found}
    contents = {table.name: csv_of(table.columns, table.rows) for table in found}
    contents[WORKBOOK] = workbook.render(by_name[name] for name in IN_WORKBOOK)
    counts = {table.name: len(table.rows) for table in found}
    files = tuple(PackFile.of(name, content, counts.get(name)) for name, content in contents.items())
    said = manifest.text(whole, files, controls, signed, figures=given.figures, previous=given.previous, tool=tool)
    return Pack(month=given.month, files={**contents, MANIFEST: said}, controls=controls)


def tables(given: Draft, signed: SignOff, cares: Mapping[str, Care]) -> list[Table]:
    """The pack's tables, in its order."""
    whole, closed_at = given.reconciliation, signed.closed_at
    previous = hashlib.sha256(given.previous[MANIFEST]).hexdigest() if given.previous else ""
    details = invoice_detail.rows(given.charges, given.documents, closed=closed_at is not None)
    periods = invoice_detail.periods(whole.window, given.charges, closed_at=closed_at)
    return [
        pack.summary(whole, signed, _prior(given.previous), previous),
        pack.lines(whole),
        given.owners,
        pack.exceptions(exceptions.findings(whole), cares),
        given.corrections,
        _charges(given.charges),
        _table("focus_invoice_detail.csv", INVOICE_DETAIL, details),
        _table("focus_billing_period.csv", BILLING_PERIOD, periods),
    ]


def write(made: Pack, out_dir: Path) -> tuple[Path, ...]:
    """Put the pack into a folder, which is made where it is missing; returns the paths, the manifest last.

    Each file appears whole or not at all. Raises FolderTaken for a folder that holds another month.
    """
    held = manifest.month_of(out_dir)
    if held not in ("", made.month):
        raise FolderTaken(f"{out_dir} holds the files of {held}; give {made.month} a folder of its own")
    out_dir.mkdir(parents=True, exist_ok=True)
    (out_dir / MANIFEST).unlink(missing_ok=True)  # It vouches for files that are about to change.
    for name, content in made.files.items():
        write_whole(out_dir / name, content)
    return tuple(out_dir / name for name in made.files)


def _charges(rows: Sequence[Row]) -> Table:
    return _table("focus_cost_and_usage.csv", COST_AND_USAGE, rows)


def _table(name: str, columns: tuple[str, ...], rows: Sequence[Row]) -> Table:
    return Table(name, columns, tuple(tuple(row[column] for column in columns) for row in rows))


def _prior(previous: Mapping[str, bytes]) -> Mapping[tuple[str, str], Prior]:
    """What the month before said of each account."""
    if not previous:
        return {}
    return {
        (row["issuer"], row["billing_account_id"]): Prior(
            Decimal(row["ledger_expected"]), Decimal(row["invoice_total"])
        )
        for row in corrections.texts(previous["recon_summary.csv"])
    }


def _corrected(client: Client, month: str, frozen: Frozen, into: Window, policy: Policy) -> tuple[Table, list[Row]]:
    """What became known of a closed month since, beyond what later packs have corrected."""
    closed = month_window(month)
    whole, charged, _, documents = _of_store(client, month, closed, policy)
    lines = pack.lines(whole)
    charges = _charges(cost_and_usage.rows(closed, charged, documents))
    was = frozen[month]
    booked = [
        row
        for name, files in frozen.items()
        if name > month
        for row in corrections.texts(files["recon_corrections.csv"])
        if row["closed_month"] == month
    ]
    charged_later = [
        row
        for name, files in frozen.items()
        if name > month
        for row in corrections.texts(files["focus_cost_and_usage.csv"])
        if row["x_ClosedMonth"] == month
    ]
    then = [row for row in corrections.texts(was["focus_cost_and_usage.csv"]) if not row["x_ClosedMonth"]]
    return (
        corrections.lines(
            month,
            hashlib.sha256(was[MANIFEST]).hexdigest(),
            now=corrections.texts(csv_of(lines.columns, lines.rows)),
            frozen=corrections.texts(was["recon_lines.csv"]),
            booked=booked,
        ),
        corrections.charges(
            month,
            into,
            now=corrections.texts(csv_of(charges.columns, charges.rows)),
            frozen=then,
            booked=charged_later,
        ),
    )


def _of_store(
    client: Client, month: str, window: Window, policy: Policy
) -> tuple[Reconciliation, list[Charged], dict[Owner, Activity], dict[str, Document]]:
    invoiced = fetch_invoiced(client, window)
    attempts = sql.fetch(client, "recon_attempts", **ledger.question(ledger.around(window), by_owner=True))
    requests = sql.fetch(client, "recon_requests", since=window.since, until=window.until)
    owned = [OwnedGroup(_owner(row), evidence.attempt_group(row)) for row in attempts.iter_rows(named=True)]
    whole = assemble(month, window, invoiced, attempts, policy)
    book = rate_cards.book_of(invoiced.cards)
    shares = share_lines(whole.lines, owned, book)
    charged = [Charged(line, share) for line, share in zip(whole.lines, shares, strict=True)]
    ids = sorted({name for line in whole.lines for name in line.import_ids})
    found = sql.fetch(client, "pack_documents", import_ids=ids)
    documents = {
        row["import_id"]: Document(row["import_id"], row["imported_at"], _only(row["invoice_ids"]))
        for row in found.iter_rows(named=True)
    }
    return whole, charged, _activity(owned, requests, days_of(window)), documents


def _only(numbers: Sequence[str]) -> str:
    """The one invoice that a file is of; "" = it names none, or several."""
    return numbers[0] if len(numbers) == 1 else ""


def _activity(owned: Iterable[OwnedGroup], requests: pl.DataFrame, days: Days) -> dict[Owner, Activity]:
    metered: dict[Owner, list[OwnedGroup]] = {}
    for each in owned:
        if not days.holds(each.attempts.day):
            continue
        metered.setdefault(each.owner, []).extend([each] if each.attempts.metered else [])
    counts = {_owner(row): row for row in requests.iter_rows(named=True)}
    found = {}
    for owner in metered.keys() | counts.keys():
        row, groups = counts.get(owner, {}), [each.attempts for each in metered.get(owner, [])]
        found[owner] = Activity(
            requests=row.get("requests", 0),
            attempts=row.get("attempts", 0),
            queue_seconds=row.get("queue_seconds", Decimal(0)),
            tokens={name: sum(group.tokens.of(name) for group in groups) for name in TokenClass},
            metered=total(group.cost_usd for group in groups if group.cost_usd is not None),
        )
    return found


def _owner(row: Mapping[str, object]) -> Owner:
    depth = row["fallback_depth"]
    return Owner(
        tenant=str(row["tenant"]),
        alias=str(row["alias"]),
        tier=str(row["tier"]),
        fallback_depth=depth if isinstance(depth, int) else 0,
        fallback_reason=str(row["fallback_reason"]),
    )
