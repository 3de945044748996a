"""From the spool into the store: takes sealed segments, plans them, and steps their batches to their end. One thread.

Killed at any moment, the next start goes on from the ledger: a batch without an end is counted in the store before it
is inserted again. While the store is away nothing is taken, so the segments behind grow instead of growing in number.
"""

import contextlib
import logging
import math
import random
import threading
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass

from collector.absences import Absences
from collector.batches import SegmentContent
from collector.books import Books
from collector.horizon import ANYONE, Horizon
from collector.ledger import Ledger, OpenBatch
from collector.losses import Lost
from collector.metrics import LandingMetrics
from collector.otlp import split_keys
from collector.parking import Parking
from collector.planning import plan_segment
from collector.sealed import Segment, read_segment
from collector.settings import Limits
from collector.sharding import ONE_SERVER
from collector.spool import Spool
from collector.steps import Again, BatchWaits, Ended, Halved, Step, Steps, Store, StoreAway, Work
from collector.store import StoreDown
from collector.verdicts import backoff_s

log = logging.getLogger("tollway.collector.lander")

TAKE_S = 0.2
TELL_ROWS = 500
"""As soon as it is that many rows the store is told of them, and else when it is time."""
UNTOLD_MAX = 50_000
"""Rows; beyond it nothing new is planned, so that memory stays bounded while the store does not take them."""
TIDY_S = 1.0
"""The longest wait: kept segments have to make room in time, though the store be away."""


Forget = Callable[[str, bytes | None], None]
"""Told of a sender's body by its digest, or of perhaps any of the sender's."""


@dataclass(frozen=True, slots=True)
class Clocks:
    """Where the time comes from."""

    monotonic: Callable[[], float]
    """Seconds."""
    now_ms: Callable[[], int]
    """Unix milliseconds."""


def next_work(works: Iterable[Work], now: float, *, aside_first: bool, away: Container[str] = ()) -> Work | None:
    """The batch to step next: the oldest fresh one, or the newest set aside, so that halves end before others begin.

    None of a shard that is `away`.
    """
    due = [work for work in works if work.due <= now and work.open.batch.shard not in away]
    fresh = next((work for work in due if not work.aside), None)
    aside = next((work for work in reversed(due) if work.aside), None)
    return (aside or fresh) if aside_first else (fresh or aside)


