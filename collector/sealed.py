"""Sealed segments, read: every record that is whole, and what is to be said of the rest.

A torn tail is what a kill leaves of a write that was never acknowledged. Everything else that cannot be read is damage:
bytes that were acknowledged once. A damaged length hides the records behind it, so those are looked for.
"""

import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from collector.batches import SegmentContent
from collector.records import LENGTH, MARK, SpoolRecord, decode
from gateway.domain.segments import HEADER, Record, Records, read_records

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
        found = read_records(path)
    except FileNotFoundError:
        return SegmentContent(damage=("the file is gone",))
    damage = [f"{stretch.length} bytes at {stretch.offset}: {stretch.reason}" for stretch in found.corrupt]
    whole = {record.offset: record for record in found.records}
    if found.corrupt or found.torn_bytes:
        hidden = _hidden(path.read_bytes(), found)
        damage += [f"the record before {record.offset} is unreadable" for record in hidden]
        whole.update((record.offset, record) for record in hidden)
    records: dict[int, SpoolRecord] = {}
    for offset in sorted(whole):
        try:
            records[offset] = decode(whole[offset].kind, whole[offset].payload)
        except ValueError as error:
            damage.append(f"the record at {offset}: {error}")
    return SegmentContent(records, tuple(damage))


def cut_torn_tail(path: Path) -> int:
    """Cut what a kill left of a last, unacknowledged write; returns the segment's size then. Raises OSError.

    Where whole records stand behind the tear it is damage, not a tail, and nothing is cut.
    """
    found = read_records(path)
    size = path.stat().st_size
    if found.torn_bytes and not found.corrupt and not _hidden(path.read_bytes(), found):
        size -= found.torn_bytes
        os.truncate(path, size)
    return size


def _hidden(data: bytes, found: Records) -> list[Record]:
    """Whole records in the stretches that `found` does not explain."""
    known = {record.offset: record.offset + HEADER.size + len(record.payload) for record in found.records}
    hidden: list[Record] = []
    position = data.find(MARK)
    while position >= 0:
        offset = position - LENGTH.size - HEADER.size
        end = known.get(offset)
        if end is None and (record := _record_at(data, offset)):
            hidden.append(record)
            end = offset + HEADER.size + len(record.payload)
        position = data.find(MARK, end or position + 1)
    return hidden


def _record_at(data: bytes, offset: int) -> Record | None:
    if offset < 0:
        return None
    length, crc, kind = HEADER.unpack_from(data, offset)
    payload = data[offset + HEADER.size : offset + HEADER.size + length]
    if len(payload) < length or zlib.crc32(payload, zlib.crc32(bytes((kind,)))) != crc:
        return None
    return Record(kind, payload, offset)
