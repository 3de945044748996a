"""Lands kept segments again, so that their rows are as today's mapping makes them: new rows in the place of old ones.

For a portion of batches at a time: the ledger, the new rows, hidden and under names of their own, a count of each, one
swap, a count of all, a note for whoever derives from the facts, the ledger. Rows of a batch whose name has a `~` are of
a kind that no view shows; the swap is one mutation of the store, which takes the old rows away and makes the new ones
seen. So whatever dies, and whenever, readers see each span once: the old rows until the swap is asked for, and from
then on the store carries it out by itself, part by part within moments. What was begun the next run finishes before it
does anything else. A batch whose new rows the store does not take keeps its old ones.

It runs beside the collector, which has nothing more to do with batches that landed, and takes no lock of its. On
replicated tables every replica carries the mutation out, over all parts that were there when it was made, before it
returns; and as no name is ever used twice, nothing that lands later can be hit by it.
"""

import contextlib
import fcntl
import logging
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeAlias, TypeVar, assert_never

from collector.batches import Batch, PayloadLost, SegmentContent, payload
from collector.keeping import Kept, list_kept
from collector.ledger import OpenBatch
from collector.replay_ledger import ReplayLedger
from collector.replay_plan import Choice, Swap, portions, swap
from collector.sealed import SUFFIX, read_segment
from collector.spool import KEPT
from collector.steps import Again, BatchWaits, Ended, Work
from collector.store import StoreDown
from collector.verdicts import (
    Counted,
    DataRefused,
    Declined,
    InsertAgain,
    Inserted,
    InsertOutcome,
    Landed,
    Mismatch,
    NewToken,
    Rows,
    Uncertain,
    Wait,
    backoff_s,
    read_back,
)

log = logging.getLogger("tollway.collector.replay")

Answer = TypeVar("Answer")

TRIES_MAX = 8
"""Of one question, or of one insert, before the run ends; with pauses that grow to PAUSE_S_MAX."""
PAUSE_S_MAX = 4.0
NO_ROWS = Rows(0)


class ReplayStopped(RuntimeError):
    """The replay cannot go on; what was begun is known and finished by the next run. One line for the operator."""


class Store(Protocol):
    """What a replay needs of the store."""

    def insert(self, batch: OpenBatch, otlp: bytes) -> InsertOutcome:
        """Insert a batch under its token; what the store does is an outcome, never an exception."""

    def count(self, batch: OpenBatch) -> tuple[Counted, bool]:
        """What there is of the batch, and whether an insert of it runs still. Raises StoreDown."""

    def count_batches(self, batch_ids: Sequence[str]) -> Mapping[str, Rows]:
        """What is there of each; one without rows may be missing. Raises StoreDown."""

    def swap_batches(self, new: Mapping[str, str], *, received_ms: int) -> None:
        """Show hidden rows in the place of old ones, whose names are given by the new, received on that moment's day.

        Raises StoreDown; then it may be done, or be under way.
        """

    def delete_batches(self, batch_ids: Sequence[str], *, received_ms: int) -> None:
        """Delete the rows of batches received on that moment's day. Raises StoreDown."""

    def record_replaced(self, replaced: Mapping[str, str], *, now_ms: int) -> None:
        """Tell who derives from the facts that old rows gave way to new: their names, by the new. Raises StoreDown."""


@dataclass(frozen=True, slots=True)
class Found:
    """A batch that may be landed again."""

    batch: Batch
    """As it landed at first."""
    kept: Kept


@dataclass(frozen=True, slots=True)
class Told:
    """What became of one batch."""

    swap: Swap
    why: str = ""
    """Why its old rows stay; "" = it was landed again."""


@dataclass(frozen=True, slots=True)
class Left:
    """The old rows stay."""

    why: str


Step: TypeAlias = Again | Ended | BatchWaits | Left


@dataclass(slots=True)
class Shelf:
    """What is kept: the batches that can be landed again, and the segments that cannot be."""

    batches: list[Found] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)
    """Why, by file name."""


def shelf(spool: Path) -> Shelf:
    """What is kept in that spool. Raises OSError."""
    found = Shelf()
    for kept in list_kept(spool / KEPT):
        content = read_segment(kept.path)
        if content.landed is None:
            damage = "; ".join(content.damage) or "it was never signed off"
            found.unreadable[kept.path.name] = f"what landed of it is not known: {damage}"
        else:
            found.batches += [Found(batch, kept) for batch in content.landed]
    return found


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Only one replay at a time works in that folder. Raises ReplayStopped, OSError."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    fd = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise ReplayStopped(f"another replay works in {folder}: wait for its end") from None
    try:
        yield
    finally:
        os.close(fd)


