"""Checks a pack with nothing but the pack: hashes, the sums between its files, the chain to the pack before.

Every number is read again from the CSVs as text and summed in Decimal; nothing that wrote the pack is asked, so it
holds for a pack that came by mail. A fault names the file and what is wrong with it. What the workbook shows is bound
by its hash alone.
"""

import csv
import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from gateway.domain.money import EXACT, plain

FORMAT = "tollway-month-2"
MANIFEST = "manifest.json"
SUMMARY, LINES, OWNERS = "recon_summary.csv", "recon_lines.csv", "recon_by_alias_tenant.csv"
CORRECTIONS, CHARGES, DETAILS = "recon_corrections.csv", "focus_cost_and_usage.csv", "focus_invoice_detail.csv"
FILES = (SUMMARY, LINES, OWNERS, "recon_exceptions.csv", CORRECTIONS, CHARGES, DETAILS, "focus_billing_period.csv")


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that is wrong, and in which file."""

    file: str
    words: str


UNALLOCATED = "(unallocated)"

Rows = Mapping[str, list[dict[str, str]]]


def check(folder: Path, previous: Path | None = None) -> list[Fault]:
    """All that is wrong with the pack in that folder; nothing is the good answer.

    `previous` is the folder of the pack that it names as the one before; without it the chain is not followed.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
    except FileNotFoundError:
        return [Fault(MANIFEST, f"is not in {folder}, so nothing vouches for what is")]
    except (OSError, ValueError) as error:
        return [Fault(MANIFEST, f"cannot be read: {error}")]
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        return [Fault(MANIFEST, f"is not of the format {FORMAT}")]
    try:
        faults = [*_hashes(folder, manifest), *_chain(manifest, previous)]
        return faults or list(_sums(_read(folder), manifest["control_totals"], manifest["files"]))
    except (KeyError, TypeError, AttributeError) as error:
        return [Fault(MANIFEST, f"lacks what a manifest has: {error}")]
    except (InvalidOperation, UnicodeDecodeError, csv.Error, ValueError) as error:
        return [Fault("the CSVs", f"hold what is no number or no CSV: {error}")]


def _hashes(folder: Path, manifest: Mapping[str, Any]) -> Iterator[Fault]:
    told = {str(file["name"]): file for file in manifest["files"]}
    for name in sorted(set(FILES) - told.keys()):
        yield Fault(MANIFEST, f"does not name {name}, which a pack has")
    for name in sorted({path.name for path in folder.iterdir()} - told.keys() - {MANIFEST}):
        yield Fault(name, "is in the folder and not in the manifest")
    for name, file in told.items():
        if Path(name).name != name:
            yield Fault(name, "is no name of a file in the folder")
            continue
        try:
            content = (folder / name).read_bytes()
        except OSError as error:
            yield Fault(name, f"cannot be read: {error.strerror}")
            continue
        if len(content) != file["bytes"] or hashlib.sha256(content).hexdigest() != file["sha256"]:
            yield Fault(name, f"was changed: its {len(content)} bytes are not those the manifest vouches for")


def _chain(manifest: Mapping[str, Any], previous: Path | None) -> Iterator[Fault]:
    named = manifest["previous"]
    if previous is None:
        return
    if named is None:
        yield Fault(MANIFEST, "names no pack before it")
        return
    try:
        found = hashlib.sha256((previous / MANIFEST).read_bytes()).hexdigest()
    except OSError as error:
        yield Fault(str(previous / MANIFEST), f"cannot be read: {error.strerror}")
        return
    if found != named["manifest_sha256"]:
        yield Fault(MANIFEST, f"stands on the pack of {named['month']} with another manifest than that in {previous}")


def _read(folder: Path) -> Rows:
    found = {}
    for name in FILES:
        text = (folder / name).read_bytes().decode("utf-8")
        found[name] = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    return found


