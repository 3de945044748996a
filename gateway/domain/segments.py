"""Append-only segment files, shared by the gateway's journal and the collector's spool.

A record is a header (payload length u32, CRC-32 of kind and payload u32, kind u8; little-endian) and its payload. One
append is one write, so a SIGKILL leaves at most one torn record, at the end; `read_records` cuts it. A record whose
checksum does not hold is set aside, and reading goes on at the next one that is whole: a damaged length is not
followed. Power loss is the caller's to cover, with `sync`.
"""

import fcntl
import os
import re
import struct
import sys
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from gateway.domain.fact import fact

HEADER = struct.Struct("<IIB")
_CRC_OF_KIND = tuple(zlib.crc32(bytes((kind,))) for kind in range(256))
PAYLOAD_BYTES_MAX = 256 * 1024 * 1024
"""No writer of ours comes near; a longer length in a header means that the header itself is damaged."""


def record_start(kinds: Iterable[int], opening: bytes = b"") -> re.Pattern[bytes]:
    """What finds where a record may start: a length within bounds, one of those kinds, and `opening`, a regular
    expression of its payload's first bytes. The more it says, the fewer places are held against their checksum."""
    one_of = b"".join(re.escape(bytes((kind,))) for kind in kinds)
    return re.compile(rb"(?=.{3}[\x00-\x10].{4}[" + one_of + b"]" + opening + b")", re.DOTALL)


ANY_START = record_start(range(256))


@fact(frozen=True, slots=True)
class Record:
    """One record: its kind, its payload, and where its header starts."""

    kind: int
    payload: bytes
    """Or a view of the bytes that were read, where `read_records` was asked for views."""
    offset: int


@dataclass(frozen=True, slots=True)
class Corrupt:
    """A stretch that could not be read, with the reason."""

    offset: int
    length: int
    reason: str


@dataclass(frozen=True, slots=True)
class Records:
    """What a segment holds: whole records, damaged stretches, and how many bytes of a torn tail were left out."""

    records: list[Record]
    corrupt: list[Corrupt]
    torn_bytes: int


class SegmentWriter:
    """One open segment. Not thread-safe: its owner decides who writes."""

    def __init__(self, path: Path) -> None:
        """Opens (or creates, mode 0600) the file for appending. Raises OSError."""
        self.path = path
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self.size = os.fstat(self._fd).st_size

    def append(self, kind: int, payload: bytes, *more: bytes) -> int:
        """Write one record in one call; returns its offset. It survives kill -9 from here on.

        `more` is the rest of a payload in pieces, which need not be joined for it. Raises OSError, a full disk among
        them; a partial write is taken back, so the segment stays whole.
        """
        crc, length = _checksum(kind, payload), len(payload)
        for piece in more:
            crc, length = zlib.crc32(piece, crc), length + len(piece)
        header = HEADER.pack(length, crc, kind)
        offset = self.size
        try:
            if more:
                self._write_all(header, payload, *more)
            else:
                self._write_all(header + payload)
        except OSError:
            os.ftruncate(self._fd, offset)
            raise
        self.size = offset + len(header) + length
        return offset

    def _write_all(self, *pieces: bytes) -> None:
        written = os.write(self._fd, pieces[0]) if len(pieces) == 1 else os.writev(self._fd, pieces)
        if written < sum(map(len, pieces)):
            self._write_all(b"".join(pieces)[written:])

    def sync(self) -> None:
        """Block until what was appended survives a power loss. Raises OSError."""
        flush(self._fd)

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def flush(fd: int) -> None:
    """Have the disk itself keep a file's data. macOS has no fdatasync, and its fsync stops at the drive's cache."""
    if sys.platform == "darwin":
        fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
    else:
        os.fdatasync(fd)


def sync_folder(folder: Path) -> None:
    """Make a created, renamed or deleted name in that folder survive a power loss."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def read_records(path: Path, start: re.Pattern[bytes] = ANY_START, *, views: bool = False) -> Records:
    """All that a segment holds; `start` is what finds a record behind damage. With `views` no payload is copied, and
    each holds all of what was read. Never raises for damage; raises OSError if the file cannot be read."""
    data = path.read_bytes()
    found = Records([], [], 0)
    offset = 0
    while offset < len(data):
        record = _whole_at(data, offset, views=views)
        if record:
            found.records.append(record)
            offset += HEADER.size + len(record.payload)
            continue
        end = next((m.start() for m in start.finditer(data, offset + 1) if _whole_at(data, m.start())), len(data))
        reason = _damage(data, offset)
        if reason is None and end == len(data):
            return Records(found.records, found.corrupt, end - offset)
        found.corrupt.append(Corrupt(offset, end - offset, reason or "a length that reaches behind the end"))
        offset = end
    return found


def _whole_at(data: bytes, offset: int, *, views: bool = False) -> Record | None:
    start = offset + HEADER.size
    if start > len(data):
        return None
    length, crc, kind = HEADER.unpack_from(data, offset)
    end = start + length
    if length > PAYLOAD_BYTES_MAX or end > len(data):
        return None
    # Whoever asks for views does with them what bytes and views can do alike.
    payload = cast("bytes", memoryview(data)[start:end]) if views else data[start:end]
    return Record(kind, payload, offset) if _checksum(kind, payload) == crc else None


def _damage(data: bytes, offset: int) -> str | None:
    """Why what starts there is no whole record; None = it may have been torn at the end of the data."""
    if offset + HEADER.size > len(data):
        return None
    length, crc, kind = HEADER.unpack_from(data, offset)
    start = offset + HEADER.size
    if length > PAYLOAD_BYTES_MAX:
        return f"a length of {length} bytes"
    if start + length <= len(data):
        return "the checksum does not hold"
    # Whole but for its length: that was no write cut short.
    return "a damaged length" if _checksum(kind, memoryview(data)[start:]) == crc else None


def _checksum(kind: int, payload: bytes | memoryview) -> int:
    return zlib.crc32(payload, _CRC_OF_KIND[kind])
