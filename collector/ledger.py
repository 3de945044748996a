"""What was planned and what came of it, on disk before it is acted on.

An insert's token alone is not exactly-once, so each segment's plan is fsynced before its first insert, and each batch's
end after it was counted in the store. A batch that was begun and has no end is read back before anything else is done
with it. The plans also carry the keys of their spans and the digests of their bodies: the horizon's memory.

The store gets a copy of what is here, a row each (`ledger_rows`), a few seconds later; an entry says up to where it was
told, and no file goes before that.
"""

import contextlib
import logging
import struct
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from enum import IntEnum
from pathlib import Path
from typing import Any

import orjson

from collector import ledger_rows
from collector.batches import Batch
from collector.books import Account
from collector.ledger_rows import Key, LedgerRow
from collector.losses import Lost
from collector.otlp import KEY_BYTES, split_keys
from collector.planning import Body, SegmentPlan
from gateway.domain.segments import SegmentWriter, read_records, record_start, sync_folder

log = logging.getLogger("tollway.collector.ledger")

SUFFIX = ".ledger"
FILE_BYTES_MAX = 16 * 1024 * 1024
LENGTH = struct.Struct("<I")


class Kind(IntEnum):
    """The kinds of entries."""

    OPENING = 1
    """The accounts and open batches at the start of a file, so that older files may go."""
    PLAN = 2
    ATTEMPT = 3
    """A batch gets a new token, the one before having landed nothing."""
    SPLIT = 4
    """A batch becomes two."""
    END = 5
    TOLD = 6
    """The store was told of everything before this."""


START = record_start(Kind, rb"....\{")
"""Where an entry may start, behind damage."""


@dataclass(frozen=True, slots=True)
class OpenBatch:
    """A batch that was begun and has no end yet."""

    batch: Batch
    attempt: int = 1

    @property
    def token(self) -> str:
        """The deduplication token and query id of this attempt."""
        return f"{self.batch.batch_id}#{self.attempt}"


@dataclass(slots=True)
class LedgerState:
    """What the entries add up to."""

    open: dict[str, OpenBatch] = field(default_factory=dict)
    planned: set[int] = field(default_factory=set)
    """Segments that have a plan."""
    accounts: dict[str, Account] = field(default_factory=dict)
    """Of planned segments only; `pending` are the rows of open batches."""
    landed: dict[int, list[Batch]] = field(default_factory=dict)
    """The batches that landed whole, by segment, of segments that are not released yet."""
    untold: dict[Key, LedgerRow] = field(default_factory=dict)
    """What the store was not told of yet."""

    def plan(self, plan: SegmentPlan) -> None:
        """Enter a plan; a second time changes nothing."""
        if plan.segment in self.planned:
            return
        self.planned.add(plan.segment)
        for sender, spans in plan.received.items():
            self._enter(sender, received=spans)
        for sender, spans in plan.duplicates.items():
            self._enter(sender, duplicate=spans)
        for sender, spans in plan.damaged.items():
            self._enter(sender, parked=spans)
        for batch in plan.batches:
            self.open[batch.batch_id] = OpenBatch(batch)
            self._enter(batch.sender, pending=batch.rows)
        self._tell(ledger_rows.planned(plan))

    def attempt(self, batch_id: str, attempt: int) -> None:
        """Enter a new token."""
        if batch_id in self.open:
            self.open[batch_id] = replace(self.open[batch_id], attempt=attempt)

    def split(self, batch_id: str, children: Sequence[Batch]) -> None:
        """Enter the two batches that one became."""
        parent = self.open.pop(batch_id, None)
        if parent:
            self.open.update((child.batch_id, OpenBatch(child)) for child in children)
            self._tell(ledger_rows.split(parent.batch, children))

    def end(self, batch_id: str, *, stored: Mapping[str, int], parked: int, reason: str = "") -> None:
        """Enter a batch's end: how many of its spans the store has, by tenant, and how many are parked."""
        ended = self.open.pop(batch_id, None)
        if ended:
            spans = sum(stored.values())
            if spans == ended.batch.rows:
                self.landed.setdefault(ended.batch.segment, []).append(ended.batch)
            self._enter(ended.batch.sender, stored=spans, parked=parked, pending=-ended.batch.rows)
            self._tell([ledger_rows.ended(ended.batch, stored=stored, parked=parked, reason=reason)])

    def _tell(self, rows: Iterable[LedgerRow]) -> None:
        self.untold.update((row.key, row) for row in rows)

    def _enter(self, sender: str, **move: int) -> None:
        self.accounts[sender] = self.accounts.get(sender, Account()).moved(**move)


