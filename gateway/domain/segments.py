"""Append-only segment files, shared by the gateway's journal and the collector's spool.

A record is a header (payload length u32, CRC-32 of kind and payload u32, kind u8; little-endian) and its payload. One
append is one write, so a SIGKILL leaves at most one torn record, at the end; `read_records` cuts it. A record whose
checksum does not hold is set aside and reading goes on behind it. Power loss is the caller's to cover, with `sync`.
"""

import fcntl
import os
import struct
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path

HEADER = struct.Struct("<IIB")
PAYLOAD_BYTES_MAX = 256 * 1024 * 1024
"""No writer of ours comes near; a longer length in a header means that the header itself is damaged."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record: its kind, its payload, and where its header starts."""

    kind: int
    payload: bytes
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

    def append(self, kind: int, payload: bytes) -> int:
        """Write one record in one call; returns its offset. It survives kill -9 from here on.

        Raises OSError, a full disk among them; a partial write is taken back, so the segment stays whole.
        """
        crc = zlib.crc32(payload, zlib.crc32(bytes((kind,))))
        record = HEADER.pack(len(payload), crc, kind) + payload
        offset = self.size
        try:
            written = os.write(self._fd, record)
            while written < len(record):
                written += os.write(self._fd, record[written:])
        except OSError:
            os.ftruncate(self._fd, offset)
            raise
        self.size = offset + len(record)
        return offset

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


def read_records(path: Path) -> Records:
    """All that a segment holds. Never raises for damage; raises OSError if the file cannot be read."""
    data = path.read_bytes()
    records: list[Record] = []
    corrupt: list[Corrupt] = []
    offset = 0
    while offset + HEADER.size <= len(data):
        length, crc, kind = HEADER.unpack_from(data, offset)
        end = offset + HEADER.size + length
        if length > PAYLOAD_BYTES_MAX:
            corrupt.append(Corrupt(offset, len(data) - offset, f"a length of {length} bytes"))
            return Records(records, corrupt, 0)
        if end > len(data):
            break
        payload = data[offset + HEADER.size : end]
        if zlib.crc32(payload, zlib.crc32(bytes((kind,)))) == crc:
            records.append(Record(kind, payload, offset))
        else:
            corrupt.append(Corrupt(offset, end - offset, "the checksum does not hold"))
        offset = end
    return Records(records, corrupt, len(data) - offset)