def _sums(rows: Rows, told: Mapping[str, str], files: list[Mapping[str, Any]]) -> Iterator[Fault]:
    counts = {file["name"]: file["rows"] for file in files}
    for name in FILES:
        if len(rows[name]) != counts[name]:
            yield Fault(name, f"has {len(rows[name])} rows, and the manifest says {counts[name]}")
    late = _sum(rows[CORRECTIONS], "cost_invoice")
    charged_late = _sum([row for row in rows[CHARGES] if row["x_ClosedMonth"]], "BilledCost")
    equal = {
        "invoiced": {
            SUMMARY: _sum(rows[SUMMARY], "invoice_total"),
            LINES: _sum(rows[LINES], "cost_invoice"),
            OWNERS: _sum(rows[OWNERS], "billed_cost"),
            CHARGES: EXACT.subtract(_sum(rows[CHARGES], "BilledCost"), charged_late),
        },
        "metered": {
            SUMMARY: _sum(rows[SUMMARY], "ledger_expected"),
            LINES: _sum(rows[LINES], "cost_ledger"),
            OWNERS: _sum(rows[OWNERS], "token_cost"),
        },
        "variance": {SUMMARY: _sum(rows[SUMMARY], "variance_total"), LINES: _sum(rows[LINES], "variance")},
        "corrections": {CORRECTIONS: late, CHARGES: charged_late},
        "billed": {CHARGES: _sum(rows[CHARGES], "BilledCost"), DETAILS: _sum(rows[DETAILS], "BilledCost")},
    }
    classes = [name for name in told if name.startswith("var_")]
    equal |= {name: {file: _sum(rows[file], name) for file in (SUMMARY, LINES)} for name in classes}
    for quantity, each in equal.items():
        for file, found in each.items():
            if plain(found) != told[quantity]:
                yield Fault(file, f"{quantity} sums to {plain(found)}, and the manifest says {told[quantity]}")
    yield from _by_row(rows[LINES], classes)
    yield from _by_tenant(rows[OWNERS], [row for row in rows[CHARGES] if not row["x_ClosedMonth"]])


def _by_row(lines: list[dict[str, str]], classes: list[str]) -> Iterator[Fault]:
    """Each line's classes are its variance, and its variance is invoiced less metered."""
    for number, row in enumerate(lines, start=2):
        variance = EXACT.subtract(_amount(row["cost_invoice"]), _amount(row["cost_ledger"]))
        if variance != _amount(row["variance"]) or variance != _sum([{"v": row[name]} for name in classes], "v"):
            yield Fault(LINES, f"row {number}: its classes, its variance and its two costs do not agree")


def _by_tenant(owners: list[dict[str, str]], charges: list[dict[str, str]]) -> Iterator[Fault]:
    """What each tenant is charged is the same in both files; nobody's share has no SubAccountId."""
    asked: dict[str, list[dict[str, str]]] = {}
    for row in owners:
        nobodys = row["tenant"] == UNALLOCATED and not row["fallback_depth"]
        asked.setdefault("" if nobodys else row["tenant"], []).append({"amount": row["billed_cost"]})
    charged: dict[str, list[dict[str, str]]] = {}
    for row in charges:
        charged.setdefault(row["SubAccountId"], []).append({"amount": row["BilledCost"]})
    for tenant in sorted(asked.keys() | charged.keys()):
        wanted, found = (_sum(side.get(tenant, []), "amount") for side in (asked, charged))
        if wanted != found:
            yield Fault(CHARGES, f"charges {tenant or 'nobody'} {plain(found)}, and {OWNERS} {plain(wanted)}")


def _sum(rows: list[dict[str, str]], column: str) -> Decimal:
    found = Decimal(0)
    for row in rows:
        found = EXACT.add(found, _amount(row[column]))
    return found


def _amount(text: str) -> Decimal:
    """A plain decimal; an exponent or a word is no number here."""
    if text.strip("-0123456789.") or text.count("-") > text.startswith("-"):
        raise ValueError(f"{text!r} is no plain decimal")
    return Decimal(text or 0)
