"""What is inserted at once: a batch is some spans of one sealed segment, of one sender and day, for one shard.

A batch names its spans by the segment's records and the positions left out, so its bytes can be made again, the same,
after a restart. One batch is one insert, one token, one partition and one part: it lands whole or not at all.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Any, Self

import orjson

from collector.framing import without
from collector.otlp import digest
from collector.records import LENGTH, SpoolRecord
from collector.refusals import Refused
from collector.sharding import ONE_SERVER

Ranges = tuple[tuple[int, int], ...]
"""Half-open ranges of positions, ascending, neither touching nor overlapping."""


def to_ranges(positions: Sequence[int]) -> Ranges:
    """Ascending positions as ranges."""
    ranges: list[tuple[int, int]] = []
    for position in positions:
        if ranges and ranges[-1][1] == position:
            ranges[-1] = (ranges[-1][0], position + 1)
        else:
            ranges.append((position, position + 1))
    return tuple(ranges)


def to_positions(ranges: Ranges) -> list[int]:
    """Ranges as ascending positions."""
    return [position for start, end in ranges for position in range(start, end)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One insert to be. The spans of its records are numbered from 0 over all of them; `dropped` are not in it."""

    batch_id: str
    segment: int
    sender: str
    tenant: str | None
    received_ms: int
    """Of its earliest record; the partition is its UTC day."""
    offsets: tuple[int, ...]
    """Of its records in the segment."""
    rows: int
    dropped: Ranges = ()
    own: bool = False
    """Whether all of it is a gateway's own, which lands by a shorter way."""
    shard: str = ONE_SERVER
    """Where it lands, and is tried again, whatever shards there are by then."""
    digest: str = ""
    """Hexadecimal, of what it is made of: the digests of its records' bodies and what is dropped of them."""

    def as_json(self) -> dict[str, Any]:
        """For the ledger."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Self:
        """What `as_json` gave, read back. Raises KeyError, TypeError or ValueError for anything else."""
        return cls(
            batch_id=str(raw["batch_id"]),
            segment=int(raw["segment"]),
            sender=str(raw["sender"]),
            tenant=None if raw["tenant"] is None else str(raw["tenant"]),
            received_ms=int(raw["received_ms"]),
            offsets=tuple(int(offset) for offset in raw["offsets"]),
            rows=int(raw["rows"]),
            dropped=tuple((int(start), int(end)) for start, end in raw["dropped"]),
            own=bool(raw.get("own", False)),
            shard=str(raw.get("shard", ONE_SERVER)),
            digest=str(raw["digest"]),
        )


def encode_landed(batches: Sequence[Batch]) -> bytes:
    """The payload of a LANDED record."""
    return LENGTH.pack(0) + orjson.dumps({"landed": [batch.as_json() for batch in batches]})


def decode_landed(payload: bytes) -> tuple[Batch, ...]:
    """What `encode_landed` was given. Raises ValueError for anything else."""
    try:
        return tuple(Batch.from_json(raw) for raw in orjson.loads(payload[LENGTH.size :])["landed"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a list of batches: {error}") from None


class PayloadLost(Exception):
    """The bytes of a batch cannot be made again: its segment is gone or damaged since it was planned."""

    def __init__(self, reason: str, rest: bytes = b"") -> None:
        super().__init__(reason)
        self.rest = rest
        """What could still be read."""


@dataclass(frozen=True, slots=True)
class SegmentContent:
    """What a sealed segment holds: its whole records by offset, and why other stretches could not be read."""

    records: Mapping[int, SpoolRecord] = field(default_factory=dict)
    damage: tuple[str, ...] = ()
    landed: tuple[Batch, ...] | None = None
    """The batches of it that landed, where that is written behind its records."""

    def spans(self) -> dict[str, int]:
        """Readable spans by sender."""
        spans: dict[str, int] = {}
        for record in self.records.values():
            spans[record.sender] = spans.get(record.sender, 0) + record.spans
        return spans


def join(records: Sequence[SpoolRecord], dropped: Ranges) -> bytes:
    """The records' requests as one, without the dropped spans; untouched where nothing is dropped. Raises Refused."""
    if not dropped:
        return b"".join(record.body for record in records)
    gone = to_positions(dropped)
    pieces: list[bytes] = []
    first = 0
    for record in records:
        mine = {p - first for p in gone[bisect_left(gone, first) : bisect_left(gone, first + record.spans)]}
        if len(mine) < record.spans:
            pieces.append(without(record.body, mine) if mine else record.body)
        first += record.spans
    return b"".join(pieces)


def fingerprint(records: Sequence[SpoolRecord], dropped: Ranges) -> str:
    """What tells that a payload is made of the same things again; its bytes are not read, their checksums were."""
    return digest(b"".join(record.digest for record in records) + repr(dropped).encode()).hex()


def payload(batch: Batch, content: SegmentContent) -> bytes:
    """The batch's bytes, made again from its segment. Raises PayloadLost."""
    records = [content.records[offset] for offset in batch.offsets if offset in content.records]
    if len(records) < len(batch.offsets):
        raise PayloadLost("records of its segment cannot be read any more", b"".join(r.body for r in records))
    if fingerprint(records, batch.dropped) != batch.digest:
        raise PayloadLost("its records are not those it was planned with", b"".join(r.body for r in records))
    try:
        return join(records, batch.dropped)
    except Refused as refused:
        raise PayloadLost(f"its spans cannot be taken apart: {refused}", b"".join(r.body for r in records)) from None


def halves(batch: Batch, content: SegmentContent) -> tuple[Batch, Batch]:
    """Two batches that are this one together, each with an id of its own. `batch` has at least two rows.

    It is parted between two records where that can be, so that one that cannot be taken apart ends up alone.
    """
    records = [content.records[offset] for offset in batch.offsets]
    gone = set(to_positions(batch.dropped))
    kept = [position for position in range(sum(record.spans for record in records)) if position not in gone]
    starts = accumulate((record.spans for record in records[:-1]), initial=0)
    between = {bisect_left(kept, start) for start in starts} - {0, len(kept)}
    middle = min(between or {len(kept) // 2}, key=lambda cut: abs(2 * cut - len(kept)))

    def half(name: str, mine: Sequence[int], others: Sequence[int]) -> Batch:
        dropped = to_ranges(sorted(gone.union(others)))
        made_of = fingerprint(records, dropped)
        return replace(batch, batch_id=f"{batch.batch_id}.{name}", rows=len(mine), dropped=dropped, digest=made_of)

    return half("a", kept[:middle], kept[middle:]), half("b", kept[middle:], kept[:middle])
