"""The segments of one journal folder that are being written: append, rotate, make durable, seal.

A segment is sealed only when its successor, with all that is unfinished carried into it, is on the disk; so what the
outbox holds can be deleted once acknowledged. Appends never wait for the disk's cache to be flushed.
"""

import threading

from gateway.domain.segments import SegmentWriter, sync_folder
from gateway.journal.folder import Folder
from gateway.journal.outbox import Outbox, Sealed
from gateway.journal.records import CARRY, SHIPPED


class Log:
    """Appends come under `lock`, which the caller takes; `sync` takes it itself, shortly."""

    def __init__(self, folder: Folder, outbox: Outbox) -> None:
        """Opens the folder's first segment. Raises OSError."""
        self.lock = threading.Lock()
        self._folder = folder
        self._outbox = outbox
        self._number = 1
        self._active = SegmentWriter(folder.segment(self._number))
        self._carried = 0
        self._sealing: list[SegmentWriter] = []
        self._sealing_bytes = 0
        self._disk = threading.Lock()
        self._durable = (0, 0)
        self.ships = False
        """Whether the active segment holds a span."""

    @property
    def position(self) -> tuple[int, int]:
        """How far has been written: segment and byte. Under `lock`."""
        return self._number, self._active.size

    @property
    def grown(self) -> int:
        """Bytes of the active segment, what was carried into it left out."""
        return self._active.size - self._carried

    @property
    def size(self) -> int:
        """Bytes of segments that are not in the outbox yet."""
        return self._active.size + self._sealing_bytes

    def append(self, kind: int, payload: bytes) -> None:
        """Write one record; it survives kill -9. Under `lock`. Raises OSError, and then nothing was written."""
        self._active.append(kind, payload)
        if kind in SHIPPED:
            self.ships = True

    def rotate(self, carry: bytes) -> None:
        """Go on in a new segment that begins with `carry`. Under `lock`. Raises OSError; the old one then goes on."""
        path = self._folder.segment(self._number + 1)
        fresh = SegmentWriter(path)
        try:
            if carry:
                fresh.append(CARRY, carry)
        except OSError:
            fresh.close()
            path.unlink(missing_ok=True)
            raise
        self._sealing.append(self._active)
        self._sealing_bytes += self._active.size
        self._active, self._carried = fresh, fresh.size
        self._number += 1
        self.ships = False

    def sync(self, through: tuple[int, int] | None = None) -> None:
        """Block until all that is written (or `through`, a `position`) survives power loss; then seal. Raises OSError.

        Callers that wait for each other share one flush.
        """
        with self._disk:
            if through is not None and self._durable >= through:
                return
            with self.lock:
                sealing, active, position = list(self._sealing), self._active, self.position
            if position == self._durable:
                return
            for segment in sealing:
                segment.sync()
            active.sync()
            if position[0] != self._durable[0]:
                sync_folder(self._folder.path)
            self._durable = position
            self._seal(sealing)

    def close(self) -> None:
        """Close the files; what is in them stays."""
        with self._disk, self.lock:
            for segment in (*self._sealing, self._active):
                segment.close()

    def _seal(self, segments: list[SegmentWriter]) -> None:
        for segment in segments:
            segment.close()
            with self.lock:
                self._sealing.remove(segment)
                self._sealing_bytes -= segment.size
                self._outbox.add(Sealed(segment.path, segment.size))
