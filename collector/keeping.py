"""Landed segments, kept for a time so that they can be landed again once a mistake in the mapping is mended.

They lie in a folder of their own, each named by its number and by when it landed. Keeping never costs a sender its
room: it is bounded in time and bytes, and the oldest go before the disk comes down to what has to stay free.
"""

import logging
import shutil
import threading
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from collector.batches import Batch, encode_landed
from collector.records import Kind
from collector.sealed import SUFFIX, Segment
from gateway.domain.segments import SegmentWriter

log = logging.getLogger("tollway.collector.keeping")


class Cause(StrEnum):
    """Why a kept segment goes."""

    AGE = "age"
    BYTES = "bytes"
    DISK = "disk"
    """The disk is short of room, or did not take what keeping it needs."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One kept segment."""

    path: Path
    number: int
    landed_ms: int
    """Unix milliseconds."""
    size: int


@dataclass(frozen=True, slots=True)
class Bounds:
    """How long and how much is kept. Times are seconds, sizes bytes."""

    keep_s: float
    """0 = nothing is kept."""
    bytes_max: int


def leaving(
    kept: Iterable[Kept], bounds: Bounds, *, now_ms: int, bytes_kept: int, bytes_lacking: int
) -> list[tuple[Kept, Cause]]:
    """Which go now, and why. `kept` are the oldest first, `bytes_kept` in all; the disk lacks `bytes_lacking`."""
    going: list[tuple[Kept, Cause]] = []
    for one in kept:
        if one.landed_ms <= now_ms - bounds.keep_s * 1000:
            cause = Cause.AGE
        elif bytes_kept > bounds.bytes_max:
            cause = Cause.BYTES
        elif bytes_lacking > 0:
            cause = Cause.DISK
        else:
            break
        going.append((one, cause))
        bytes_kept -= one.size
        bytes_lacking -= one.size
    return going


def list_kept(folder: Path) -> list[Kept]:
    """The kept segments in that folder, in the order they landed; [] where there is no such folder. Raises OSError."""
    found = []
    for path in folder.glob(f"*-*{SUFFIX}"):
        number, _, landed_ms = path.name.removesuffix(SUFFIX).partition("-")
        if number.isdigit() and landed_ms.isdigit():
            try:
                found.append(Kept(path, int(number), int(landed_ms), path.stat().st_size))
            except FileNotFoundError:
                continue  # Its time was over between the two calls.
    return sorted(found, key=lambda one: (one.landed_ms, one.number))


class Keeping:
    """The folder of kept segments. Thread-safe."""

    def __init__(self, folder: Path, bounds: Bounds) -> None:
        """Raises OSError."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._bounds = bounds
        self._lock = threading.Lock()
        self._kept = deque(list_kept(folder))
        self.bytes = sum(one.size for one in self._kept)
        self.gone: Counter[Cause] = Counter()
        """Segments that were kept and are no more, since this process began."""

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def last_number(self) -> int:
        """The highest number of a kept segment; 0 = none is kept."""
        with self._lock:
            return max((one.number for one in self._kept), default=0)

    def keep(self, segment: Segment, landed: Sequence[Batch], now_ms: int) -> None:
        """Take a segment of which those batches landed; where it cannot be kept it is deleted. Raises OSError."""
        if self._bounds.keep_s <= 0 or not landed or not segment.path.exists():
            segment.path.unlink(missing_ok=True)
            return
        path = self._folder / f"{segment.number}-{now_ms}{SUFFIX}"
        try:
            size = _sign(segment.path, landed)
            segment.path.rename(path)
        except OSError as error:
            log.error("segment %s landed and cannot be kept: %s", segment.path.name, error)
            segment.path.unlink(missing_ok=True)
            self.gone[Cause.DISK] += 1
            return
        with self._lock:
            self._kept.append(Kept(path, segment.number, now_ms, size))
            self.bytes += size

    def tidy(self, *, now_ms: int, bytes_lacking: int = 0) -> None:
        """Let go of what is too old or too much, and of as much as the disk lacks."""
        with self._lock:
            going = leaving(self._kept, self._bounds, now_ms=now_ms, bytes_kept=self.bytes, bytes_lacking=bytes_lacking)
            for one, cause in going:
                try:
                    one.path.unlink(missing_ok=True)
                except OSError as error:
                    log.error("the kept segment %s cannot be deleted: %s", one.path.name, error)
                    return
                self._kept.popleft()
                self.bytes -= one.size
                self.gone[cause] += 1


def _sign(path: Path, landed: Sequence[Batch]) -> int:
    """Say behind a segment's records which batches of it landed; its size then. Raises OSError."""
    if path.stat().st_nlink > 1:
        # A damaged one is parked under another name, and stays there as it was found.
        own = path.with_suffix(".own")
        shutil.copyfile(path, own)
        own.rename(path)
    writer = SegmentWriter(path)
    try:
        # Not synced: after a power loss a torn one is told as such, and nothing but a replay wants it.
        writer.append(Kind.LANDED, encode_landed(landed))
        return writer.size
    finally:
        writer.close()
