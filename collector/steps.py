"""One open batch, one step further: insert it, count it, end it, or say who has to wait. Every step may be repeated.

Does what verdicts.py says, and writes the ledger before anything that could not be undone. It never waits.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeAlias, assert_never

from collector.batches import Batch, PayloadLost, SegmentContent, halves, payload
from collector.books import Books
from collector.ledger import Ledger, OpenBatch
from collector.ledger_rows import LedgerRow
from collector.losses import Lost, lost_of, parted, sizes
from collector.metrics import LandingMetrics
from collector.parking import Parking
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
    Uncertain,
    Wait,
    read_back,
)

log = logging.getLogger("tollway.collector.lander")

NOTHING = Counted({})


class Store(Protocol):
    """What landing needs of the store."""

    def insert(self, batch: OpenBatch, otlp: bytes) -> InsertOutcome:
        """Insert a batch under its token; what the store does is an outcome, never an exception."""

    def count(self, batch: OpenBatch) -> tuple[Counted, bool]:
        """What there is of the batch, and whether an insert of it runs still. Raises StoreDown."""

    def span_keys(self, *, since_ms: int) -> list[bytes]:
        """The keys of all spans received since then. Raises StoreDown."""

    def tell(self, rows: Sequence[LedgerRow], *, spool: str, now_ms: int) -> None:
        """Tell the store what the ledger of that spool has; a row told twice counts once. Raises StoreDown."""

    def close(self) -> None:
        """Give the connection back."""


@dataclass(slots=True)
class Work:
    """An open batch and how it stands."""

    open: OpenBatch
    unsure: bool = False
    """Whether it may be in the store already: then it is counted before it is inserted."""
    certain: bool = False
    """Whether the store said that it took it under this token."""
    aside: bool = False
    """Whether newer ones go first."""
    due: float = 0.0
    tries: int = 0


@dataclass(frozen=True, slots=True)
class Again:
    """Step again at once."""


@dataclass(frozen=True, slots=True)
class Ended:
    """Landed or parked."""


@dataclass(frozen=True, slots=True)
class Halved:
    """Its halves take its place."""

    children: tuple[Batch, ...]


@dataclass(frozen=True, slots=True)
class BatchWaits:
    """This batch waits; others may go on."""

    reason: str


@dataclass(frozen=True, slots=True)
class StoreAway:
    """Everybody waits; of a cluster, all that goes to that shard."""

    reason: str
    shard: str


Step: TypeAlias = Again | Ended | Halved | BatchWaits | StoreAway


class Steps:
    """Takes batches a step further; one thread's."""

    def __init__(
        self,
        *,
        store: Store,
        ledger: Ledger,
        parking: Parking,
        books: Books,
        metrics: LandingMetrics,
        now_ms: Callable[[], int],
        forget: Callable[[Lost], None],
    ) -> None:
        """`forget` is told of what is known no more, so that it is taken when it comes again."""
        self._store = store
        self._ledger = ledger
        self._parking = parking
        self._books = books
        self._metrics = metrics
        self._now_ms = now_ms
        self._forget = forget

    def step(self, work: Work, content: Callable[[], SegmentContent]) -> Step:
        """One step. `content` reads the batch's segment, where it is needed. Raises OSError from ledger or parking."""
        if work.unsure:
            return self._count(work, content)
        batch = work.open.batch
        try:
            otlp = payload(batch, content())
        except PayloadLost as lost:
            plan = self._ledger.plan_of(batch.segment)
            parts = parted(batch, content(), sizes(plan))
            if parts is None:
                return self._park(work, lost.rest, f"{lost}", lost=lost_of(plan, batch, content()))
            log.error("batch %s of %d spans: %d can be read still, and land", batch.batch_id, batch.rows, parts[0].rows)
            self._ledger.split(batch.batch_id, parts)
            return Halved(parts)
        outcome = self._store.insert(work.open, otlp)
        self._metrics.inserts.labels(type(outcome).__name__).inc()
        match outcome:
            case Inserted():
                work.unsure = work.certain = True
                return self._count(work, content)
            case Uncertain(reason):
                work.unsure = True
                return _away(batch, reason)
            case Declined(reason):
                work.unsure = True
                return BatchWaits(reason)
            case DataRefused(reason) if batch.rows > 1:
                return self._halve(batch, content(), reason)
            case DataRefused(reason):
                everything = lost_of(self._ledger.plan_of(batch.segment), batch, SegmentContent())
                return self._park(work, otlp, reason, lost=everything)
            case _:
                assert_never(outcome)

    def _count(self, work: Work, content: Callable[[], SegmentContent]) -> Step:
        batch = work.open.batch
        try:
            found, running = self._store.count(work.open)
        except StoreDown as down:
            return _away(batch, str(down))
        verdict = read_back(rows=batch.rows, found=found.spans, running=running, certain=work.certain)
        match verdict:
            case Landed():
                return self._landed(batch, found)
            case Wait():
                return BatchWaits("an insert of it runs still")
            case InsertAgain():
                work.unsure = False
                return Again()
            case NewToken():
                return self._renew(work)
            case Mismatch():
                return self._mismatch(work, found, content)
            case _:
                assert_never(verdict)

    def _landed(self, batch: Batch, found: Counted) -> Step:
        self._ledger.end(batch.batch_id, stored=found.by_tenant, parked=0)
        self._books.stored(batch.sender, batch.rows)
        self._metrics.batches.labels("landed").inc()
        if batch.tenant is not None and found.claimed:
            self._metrics.claimed_tenants.labels(batch.sender).inc(found.claimed)
        self._metrics.landing_seconds.observe(max(0, self._now_ms() - batch.received_ms) / 1000)
        return Ended()

    def _renew(self, work: Work) -> Step:
        batch_id, attempt = work.open.batch.batch_id, work.open.attempt + 1
        log.warning("batch %s: the store took it and does not have it; a new token, attempt %d", batch_id, attempt)
        self._ledger.attempt(batch_id, attempt)
        self._metrics.tokens_renewed.inc()
        work.open = replace(work.open, attempt=attempt)
        work.unsure = work.certain = False
        return Again()

    def _halve(self, batch: Batch, content: SegmentContent, reason: str) -> Step:
        log.error("batch %s of %d spans is refused and halved: %s", batch.batch_id, batch.rows, reason)
        children = halves(batch, content)
        self._ledger.split(batch.batch_id, children)
        return Halved(children)

    def _mismatch(self, work: Work, found: Counted, content: Callable[[], SegmentContent]) -> Step:
        batch = work.open.batch
        self._metrics.mismatches.inc()
        try:
            otlp = payload(batch, content())
        except PayloadLost as lost:
            otlp = lost.rest
        why = f"the store has {found.spans} of its {batch.rows} spans"
        too_many = found.spans > batch.rows
        return self._park(work, otlp, why, Counted({batch.tenant or "": batch.rows}) if too_many else found)

    def _park(
        self, work: Work, otlp: bytes, reason: str, found: Counted = NOTHING, *, lost: Lost | None = None
    ) -> Step:
        batch = work.open.batch
        parked = batch.rows - found.spans
        log.error("ALARM: batch %s: %d spans are parked: %s", batch.batch_id, parked, reason)
        self._parking.batch(batch, otlp, reason)
        self._ledger.end(batch.batch_id, stored=found.by_tenant, parked=parked, reason=reason, lost=lost)
        if lost:
            self._forget(lost)
        self._books.stored(batch.sender, found.spans)
        self._books.parked(batch.sender, parked)
        self._metrics.batches.labels("parked").inc()
        return Ended()


def _away(batch: Batch, reason: str) -> Step:
    return StoreAway(reason, batch.shard)