@dataclass(slots=True)
class _File:
    path: Path
    newest_ms: int = 0
    segments: set[int] = field(default_factory=set)


class Ledger:
    """The ledger on disk and what it adds up to. Not thread-safe: the lander owns it."""

    def __init__(
        self,
        folder: Path,
        remember: Callable[[SegmentPlan], None],
        *,
        now_ms: int,
        on_disk: Container[int] = (),
        forget: Callable[[Lost], None] = lambda _: None,
    ) -> None:
        """Reads what is there, giving each plan to `remember`, oldest first, and to `forget` what was lost of it since.

        `on_disk` are the segments not released.

        Raises OSError.
        """
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._forget = forget
        self.state = LedgerState()
        self.began_ms = now_ms
        """What was received before this, the ledger does not know; Unix milliseconds."""
        self.damaged = False
        """Whether entries could not be read: then the ledger vouches for nothing before this start."""
        self._files: list[_File] = []
        self._untold_since: _File | None = None
        """The first file with something that the store was not told of."""
        paths = sorted(folder.glob(f"*{SUFFIX}"))
        for path in paths:
            self._replay(path, remember)
            self.state.landed = {n: batches for n, batches in self.state.landed.items() if n in on_disk}
        if self.damaged:
            self.began_ms = now_ms  # Also for the starts after this one, when the damaged file may be gone.
        self._suspect = False
        self._writer = self._open_file()

    def plan(self, plan: SegmentPlan) -> None:
        """Enter a segment's plan. Raises OSError; then nothing is entered, and it may be tried again."""
        header = {
            "segment": plan.segment,
            "received_ms": plan.received_ms,
            "batches": [batch.as_json() for batch in plan.batches],
            "received": plan.received,
            "tenants": plan.tenants,
            "duplicates": plan.duplicates,
            "damaged": plan.damaged,
            "keys": {sender: len(keys) // KEY_BYTES for sender, keys in plan.keys.items()},
            "bodies": [(body.sender, body.digest.hex(), *body[2:]) for body in plan.bodies],
        }
        self._write(Kind.PLAN, header, *plan.keys.values())
        self.state.plan(plan)
        self._files[-1].segments.add(plan.segment)
        self._files[-1].newest_ms = max(self._files[-1].newest_ms, plan.received_ms)

    def attempt(self, batch_id: str, attempt: int) -> None:
        """Enter that a batch gets a new token. Raises OSError."""
        self._write(Kind.ATTEMPT, {"batch_id": batch_id, "attempt": attempt})
        self.state.attempt(batch_id, attempt)

    def split(self, batch_id: str, children: Sequence[Batch]) -> None:
        """Enter that a batch became two. Raises OSError."""
        self._write(Kind.SPLIT, {"batch_id": batch_id, "children": [child.as_json() for child in children]})
        self.state.split(batch_id, children)

    def end(
        self,
        batch_id: str,
        *,
        stored: Mapping[str, int],
        parked: int,
        reason: str = "",
        lost: Lost | None = None,
    ) -> None:
        """Enter a batch's end: how many of its spans the store has, by tenant, and how many are parked, and why.

        `lost` are those among the parked that nobody can read any more. Raises OSError.
        """
        entry = {"batch_id": batch_id, "stored": stored, "parked": parked, "reason": reason}
        if lost:
            bodies = [digest.hex() for digest in lost.digests]
            self._write(Kind.END, entry | {"lost": {"sender": lost.sender, "bodies": bodies}}, *lost.keys)
        else:
            self._write(Kind.END, entry)
        self.state.end(batch_id, stored=stored, parked=parked, reason=reason)

    def plan_of(self, segment: int) -> SegmentPlan | None:
        """A segment's plan, read again; None = it is in no file that can be read. Raises OSError."""
        for file in reversed(self._files):
            for record in read_records(file.path, START).records if segment in file.segments else ():
                if record.kind == Kind.PLAN:
                    with contextlib.suppress(KeyError, TypeError, ValueError, struct.error):
                        plan = plan_from_json(*split_entry(record.payload))
                        if plan.segment == segment:
                            return plan
        return None

    def told(self) -> None:
        """Enter that the store was told of all that is `state.untold`. Raises OSError."""
        self._write(Kind.TOLD, {})
        self.state.untold.clear()
        self._untold_since = None

    def released(self, segment: int) -> list[Batch]:
        """Forget which batches of a segment landed; those batches."""
        return self.state.landed.pop(segment, [])

    def prune(self, *, keep_since_ms: int, on_disk: Set[int]) -> None:
        """Delete files whose every plan is older, ended, and whose segments are not on disk any more."""
        needed = {open_batch.batch.segment for open_batch in self.state.open.values()} | on_disk
        while (
            len(self._files) > 1
            and self._files[0].newest_ms < keep_since_ms
            and not self._files[0].segments & needed
            and self._files[0] is not self._untold_since
        ):
            oldest = self._files.pop(0)
            oldest.path.unlink(missing_ok=True)
            self.state.planned -= oldest.segments

    def close(self) -> None:
        """Close the file."""
        self._writer.close()

    def _write(self, kind: Kind, header: Mapping[str, object], *blobs: bytes) -> None:
        if self._suspect or self._writer.size >= FILE_BYTES_MAX:
            fresh = self._open_file()
            self._writer.close()
            self._writer, self._suspect = fresh, False
        text = orjson.dumps(header)
        # After a failed sync nobody knows what is on disk: the entry is written again, in a new file. One that then
        # stands twice changes nothing the second time.
        self._suspect = True
        self._writer.append(kind, b"".join((LENGTH.pack(len(text)), text, *blobs)))
        self._writer.sync()
        self._suspect = False
        self._untold_since = self._untold_since or self._files[-1]

    def _open_file(self) -> SegmentWriter:
        number = int(self._files[-1].path.name.removesuffix(SUFFIX)) + 1 if self._files else 1
        path = self._folder / f"{number:08d}{SUFFIX}"
        writer = SegmentWriter(path)
        accounts = {sender: _account_json(account) for sender, account in self.state.accounts.items()}
        batches = [(one.batch.as_json(), one.attempt) for one in self.state.open.values()]
        text = orjson.dumps({"began_ms": self.began_ms, "accounts": accounts, "open": batches})
        writer.append(Kind.OPENING, LENGTH.pack(len(text)) + text)
        writer.sync()
        sync_folder(self._folder)
        self._files.append(_File(path))
        return writer

    def _replay(self, path: Path, remember: Callable[[SegmentPlan], None]) -> None:
        found = read_records(path, START)
        file = _File(path)
        self._files.append(file)
        if found.corrupt or found.torn_bytes:
            # A torn entry was never acted on; but a damaged length looks the same, so neither is trusted.
            self.damaged = True
            log.warning("ledger file %s: %d damaged, %d torn bytes", path.name, len(found.corrupt), found.torn_bytes)
        for record in found.records:
            try:
                self._untold_since = self._untold_since or file
                for plan in self._enter(record.kind, record.payload):
                    file.segments.add(plan.segment)
                    file.newest_ms = max(file.newest_ms, plan.received_ms)
                    remember(plan)
            except (KeyError, TypeError, ValueError, struct.error) as error:
                self.damaged = True
                log.error("ledger file %s: an entry at %d makes no sense: %s", path.name, record.offset, error)

    def _enter(self, kind: int, raw: bytes) -> Iterator[SegmentPlan]:
        entry, keys = split_entry(raw)
        match kind:
            case Kind.OPENING:
                if len(self._files) == 1:
                    self.began_ms = int(entry["began_ms"])
                    self.state.accounts = {name: Account(**account) for name, account in entry["accounts"].items()}
                    opened = [OpenBatch(Batch.from_json(batch), int(attempt)) for batch, attempt in entry["open"]]
                    self.state.open = {one.batch.batch_id: one for one in opened}
            case Kind.PLAN:
                plan = plan_from_json(entry, keys)
                self.state.plan(plan)
                yield plan
            case Kind.ATTEMPT:
                self.state.attempt(entry["batch_id"], int(entry["attempt"]))
            case Kind.SPLIT:
                self.state.split(entry["batch_id"], [Batch.from_json(child) for child in entry["children"]])
            case Kind.END:
                enter_end(self.state, entry)
                if lost := entry.get("lost"):
                    digests = tuple(bytes.fromhex(digest) for digest in lost["bodies"])
                    self._forget(Lost(sender=lost["sender"], keys=tuple(split_keys(keys)), digests=digests))
            case Kind.TOLD:
                self.state.untold.clear()
                self._untold_since = None
            case _:
                raise ValueError(f"kind {kind}")


def split_entry(raw: bytes) -> tuple[dict[str, Any], bytes]:
    """What an entry says, and the keys behind it. Raises ValueError or struct.error for what is none."""
    (length,) = LENGTH.unpack_from(raw)
    return orjson.loads(raw[LENGTH.size : LENGTH.size + length]), raw[LENGTH.size + length :]


def enter_end(state: LedgerState, entry: Mapping[str, Any]) -> None:
    """Enter an END; an older one says how many spans landed and not whose they are.

    Raises KeyError, TypeError or ValueError.
    """
    stored = entry["stored"]
    if not isinstance(stored, dict):
        opened = state.open.get(entry["batch_id"])
        stored = {(opened.batch.tenant or "") if opened else "": int(stored)}
    state.end(entry["batch_id"], stored=stored, parked=int(entry["parked"]), reason=str(entry.get("reason", "")))


def _account_json(account: Account) -> dict[str, int]:
    return {name: getattr(account, name) for name in account.__slots__}


def plan_from_json(raw: Mapping[str, object], keys: bytes) -> SegmentPlan:
    """The plan that an entry tells of. Raises KeyError, TypeError or ValueError."""
    counts: Mapping[str, int] = raw["keys"]  # type: ignore[assignment]
    batches: Sequence[Mapping[str, object]] = raw["batches"]  # type: ignore[assignment]
    bodies: Sequence[tuple[str, str, int, *tuple[int, ...]]] = raw["bodies"]  # type: ignore[assignment]
    by_sender: dict[str, bytes] = {}
    start = 0
    for sender, count in counts.items():
        by_sender[sender] = keys[start : start + count * KEY_BYTES]
        start += count * KEY_BYTES
    parts = tuple(Batch.from_json(batch) for batch in batches)
    duplicates, damaged = dict(raw["duplicates"]), dict(raw["damaged"])  # type: ignore[call-overload]
    return SegmentPlan(
        segment=int(raw["segment"]),  # type: ignore[call-overload]
        received_ms=int(raw["received_ms"]),  # type: ignore[call-overload]
        batches=parts,
        received=dict(raw.get("received") or _received(parts, duplicates, damaged)),  # type: ignore[call-overload]
        tenants=dict(raw.get("tenants", {})),  # type: ignore[call-overload]
        duplicates=duplicates,
        damaged=damaged,
        keys=by_sender,
        bodies=tuple(Body(sender, bytes.fromhex(digest), *counts) for sender, digest, *counts in bodies),
    )


def _received(batches: Sequence[Batch], *counted: Mapping[str, int]) -> dict[str, int]:
    """Of a plan of an older ledger, which does not say it: what became of its spans, together."""
    received: dict[str, int] = {}
    for sender, spans in (*((batch.sender, batch.rows) for batch in batches), *(i for c in counted for i in c.items())):
        received[sender] = received.get(sender, 0) + spans
    return received