def unfinished(folder: Path) -> int:
    """How many batches a run that was stopped left begun; 0 while a run works there. Raises OSError."""
    if not folder.exists():
        return 0
    try:
        with alone(folder):
            return len(ReplayLedger(folder, now_ms=0).state.open)
    except ReplayStopped:
        return 0


class Replay:
    """One run; its folder is locked by `alone`."""

    def __init__(
        self, folder: Path, spool: Path, store: Store, *, mapping: str, now_ms: int, pause: Callable[[float], object]
    ) -> None:
        """`mapping` names what makes rows of spans today; `pause` waits that many seconds. Raises OSError."""
        self._folder = folder
        self._spool = spool
        self._store = store
        self._mapping = mapping
        self._now_ms = now_ms
        self._pause = pause
        self._ledger = ReplayLedger(folder, now_ms=now_ms)
        self._content: tuple[str, SegmentContent] = ("", SegmentContent())

    @property
    def begun(self) -> int:
        """How many batches a run before began and did not finish."""
        return len(self._ledger.state.open)

    def close(self) -> None:
        """Close the ledger."""
        self._ledger.close()

    def plan(self, found: Sequence[Found], choice: Choice) -> tuple[list[Swap], int]:
        """The swaps of those that are chosen, and how many besides are as today's mapping makes them already."""
        state = self._ledger.state
        chosen = [one for one in found if choice.takes(one.batch)]
        swaps = [
            swap(one.batch, one.kept.path.name, self._mapping, current=state.current, used=state.used)
            for one in chosen
            if state.mapping.get(one.batch.batch_id) != self._mapping
        ]
        return swaps, len(chosen) - len(swaps)

    def finish(self) -> list[Told]:
        """Finish what a run before began. Raises ReplayStopped, OSError."""
        begun = list(portions(self._ledger.state.open.values()))
        told = [one for portion in begun for one in self._carry_out(portion)]
        self._let_go({path.name for path in self._folder.glob(f"*{SUFFIX}")})
        return told

    def run(self, swaps: Sequence[Swap], found: Sequence[Found]) -> Iterator[Told]:
        """Make those swaps; one answer each, as they come. `found` is all that is kept.

        Raises ReplayStopped, OSError.
        """
        self._ledger.forget({one.batch.batch_id for one in found})
        for portion in portions(swaps):
            refused = self._before(portion)
            ready = [one for one in portion if one.batch.batch_id not in refused]
            if ready:
                self._ledger.begin(ready)
                yield from self._carry_out(ready)
            self._let_go({one.kept for one in portion})
            yield from (Told(one, refused[one.batch.batch_id]) for one in portion if one.batch.batch_id in refused)

    def _before(self, portion: Sequence[Swap]) -> dict[str, str]:
        """Why swaps cannot be begun; the bytes of those that can are held until they end."""
        names = [name for one in portion for name in (one.old, one.batch.batch_id)]
        there = self._asked(lambda: self._store.count_batches(names))
        refused: dict[str, str] = {}
        for one in portion:
            (old, _), (new, _) = there.get(one.old, NO_ROWS), there.get(one.batch.batch_id, NO_ROWS)
            if old != one.batch.rows or new:
                also = f", and {new} under {one.batch.batch_id} that no replay here knows of" if new else ""
                refused[one.batch.batch_id] = f"the store has {old} of its {one.batch.rows} spans{also}"
                continue
            held = self._folder / one.kept
            try:
                with contextlib.suppress(FileExistsError):
                    os.link(self._spool / KEPT / one.kept, held)
                payload(one.batch, self._read(one.kept))
            except FileNotFoundError:
                refused[one.batch.batch_id] = "its segment's time was over meanwhile"
            except PayloadLost as lost:
                refused[one.batch.batch_id] = str(lost)
        return refused

    def _carry_out(self, portion: Sequence[Swap]) -> list[Told]:
        """Land, count, swap, count, and say so in the ledger."""
        left: dict[str, str] = {}
        for one in portion:
            why = self._land(one)
            if why is not None:
                left[one.batch.batch_id] = why
        made = [one for one in portion if one.batch.batch_id not in left]
        if made:
            self._swap(made)
            replaced = {one.batch.batch_id: one.old for one in made}
            self._asked(lambda: self._store.record_replaced(replaced, now_ms=self._now_ms))
        self._ledger.end(replaced=[one.batch.batch_id for one in made], left=left)
        self._let_go({one.kept for one in portion})
        return [Told(one, left.get(one.batch.batch_id, "")) for one in portion]

    def _land(self, one: Swap) -> str | None:
        """Land the new rows; None once all are counted, else why the store does not take them."""
        work = Work(OpenBatch(one.batch, one.attempt), unsure=True)
        while True:
            step = self._count(work) if work.unsure else self._insert(work, one.kept)
            match step:
                case Ended():
                    return None
                case Left(why):
                    return why
                case BatchWaits(reason):
                    work.tries += 1
                    self._wait(work.tries, reason)

    def _insert(self, work: Work, kept: str) -> Step:
        try:
            outcome = self._store.insert(work.open, payload(work.open.batch, self._read(kept)))
        except PayloadLost as lost:
            return Left(str(lost))
        match outcome:
            case DataRefused(reason):
                return Left(f"the store refuses it: {reason}")
            case Inserted():
                work.unsure = work.certain = True
                return Again()
            case Uncertain(reason) | Declined(reason):
                work.unsure = True
                return BatchWaits(reason)
            case _:
                assert_never(outcome)

    def _count(self, work: Work) -> Step:
        batch = work.open.batch
        found, running = self._asked(lambda: self._store.count(work.open))
        verdict = read_back(rows=batch.rows, found=found.spans, running=running, certain=work.certain)
        match verdict:
            case Landed():
                return Ended()
            case Wait():
                return BatchWaits("an insert of it runs still")
            case InsertAgain():
                work.unsure = False
                return Again()
            case NewToken():
                work.open = OpenBatch(batch, work.open.attempt + 1)
                self._ledger.attempt(batch.batch_id, work.open.attempt)
                work.unsure = work.certain = False
                return Again()
            case Mismatch(part):
                self._delete([batch.batch_id], batch.received_ms)
                return Left(f"the store kept {part} of its {batch.rows} spans")
            case _:
                assert_never(verdict)

    def _swap(self, made: Sequence[Swap]) -> None:
        """Show the new rows in the place of the old ones, until that is what is counted."""
        new = {one.batch.batch_id: one.old for one in made}
        for tries in range(1, TRIES_MAX + 2):
            self._asked(lambda: self._store.swap_batches(new, received_ms=made[0].batch.received_ms))
            there = self._asked(lambda: self._store.count_batches([*new, *new.values()]))
            late = sum(rows.hidden if name in new else rows.spans for name, rows in there.items())
            if not late:
                return
            self._wait(tries, f"{late} rows are not swapped yet")

    def _delete(self, names: Sequence[str], received_ms: int) -> None:
        """Delete those rows, until none is counted."""
        for tries in range(1, TRIES_MAX + 2):
            self._asked(lambda: self._store.delete_batches(names, received_ms=received_ms))
            left = sum(rows.spans for rows in self._asked(lambda: self._store.count_batches(names)).values())
            if not left:
                return
            self._wait(tries, f"{left} rows that were deleted are there still")

    def _asked(self, question: Callable[[], Answer]) -> Answer:
        for tries in range(1, TRIES_MAX + 2):
            try:
                return question()
            except StoreDown as down:
                self._wait(tries, str(down))
        raise AssertionError("_wait raises before")

    def _wait(self, tries: int, reason: str) -> None:
        if tries > TRIES_MAX:
            raise ReplayStopped(
                f"the replay stopped, the store being away: {reason}. Every span is still there; "
                f"{self.begun} batches are begun, which the next `tollway replay-spool` finishes"
            )
        log.warning("the replay waits: %s", reason)
        self._pause(backoff_s(tries, longest_s=PAUSE_S_MAX, random=0.0))

    def _read(self, kept: str) -> SegmentContent:
        if self._content[0] != kept:
            self._content = (kept, read_segment(self._folder / kept))
        return self._content[1]

    def _let_go(self, names: set[str]) -> None:
        wanted = Counter(one.kept for one in self._ledger.state.open.values())
        for name in names:
            if not wanted[name]:
                (self._folder / name).unlink(missing_ok=True)
