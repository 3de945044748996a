"""Segments on disk between the sender and the store: appended by one thread, sealed, taken by the lander, released.

What `append` returned from is safe: it was fdatasynced. Whatever it raised from was not kept and must not be
acknowledged. A full disk is a state that is declared (`refusing`) and left by itself. Nothing here knows of the store.
"""

import contextlib
import logging
import os
import threading
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from collector.batches import Batch
from collector.keeping import Bounds, Keeping
from collector.records import Kind, SpoolRecord, encode
from collector.sealed import SUFFIX, Segment
from collector.settings import Limits
from gateway.domain.segments import SegmentWriter, sync_folder

log = logging.getLogger("tollway.collector.spool")

RECHECK_S = 1.0
KEPT = "landed"
"""The folder of kept segments, within the spool's."""


@dataclass(slots=True)
class _Active:
    number: int
    writer: SegmentWriter
    opened_at: float
    rows: int = 0
    spans: Counter[str] = field(default_factory=Counter)


def should_seal(*, rows: int, size: int, age_s: float, waiting: int, limits: Limits) -> bool:
    """Whether the active segment has enough in it, or has waited long enough while no sealed one waits before it."""
    if rows >= limits.segment_rows_max or size >= limits.segment_bytes_max:
        return True
    return size > 0 and age_s >= limits.segment_age_s and waiting == 0


class Spool:
    """The folder of segments.

    `append`, `seal_if_due`, `recheck` and `close` belong to one thread, `take` and `release` to another.
    """

    def __init__(
        self, folder: Path, limits: Limits, *, waiting: Sequence[Segment] = (), held: Sequence[Segment] = ()
    ) -> None:
        """Of the segments that a run before left behind, `waiting` are taken first and `held` are taken already.

        Raises OSError.
        """
        self._folder = folder
        self.kept = Keeping(folder / KEPT, Bounds(keep_s=limits.keep_s, bytes_max=limits.keep_bytes_max))
        self._limits = limits
        self._changed = threading.Condition()
        self._sealed: deque[Segment] = deque(waiting)
        self._active: _Active | None = None
        self._bytes = sum(segment.size for segment in (*waiting, *held))
        self._last_number = max(self.kept.last_number, *(segment.number for segment in (*waiting, *held)), 0)
        self._disk_refusal: str | None = None
        self._recheck_at = 0.0

    @property
    def bytes(self) -> int:
        """Kept and not released."""
        return self._bytes

    @property
    def refusing(self) -> str | None:
        """Why nothing is taken at present; None = there is room."""
        if self._bytes >= self._limits.spool_bytes_max:
            return f"the spool is full: {self._bytes} bytes wait for the store"
        return self._disk_refusal

    def append(self, records: Sequence[SpoolRecord], *, now: float, now_ms: int) -> None:
        """Keep the records, all or none, safe against power loss. Raises OSError, a full disk among them."""
        payloads = [(record.kind, encode(record)) for record in records]
        try:
            self._need_room(sum(len(piece) for _, pieces in payloads for piece in pieces))
            active = self._active or self._open(now, now_ms)
        except OSError as error:
            self._refuse(error, now)
            raise
        start = active.writer.size
        try:
            for kind, pieces in payloads:
                active.writer.append(kind, *pieces)
            if any(record.kind is Kind.BODY for record in records):
                active.writer.sync()
        except OSError as error:
            self._give_up(active, start)
            self._refuse(error, now)
            raise
        active.rows += sum(record.spans for record in records)
        for record in records:
            active.spans[record.sender] += record.spans
        with self._changed:
            self._bytes += active.writer.size - start

    def seal_if_due(self, now: float) -> None:
        """Hand the active segment to the lander, if it is due."""
        active = self._active
        if active and should_seal(
            rows=active.rows,
            size=active.writer.size,
            age_s=now - active.opened_at,
            waiting=len(self._sealed),
            limits=self._limits,
        ):
            self._seal(active)

    def recheck(self, now: float) -> None:
        """Take again, if the disk has room again."""
        if self._disk_refusal and now >= self._recheck_at:
            try:
                self._need_room(0)
            except OSError as error:
                self._refuse(error, now)
            else:
                log.warning("the disk has room again")
                self._disk_refusal = None

    def close(self) -> None:
        """Close the active segment; it is found again at the next start."""
        if self._active:
            self._active.writer.close()
            self._active = None

    def take(self, timeout_s: float) -> Segment | None:
        """The oldest sealed segment, waiting for one at most that long; it stays on disk until it is released."""
        with self._changed:
            if not self._sealed:
                self._changed.wait(timeout_s)
            return self._sealed.popleft() if self._sealed else None

    def release(self, segment: Segment, landed: Sequence[Batch] = (), *, now_ms: int) -> None:
        """Let go of a segment whose every span is landed or parked: it is kept for a time, if those batches landed."""
        try:
            self.kept.keep(segment, landed, now_ms)
        except OSError as error:
            log.error("segment %s could not be let go, which the next start does: %s", segment.path.name, error)
        with self._changed:
            self._bytes -= segment.size

    def tidy(self, *, now_ms: int) -> None:
        """Let go of kept segments whose time is over or whose room is wanted."""
        self.kept.tidy(now_ms=now_ms, bytes_lacking=2 * self._limits.free_bytes_min - self._free_bytes())

    def _open(self, now: float, now_ms: int) -> _Active:
        # The clock numbers the segments, so that a number is never used twice, even where the folder was emptied.
        self._last_number = max(self._last_number + 1, now_ms)
        path = self._folder / f"{self._last_number:015d}{SUFFIX}"
        self._active = _Active(self._last_number, SegmentWriter(path), opened_at=now)
        sync_folder(self._folder)
        return self._active

    def _seal(self, active: _Active) -> None:
        active.writer.close()
        self._active = None
        with self._changed:
            self._sealed.append(Segment(active.number, active.writer.path, active.writer.size, dict(active.spans)))
            self._changed.notify_all()

    def _give_up(self, active: _Active, size: int) -> None:
        """Cut what was not acknowledged, and write no more there: after a failed sync nobody knows what is on disk."""
        with contextlib.suppress(OSError):
            os.truncate(active.writer.path, size)
        active.writer.size = size
        if size:
            self._seal(active)
            return
        active.writer.close()
        self._active = None
        with contextlib.suppress(OSError):
            active.writer.path.unlink()

    def _need_room(self, size: int) -> None:
        free = self._free_bytes()
        if free - size < self._limits.free_bytes_min:
            raise OSError(f"{free} bytes are free on the disk and {self._limits.free_bytes_min} must stay so")

    def _free_bytes(self) -> int:
        disk = os.statvfs(self._folder)
        return disk.f_bavail * disk.f_frsize

    def _refuse(self, error: OSError, now: float) -> None:
        if not self._disk_refusal:
            log.error("nothing is taken until the disk can be written: %s", error)
        self._disk_refusal = f"the disk cannot be written: {error.strerror or error}"
        self._recheck_at = now + RECHECK_S
