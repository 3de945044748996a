"""The ledger as the store is told of it: a row for what was received in a segment, and one for each batch. Pure.

A row is written as soon as it is known and again when it is settled, and a settled row takes the place of an open one:
so a row told twice counts once, and what a kill kept from being told is told at the next start.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from collector.batches import Batch
from collector.planning import SegmentPlan

Key = tuple[int, str, str]
"""Segment, sender and entry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerRow:
    """One row of `tollway.ingest_ledger`; counts are spans."""

    segment: int
    """Its number, which is when it was opened in Unix milliseconds: the row counts in that hour."""
    entry: str
    """The batch; "" = what a sender's requests in the segment held."""
    sender: str
    tenant: str = ""
    """The sender's; "" = its spans name theirs."""
    received: int = 0
    duplicate: int = 0
    stored: Mapping[str, int] = field(default_factory=dict)
    """By tenant, as they were counted in the store."""
    parked: int = 0
    pending: int = 0
    settled: int = 0
    """The row with the higher number counts: 0 open, 1 at its end, 2 where what was parked is landed again."""
    reason: str = ""
    """Why spans are parked."""

    @property
    def key(self) -> Key:
        """What it is a row of."""
        return self.segment, self.sender, self.entry


def planned(plan: SegmentPlan) -> Iterator[LedgerRow]:
    """What a plan says: what was received, by sender, and its batches, which are open."""
    for sender, received in plan.received.items():
        damaged = plan.damaged.get(sender, 0)
        yield LedgerRow(
            segment=plan.segment,
            entry="",
            sender=sender,
            tenant=plan.tenants.get(sender, ""),
            received=received,
            duplicate=plan.duplicates.get(sender, 0),
            parked=damaged,
            settled=1,
            reason="could not be read any more" if damaged else "",
        )
    yield from map(opened, plan.batches)


def opened(batch: Batch) -> LedgerRow:
    """A batch without an end."""
    return _row(batch, pending=batch.rows)


def split(batch: Batch, children: Sequence[Batch]) -> Iterator[LedgerRow]:
    """A batch that became others: it holds nothing itself."""
    yield _row(batch, settled=1)
    yield from map(opened, children)


def ended(batch: Batch, *, stored: Mapping[str, int], parked: int, reason: str) -> LedgerRow:
    """A batch at its end."""
    return _row(batch, stored=stored, parked=parked, settled=1, reason=reason if parked else "")


def _row(
    batch: Batch,
    *,
    stored: Mapping[str, int] | None = None,
    parked: int = 0,
    pending: int = 0,
    settled: int = 0,
    reason: str = "",
) -> LedgerRow:
    return LedgerRow(
        segment=batch.segment,
        entry=batch.batch_id,
        sender=batch.sender,
        tenant=batch.tenant or "",
        stored=stored or {},
        parked=parked,
        pending=pending,
        settled=settled,
        reason=reason,
    )
