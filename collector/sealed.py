"""Sealed segments, read: every record that is whole, and what is to be said of the rest.

A torn tail is what a kill leaves of a write that was never acknowledged. Everything else that cannot be read is damage:
bytes that were acknowledged once.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from collector.batches import Batch, SegmentContent, decode_landed
from collector.records import START, Kind, SpoolRecord, decode
from gateway.domain.segments import read_records

SUFFIX = ".segment"


@dataclass(frozen=True, slots=True)
class Segment:
    """One sealed segment; its number is larger than that of every segment before it, over restarts too."""

    number: int
    path: Path
    size: int
    spans: Mapping[str, int] = field(default_factory=dict)
    """Spans acknowledged in it, by sender, those of resent bodies included."""


def list_segments(folder: Path) -> list[Path]:
    """The segments in that folder, oldest first."""
    return sorted(folder.glob(f"*{SUFFIX}"), key=segment_number)


def segment_number(path: Path) -> int:
    """The number in a segment's name."""
    return int(path.name.removesuffix(SUFFIX))


def read_segment(path: Path) -> SegmentContent:
    """What a segment holds. Never raises for damage, a missing file among it; raises OSError if it cannot be read."""
    try:
        found = read_records(path, START, views=True)
    except FileNotFoundError:
        return SegmentContent(damage=("the file is gone",))
    damage = [f"{stretch.length} bytes at {stretch.offset}: {stretch.reason}" for stretch in found.corrupt]
    records: dict[int, SpoolRecord] = {}
    landed: tuple[Batch, ...] | None = None
    for record in found.records:
        try:
            if record.kind == Kind.LANDED:
                landed = decode_landed(record.payload)
            else:
                records[record.offset] = decode(record.kind, record.payload)
        except ValueError as error:
            damage.append(f"the record at {record.offset}: {error}")
    return SegmentContent(records, tuple(damage), landed)


def cut_torn_tail(path: Path) -> int:
    """Cut what a kill left of a last, unacknowledged write; returns the segment's size then. Raises OSError."""
    torn_bytes = read_records(path, START).torn_bytes
    size = path.stat().st_size - torn_bytes
    if torn_bytes:
        os.truncate(path, size)
    return size
