"""Reads the collector's ledger as it lies on disk, without touching it, beside a collector that may be running.

    received = stored + duplicate + parked + pending, by sender
    each batch that ended: as many of its spans in the store as the ledger says, and what was parked is kept
    each batch in the store: one that the ledger knows

The last entry may be half written while it is read; it was not acted on yet, and is left out.
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from collector.batches import Batch
from collector.books import Account
from collector.ledger import START, SUFFIX, Kind, LedgerState, OpenBatch, enter_end, plan_from_json, split_entry
from gateway.domain.segments import read_records


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of a batch."""

    batch: Batch
    stored: int
    parked: int


@dataclass(slots=True)
class Entries:
    """What the ledger's files say together."""

    state: LedgerState = field(default_factory=LedgerState)
    ended: dict[str, Ended] = field(default_factory=dict)
    split: set[str] = field(default_factory=set)
    """Batches that became two; an insert of one was refused whole."""
    since_ms: int | None = None
    """From when on every batch is known here, Unix milliseconds; older entries are gone. None = nothing was entered."""
    unreadable: list[str] = field(default_factory=list)
    """Places where something was written that cannot be read."""

    @property
    def accounts(self) -> Mapping[str, Account]:
        """By sender, of what was planned to land."""
        return self.state.accounts

    @property
    def pending(self) -> dict[str, int]:
        """Spans of batches without an end, by sender: counted from these, to be compared with the accounts."""
        found: dict[str, int] = {}
        for one in self.state.open.values():
            found[one.batch.sender] = found.get(one.batch.sender, 0) + one.batch.rows
        return found


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that is not as the ledger says."""

    what: str
    """books | batch | parked | ledger"""
    where: str
    """The sender, the batch or the file."""
    wanted: int
    """Spans by the ledger."""
    found: int
    words: str


def read_ledger(folder: Path) -> Entries | None:
    """What the ledger in that folder says; None where there is none. Raises OSError."""
    paths = sorted(folder.glob(f"*{SUFFIX}"))
    if not paths:
        return None
    found = Entries()
    for path in paths:
        records = read_records(path, START)
        found.unreadable += [f"{path.name} at {one.offset}" for one in records.corrupt]
        if records.torn_bytes and path != paths[-1]:
            found.unreadable.append(f"{path.name}: {records.torn_bytes} bytes at its end")
        for record in records.records:
            try:
                _enter(found, record.kind, record.payload, first=path == paths[0])
            except (KeyError, TypeError, ValueError, struct.error):
                found.unreadable.append(f"{path.name} at {record.offset}")
    return found


def differences(ledger: Entries, stored: Mapping[str, int], parked: Path) -> Iterator[Difference]:
    """What does not add up. `stored` counts the store's spans by batch, of all batches since `ledger.since_ms`.

    `parked` is the folder of what could not be landed.
    """
    yield from (Difference("ledger", place, 1, 0, "cannot be read") for place in ledger.unreadable)
    for sender, account in sorted(ledger.accounts.items()):
        if account.drift:
            words = "received is not stored + duplicate + parked + pending"
            yield Difference("books", sender, account.received, account.received - account.drift, words)
        if account.pending != (pending := ledger.pending.get(sender, 0)):
            yield Difference(
                "books", sender, account.pending, pending, "pending is not what batches without an end hold"
            )
    for batch_id, ended in sorted(ledger.ended.items()):
        if ended.stored != stored.get(batch_id, 0):
            words = "spans in the store are not those that the ledger saw land"
            yield Difference("batch", batch_id, ended.stored, stored.get(batch_id, 0), words)
        places = (parked / f"{batch_id}.otlp", parked / "landed" / f"{batch_id}.otlp")
        if ended.parked and not any(place.exists() for place in places):
            yield Difference("parked", batch_id, ended.parked, 0, f"is not in {parked}")
    known = ledger.ended.keys() | ledger.state.open.keys() | ledger.split
    for batch_id in sorted(stored.keys() - known):
        yield Difference(
            "batch", batch_id, 0, stored[batch_id], "spans in the store of a batch that the ledger never had"
        )


def _enter(found: Entries, kind: int, raw: bytes, *, first: bool) -> None:
    entry, keys = split_entry(raw)
    state = found.state
    match kind:
        case Kind.OPENING if first:
            state.accounts = {name: Account(**account) for name, account in entry["accounts"].items()}
            batches = [Batch.from_json(batch) for batch, _ in entry["open"]]
            state.open = {batch.batch_id: OpenBatch(batch) for batch in batches}
        case Kind.PLAN:
            plan = plan_from_json(entry, keys)
            state.plan(plan)
            if plan.received_ms:
                found.since_ms = min(found.since_ms or plan.received_ms, plan.received_ms)
        case Kind.SPLIT:
            found.split.add(entry["batch_id"])
            state.split(entry["batch_id"], [Batch.from_json(child) for child in entry["children"]])
        case Kind.END if one := state.open.get(entry["batch_id"]):
            enter_end(state, entry)
            row = state.untold[one.batch.segment, one.batch.sender, one.batch.batch_id]
            found.ended[one.batch.batch_id] = Ended(one.batch, sum(row.stored.values()), row.parked)
        case Kind.TOLD:
            state.untold.clear()
