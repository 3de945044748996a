"""Which shard of a cluster a span goes to: by its trace, so that a trace lies whole in one shard. Pure.

The shard is chosen when a batch is planned and then stands in the ledger with it, under its name: whatever shards are
added or taken away later, a batch that was begun is tried again where it was begun.
"""

from collections.abc import Sequence
from typing import NamedTuple
from zlib import crc32

from collector.otlp import KEY_BYTES, TRACE_ID_BYTES
from collector.records import SpoolRecord

ONE_SERVER = ""
"""The name of the only shard where there is no cluster."""


class Share(NamedTuple):
    """What of some records one shard gets."""

    shard: str
    offsets: tuple[int, ...]
    records: tuple[SpoolRecord, ...]
    dropped: tuple[int, ...]
    """Ascending positions over its records: what is another shard's, or in no batch."""


def shard_of(trace_id: bytes, names: Sequence[str]) -> str:
    """The shard of a trace, of shards whose names are sorted. Another set of them spreads traces anew."""
    return names[crc32(trace_id) % len(names)]


def shares(
    offsets: Sequence[int], records: Sequence[SpoolRecord], dropped: Sequence[int], shards: Sequence[str]
) -> list[Share]:
    """The records' spans without the dropped positions, by shard, in the order of the shards' names; none is empty.

    A span's trace is read from the key that the spool keeps of it, so its bytes are not looked at.
    """
    if len(shards) == 1:
        whole = Share(shards[0], tuple(offsets), tuple(records), tuple(dropped))
        return [whole] if sum(record.spans for record in records) > len(dropped) else []
    placed = list(_placed(records, frozenset(dropped), sorted(shards)))
    return [
        _share(shard, offsets, records, placed) for shard in sorted(shards) if any(shard in homes for homes in placed)
    ]


def _placed(records: Sequence[SpoolRecord], dropped: frozenset[int], names: Sequence[str]) -> list[list[str | None]]:
    """The shard of each span, by record; None = it is in no batch."""
    placed: list[list[str | None]] = []
    position = 0
    for record in records:
        homes: list[str | None] = []
        for start in range(0, record.spans * KEY_BYTES, KEY_BYTES):
            trace_id = record.keys[start : start + TRACE_ID_BYTES]
            homes.append(None if position in dropped else shard_of(trace_id, names))
            position += 1
        placed.append(homes)
    return placed


def _share(
    shard: str, offsets: Sequence[int], records: Sequence[SpoolRecord], placed: Sequence[list[str | None]]
) -> Share:
    mine = [number for number, homes in enumerate(placed) if shard in homes]
    homes = [home for number in mine for home in placed[number]]
    return Share(
        shard,
        tuple(offsets[number] for number in mine),
        tuple(records[number] for number in mine),
        tuple(position for position, home in enumerate(homes) if home != shard),
    )
