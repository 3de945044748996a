"""What damage takes of a batch whose landing was planned: what can be read is parted from what cannot, and it is told
which spans those are, so that they are known no more and land when their sender comes again. Pure.
"""

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, replace

from collector.batches import Batch, SegmentContent, fingerprint, to_positions, to_ranges
from collector.otlp import split_keys
from collector.planning import SegmentPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """Spans that were acknowledged and cannot be read any more."""

    sender: str
    keys: tuple[bytes, ...]
    digests: tuple[bytes, ...]
    """Of the bodies that they came in."""


def sizes(plan: SegmentPlan | None) -> dict[int, int]:
    """The spans of each record by its offset, as far as the plan says it."""
    return {body.offset: body.spans for body in plan.bodies if body.offset >= 0} if plan else {}


def parted(batch: Batch, content: SegmentContent, spans: Mapping[int, int]) -> tuple[Batch, ...] | None:
    """What of a batch can be read still, and behind it what cannot, if any. `spans` are its records' by their offsets.

    None where nothing can be read, or all can, or where nobody can tell which spans of a record were in it.
    """
    readable = tuple(offset for offset in batch.offsets if offset in content.records)
    lost = tuple(offset for offset in batch.offsets if offset not in content.records)
    there = {offset: content.records[offset].spans for offset in readable} | dict(spans)
    if not readable or not lost or any(offset not in there for offset in batch.offsets):
        return None
    mine = indexes(batch, there)
    halves = [_of(batch, name, part, mine, there) for name, part in (("a", readable), ("b", lost))]
    if not halves[0].rows:
        return None
    whole = fingerprint([content.records[offset] for offset in readable], halves[0].dropped)
    return tuple(half for half in (replace(halves[0], digest=whole), halves[1]) if half.rows)


def lost_of(plan: SegmentPlan | None, batch: Batch, content: SegmentContent) -> Lost | None:
    """What of a batch cannot be read any more; None = all can, or an older ledger does not say."""
    spans = sizes(plan)
    gone = [offset for offset in batch.offsets if offset not in content.records]
    if plan is None or not gone or any(offset not in spans for offset in batch.offsets):
        return None
    mine, keys = indexes(batch, spans), _keys(plan, batch.sender)
    found = [keys[offset, index] for offset in gone for index in mine[offset]]
    digests = tuple(body.digest for body in plan.bodies if body.offset in gone)
    return Lost(sender=batch.sender, keys=tuple(found), digests=digests)


def indexes(batch: Batch, spans: Mapping[int, int]) -> dict[int, list[int]]:
    """Which spans of each of its records are in a batch, from 0 in each; by offset."""
    gone = to_positions(batch.dropped)
    found: dict[int, list[int]] = {}
    first = 0
    for offset in batch.offsets:
        behind = first + spans[offset]
        left_out = {position - first for position in gone[bisect_left(gone, first) : bisect_left(gone, behind)]}
        found[offset] = [index for index in range(spans[offset]) if index not in left_out]
        first = behind
    return found


def _keys(plan: SegmentPlan, sender: str) -> dict[tuple[int, int], bytes]:
    """The keys of a sender's spans that are in batches, by record and place in it."""
    spans = sizes(plan)
    places: dict[int, set[int]] = {}
    for batch in plan.batches:
        for offset, mine in indexes(batch, spans).items() if batch.sender == sender else ():
            places.setdefault(offset, set()).update(mine)
    keys = iter(split_keys(plan.keys.get(sender, b"")))
    bodies = [body for body in plan.bodies if body.sender == sender]
    return {(body.offset, index): next(keys) for body in bodies for index in sorted(places.get(body.offset, ()))}


def _of(
    batch: Batch, name: str, offsets: tuple[int, ...], mine: Mapping[int, list[int]], spans: Mapping[int, int]
) -> Batch:
    """A part of a batch that has those of its records alone."""
    dropped: list[int] = []
    first = 0
    for offset in offsets:
        kept = set(mine[offset])
        dropped += [first + index for index in range(spans[offset]) if index not in kept]
        first += spans[offset]
    rows = first - len(dropped)
    return replace(batch, batch_id=f"{batch.batch_id}.{name}", offsets=offsets, rows=rows, dropped=to_ranges(dropped))
