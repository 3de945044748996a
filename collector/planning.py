"""From a sealed segment to its batches: who sent what, on which day, what was seen before. Pure: no disk, no clock."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from collector.batches import Batch, SegmentContent, fingerprint, to_ranges
from collector.horizon import Horizon
from collector.otlp import split_keys
from collector.records import Kind, SpoolRecord
from collector.sharding import ONE_SERVER, Share, shares

DAY_MS = 24 * 3600 * 1000


class Body(NamedTuple):
    """What is remembered of an acknowledged request."""

    sender: str
    digest: bytes
    spans: int
    offset: int = -1
    """Where its record lies in the segment; -1 = an older ledger does not say."""
    fresh: int = 0
    """How many of its spans are in the batches; in the plan's keys, a sender's bodies stand one after the other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentPlan:
    """All that becomes of one segment; written to the ledger as one entry, before anything is inserted."""

    segment: int
    received_ms: int
    """Of its earliest record; 0 = it has none."""
    batches: tuple[Batch, ...] = ()
    received: Mapping[str, int] = field(default_factory=dict)
    """Spans acknowledged in it by sender, counted by its records and not by what became of them."""
    tenants: Mapping[str, str] = field(default_factory=dict)
    """The tenants of those senders that are bound to one."""
    duplicates: Mapping[str, int] = field(default_factory=dict)
    """Spans left out because they are known, by sender."""
    damaged: Mapping[str, int] = field(default_factory=dict)
    """Spans that were acknowledged and cannot be read any more, by sender."""
    keys: Mapping[str, bytes] = field(default_factory=dict)
    """The keys of the batches' spans, joined, by sender."""
    bodies: tuple[Body, ...] = ()


class _Group(NamedTuple):
    sender: str
    tenant: str | None
    own: bool
    day: int


def plan_segment(
    segment: int,
    content: SegmentContent,
    horizon: Horizon,
    *,
    spool_id: str,
    expected: Mapping[str, int],
    shards: Sequence[str] = (ONE_SERVER,),
) -> SegmentPlan:
    """The plan of a segment. `expected` is what was acknowledged in it by sender, where that is known; else empty.

    The same segment, horizon and shards give the same plan, batch ids included.
    """
    groups: dict[_Group, list[int]] = {}
    duplicates: dict[str, int] = {}
    for offset, record in content.records.items():
        if record.kind is Kind.RESENT:
            duplicates[record.sender] = duplicates.get(record.sender, 0) + record.spans
        else:
            day = record.received_ms // DAY_MS
            groups.setdefault(_Group(record.sender, record.tenant, record.own, day), []).append(offset)
    batches: list[Batch] = []
    keys: dict[str, bytes] = {}
    bodies: list[Body] = []
    before: dict[str, list[bytes]] = {}
    for number, (group, offsets) in enumerate(groups.items()):
        records = [content.records[offset] for offset in offsets]
        found = split_keys(b"".join(record.keys for record in records))
        earlier = before.setdefault(group.sender, [])
        known = [p - len(earlier) for p in horizon.known(group.sender, earlier + found) if p >= len(earlier)]
        bodies += _bodies(offsets, records, known)
        if known:
            duplicates[group.sender] = duplicates.get(group.sender, 0) + len(known)
            gone = set(known)
            found = [key for position, key in enumerate(found) if position not in gone]
        earlier.extend(found)
        if found:
            name = f"{spool_id}-{segment}-{number}"
            batches += [_batch(name, segment, group, share) for share in shares(offsets, records, known, shards)]
            keys[group.sender] = keys.get(group.sender, b"") + b"".join(found)
    readable = content.spans()
    damaged = {s: n - readable.get(s, 0) for s, n in expected.items() if n > readable.get(s, 0)}
    return SegmentPlan(
        segment=segment,
        received_ms=min((record.received_ms for record in content.records.values()), default=0),
        batches=tuple(batches),
        received={s: readable.get(s, 0) + damaged.get(s, 0) for s in readable.keys() | damaged.keys()},
        tenants={record.sender: record.tenant for record in content.records.values() if record.tenant is not None},
        duplicates=duplicates,
        damaged=damaged,
        keys=keys,
        bodies=tuple(bodies),
    )


def _bodies(offsets: Sequence[int], records: Sequence[SpoolRecord], known: Sequence[int]) -> list[Body]:
    """What is remembered of a group's records; `known` are the positions, over all of them, that are in no batch."""
    found: list[Body] = []
    first = 0
    for offset, record in zip(offsets, records, strict=True):
        left_out = bisect_left(known, first + record.spans) - bisect_left(known, first)
        found.append(Body(record.sender, record.digest, record.spans, offset, record.spans - left_out))
        first += record.spans
    return found


def _batch(name: str, segment: int, group: _Group, share: Share) -> Batch:
    dropped = to_ranges(share.dropped)
    return Batch(
        batch_id=f"{name}-{share.shard}" if share.shard else name,
        segment=segment,
        sender=group.sender,
        tenant=group.tenant,
        received_ms=min(record.received_ms for record in share.records),
        offsets=share.offsets,
        rows=sum(record.spans for record in share.records) - len(share.dropped),
        dropped=dropped,
        own=group.own,
        shard=share.shard,
        digest=fingerprint(share.records, dropped),
    )
