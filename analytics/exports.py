"""Writes a month's files for finance: the same facts give the same bytes, and the manifest proves they belong together.

The attempts are read once, by owner, and both the reconciliation and the allocation are made from that one answer; so
traffic that lands meanwhile cannot set the files against each other.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
from clickhouse_connect.driver.client import Client

import sql
from analytics import pack, rate_cards
from analytics.allocation import OwnedGroup, Owner, allocate_lines
from analytics.pack import Activity, ControlBroken, Table
from analytics.reconciliation import evidence
from analytics.reconciliation.month import assemble, attempt_params, fetch_invoiced
from analytics.reconciliation.summary import Reconciliation
from analytics.reconciliation.variance import total
from analytics.rfc4180 import render, write_whole
from analytics.windows import Window, begun_month
from gateway.domain.usage import TokenClass

__all__ = ["ControlBroken", "Manifest", "PackFile", "write_month"]

FORMAT = "tollway-month-1"
MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class PackFile:
    """One file of the pack."""

    name: str
    rows: int
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What manifest.json says, and where the files are."""

    month: str
    directory: Path
    files: tuple[PackFile, ...]
    controls: Mapping[str, str]
    """Control totals as plain decimals, each of which the files agree on."""
    reconciliation: Reconciliation

    @property
    def paths(self) -> tuple[Path, ...]:
        """Every file of the pack, the manifest last."""
        return tuple(self.directory / name for name in (*(file.name for file in self.files), MANIFEST))


class FolderTaken(ValueError):
    """The folder holds another month's files, which are not to be lost by a slip."""


def write_month(client: Client, month: str, out_dir: Path, *, now: datetime) -> Manifest:
    """Write recon_summary.csv, recon_lines.csv, recon_by_alias_tenant.csv and manifest.json into `out_dir`.

    `month` is a UTC month such as "2026-11"; `out_dir` is made where it is missing. Each file appears whole or not at
    all, the manifest last. `now` only guards against a month that has not begun (MonthInvalid): nothing of it reaches
    the files. Raises ControlBroken or IdentityBroken when totals disagree, FolderTaken for a folder that holds another
    month; before anything is written.
    """
    window = begun_month(month, now=now)
    _refuse_another_month(out_dir, month)
    reconciliation, tables = _tables(client, month, window)
    controls = pack.controls(reconciliation, tables)
    contents = {table.name: render(table.columns, table.rows) for table in tables}
    files = tuple(
        PackFile(table.name, len(table.rows), len(content), hashlib.sha256(content).hexdigest())
        for table, content in zip(tables, contents.values(), strict=True)
    )
    manifest = Manifest(month=month, directory=out_dir, files=files, controls=controls, reconciliation=reconciliation)
    out_dir.mkdir(parents=True, exist_ok=True)
    (out_dir / MANIFEST).unlink(missing_ok=True)  # It vouches for files that are about to change.
    for name, content in contents.items():
        write_whole(out_dir / name, content)
    write_whole(out_dir / MANIFEST, _as_json(manifest))
    return manifest


def _refuse_another_month(out_dir: Path, month: str) -> None:
    try:
        held = json.loads((out_dir / MANIFEST).read_bytes()).get("month")
    except (FileNotFoundError, ValueError, AttributeError):
        return
    if held != month:
        raise FolderTaken(f"{out_dir} holds the files of {held}; give {month} a folder of its own")


def _tables(client: Client, month: str, window: Window) -> tuple[Reconciliation, list[Table]]:
    invoiced = fetch_invoiced(client, window)
    attempts = sql.fetch(client, "recon_owners", **attempt_params(window))
    requests = sql.fetch(client, "recon_requests", since=window.since, until=window.until)
    owned = [OwnedGroup(_owner(row), evidence.attempt_group(row)) for row in attempts.iter_rows(named=True)]
    reconciliation = assemble(month, window, invoiced, [each.attempts for each in owned])
    billed = allocate_lines(reconciliation.lines, owned, rate_cards.book_of(invoiced.cards))
    tables = [
        pack.summary(reconciliation),
        pack.lines(reconciliation),
        pack.by_alias_tenant(billed, _activity(owned, requests)),
    ]
    return reconciliation, tables


def _activity(owned: Iterable[OwnedGroup], requests: pl.DataFrame) -> dict[Owner, Activity]:
    metered: dict[Owner, list[OwnedGroup]] = {}
    for each in owned:
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


def _as_json(manifest: Manifest) -> bytes:
    month = manifest.reconciliation
    content = {
        "format": FORMAT,
        "month": manifest.month,
        "period_start": f"{month.window.since:%Y-%m-%dT%H:%M:%SZ}",
        "period_end": f"{month.window.until:%Y-%m-%dT%H:%M:%SZ}",
        "time_zone": "UTC",
        "currency": "USD",
        "files": [
            {"name": file.name, "rows": file.rows, "bytes": file.size_bytes, "sha256": file.sha256}
            for file in manifest.files
        ],
        "control_totals": dict(manifest.controls),
        "accounts": [
            {
                "provider": account.provider,
                "account": account.account,
                "status": account.status,
                "unmeasured_attempts": account.unmeasured,
                "unpriced_attempts": account.unpriced,
            }
            for account in month.accounts
        ],
        "rate_cards": list(month.card_ids),
        "imports": list(month.import_ids),
    }
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()