class Lander:
    """The thread between the spool and the store."""

    def __init__(
        self,
        *,
        spool: Spool,
        ledger: Ledger,
        horizon: Horizon,
        parking: Parking,
        books: Books,
        store: Store,
        metrics: LandingMetrics,
        limits: Limits,
        spool_id: str,
        clocks: Clocks,
        shards: Sequence[str] = (ONE_SERVER,),
        held: Sequence[Segment] = (),
        forget: Forget = lambda sender, digest: None,
    ) -> None:
        """`held` are the segments on disk of which the ledger has plans; the spool has the others.

        `shards` are the names of those that new batches go to. `forget` is told of bodies that are lost.
        """
        self._spool = spool
        self._ledger = ledger
        self._horizon = horizon
        self._parking = parking
        self._books = books
        self._store = store
        self._metrics = metrics
        self._limits = limits
        self._spool_id = spool_id
        self._shards = tuple(shards)
        self._clocks = clocks
        self._steps = Steps(
            store=store,
            ledger=ledger,
            parking=parking,
            books=books,
            metrics=metrics,
            now_ms=clocks.now_ms,
            forget=self._lost,
        )
        self._forget = forget
        self._held = {segment.number: segment for segment in held}
        self._works = [Work(one, unsure=True) for one in ledger.state.open.values()]
        self._content: tuple[int, SegmentContent] = (0, SegmentContent())
        self._damaged: set[int] = set()
        """Segments that were set aside whole, for the operator to see."""
        self._taken: Segment | None = None
        self._restored = False
        self._aside_first = False
        self._absences = Absences(self._pause_s)
        self._tell_at = clocks.monotonic() + limits.tell_s
        self._tell_failed = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="land", daemon=True)
        for segment in held:
            self._release_if_ended(segment.number)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """End the thread after the step it is in, or leave it behind after that time: the ledger knows what it did."""
        self._stopping.set()
        self._thread.join(timeout_s)

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def turn(self) -> float:
        """Do the one thing that is next; returns the seconds to wait before another. Raises OSError, StoreDown."""
        now = self._clocks.monotonic()
        self._spool.tidy(now_ms=self._clocks.now_ms())
        away = self._absences.away(now)
        if ONE_SERVER in away:
            return away[ONE_SERVER]
        self._restore()
        self._tell(now)
        work = next_work(self._works, now, aside_first=self._aside_first, away=away)
        if work is None or (work.aside and not self._aside_first):
            if self._full(away):
                wait_s = TAKE_S
            elif self._plan_next(0.0 if work else TAKE_S):
                return 0.0
            else:
                wait_s = 0.0
            if work is None:
                return wait_s
        self._aside_first = False
        self._settle(work, self._steps.step(work, lambda: self._read(work.open.batch.segment)), now)
        return 0.0

    def _full(self, away: Container[str]) -> bool:
        """Whether nothing new is planned: too much waits for reasons of its own, or is untold, or no shard answers.

        What waits for a shard that does not answer is bounded by the spool alone, so it holds no other shard up.
        """
        missing = self._absences.missing()
        waiting = sum(work.open.batch.shard not in missing for work in self._works)
        untold = len(self._ledger.state.untold)
        alone = all(shard in away for shard in self._shards)
        return waiting >= self._limits.set_aside_max or untold >= UNTOLD_MAX or alone

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                wait_s = self.turn()
            except StoreDown as down:
                wait_s = self._leave(str(down), ONE_SERVER)
            except Exception:
                # Whatever it is, the spans are safe in the spool, and a thread that ended would land none of them.
                log.exception("landing failed and is tried again")
                wait_s = self._leave("landing failed", ONE_SERVER)
            if wait_s:
                self._stopping.wait(min(wait_s, TIDY_S))
        with contextlib.suppress(Exception):
            self._tell(math.inf)  # What is not told now, the next start tells.
        self._store.close()

    def _tell(self, now: float) -> None:
        """Tell the store what the ledger has, when it is time; nothing waits for that."""
        rows = tuple(self._ledger.state.untold.values())
        if not rows or (now < self._tell_at and (len(rows) < TELL_ROWS or self._tell_failed)):
            return
        self._tell_at = now + self._limits.tell_s
        try:
            self._store.tell(rows, spool=self._spool_id, now_ms=self._clocks.now_ms())
        except StoreDown as down:
            self._tell_failed = True
            log.warning("the store is not told of %d rows of the ledger yet: %s", len(rows), down)
            return
        self._tell_failed = False
        self._ledger.told()

    def _restore(self) -> None:
        """Learn from the store what the ledger does not know, once."""
        if self._restored:
            return
        since_ms = self._clocks.now_ms() - int(self._limits.horizon_s * 1000)
        if self._ledger.damaged or self._ledger.began_ms > since_ms:
            keys = self._store.span_keys(since_ms=since_ms)
            # As if they came now: nobody knows when each did, and from the horizon's edge the next plan drops them all.
            self._horizon.add(ANYONE, keys, self._clocks.now_ms())
            log.info("%d spans were learnt from the store", len(keys))
        self._restored = True
        self._met(ONE_SERVER)

    def _plan_next(self, timeout_s: float) -> bool:
        """Plan the next segment, if there is one; one whose plan could not be written comes again."""
        self._taken = self._taken or self._spool.take(timeout_s)
        if self._taken is None:
            return False
        self._plan(self._taken)
        return True

    def _plan(self, segment: Segment) -> None:
        self._held[segment.number] = segment
        content = self._read(segment.number)
        plan = plan_segment(
            segment.number,
            content,
            self._horizon,
            spool_id=self._spool_id,
            expected=segment.spans,
            shards=self._shards,
        )
        self._ledger.plan(plan)
        self._taken = None
        for sender, keys in plan.keys.items():
            self._horizon.add(sender, split_keys(keys), plan.received_ms)
        self._horizon.forget(self._clocks.now_ms())
        for sender, spans in plan.duplicates.items():
            self._books.duplicate(sender, spans)
        for sender, spans in plan.damaged.items():
            self._books.parked(sender, spans)
            self._forget(sender, None)  # Nobody can tell which; what did land is known by its spans.
        self._works += [Work(OpenBatch(batch)) for batch in plan.batches]
        self._aside_first = True
        self._release_if_ended(segment.number)

    def _lost(self, lost: Lost) -> None:
        self._horizon.unlearn(lost.sender, lost.keys)
        for digest in lost.digests:
            self._forget(lost.sender, digest)

    def _settle(self, work: Work, step: Step, now: float) -> None:
        match step:
            case Again():
                return
            case Ended():
                self._works.remove(work)
                self._release_if_ended(work.open.batch.segment)
            case Halved(children):
                self._works.remove(work)
                self._works += [Work(OpenBatch(child), aside=True) for child in reversed(children)]
            case BatchWaits(reason):
                work.tries += 1
                work.aside = True
                work.due = now + self._pause_s(work.tries)
                log.warning("batch %s waits: %s", work.open.batch.batch_id, reason)
            case StoreAway(reason, shard):
                self._leave(reason, shard)
                return
        self._met(work.open.batch.shard)

    def _met(self, shard: str) -> None:
        """The store answered, or that shard of it."""
        self._absences.met(shard)
        self._metrics.store_up.set(int(not self._absences.missing()))
        self._metrics.set_aside.set(sum(work.aside for work in self._works))

    def _leave(self, reason: str, shard: str) -> float:
        """Let the store be for a while, or that shard of it; returns for how long."""
        pause_s = self._absences.leave(shard, self._clocks.monotonic())
        self._metrics.store_up.set(0)
        log.warning("%s is left alone for %.1f s: %s", f"shard {shard}" if shard else "the store", pause_s, reason)
        return pause_s

    def _pause_s(self, tries: int) -> float:
        return backoff_s(tries, longest_s=self._limits.retry_s_max, random=random.random())  # noqa: S311 - it spreads retries

    def _read(self, number: int) -> SegmentContent:
        """A held segment's content; the last one read is kept, for a segment's batches follow each other."""
        if self._content[0] != number:
            segment = self._held.get(number)
            content = read_segment(segment.path) if segment else SegmentContent()
            if segment and content.damage and number not in self._damaged:
                log.error("ALARM: segment %s is damaged: %s", segment.path.name, "; ".join(content.damage))
                self._parking.segment(segment, content.damage)
                self._metrics.damaged_segments.inc()
                self._damaged.add(number)
            self._content = (number, content)
        return self._content[1]

    def _release_if_ended(self, number: int) -> None:
        if any(work.open.batch.segment == number for work in self._works) or number not in self._held:
            return
        self._content = (0, SegmentContent())
        self._damaged.discard(number)
        self._spool.release(self._held.pop(number), self._ledger.released(number), now_ms=self._clocks.now_ms())
        horizon_ms = self._clocks.now_ms() - int(self._limits.horizon_s * 1000)
        keep_since_ms = max(horizon_ms, self._horizon.oldest_ms or horizon_ms)
        self._ledger.prune(keep_since_ms=keep_since_ms, on_disk=self._held.keys())
