"""Sealed segments that wait to be acknowledged, oldest first, and the bytes they take.

The journal and recovery put them in, the shipper takes them out; a segment's file is deleted here and nowhere else. A
dead process's folder is held (locked) until its last segment is gone, and is then removed.
"""

import logging
import threading
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.journal.folder import Folder

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sealed:
    """A segment nobody writes to any more, in which every attempt not ended is also known to a newer one."""

    path: Path
    size: int
    adopted: Folder | None = None
    """The dead process's folder it was found in; None = our own."""


class Outbox:
    """A queue of sealed segments; any thread may call."""

    def __init__(self) -> None:
        self._waiting: deque[Sealed] = deque()
        self._adopted: Counter[Folder] = Counter()
        self._changed = threading.Condition()
        self._hurried = False
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def owns(self) -> bool:
        """Whether a segment of our own folder waits."""
        with self._changed:
            return any(sealed.adopted is None for sealed in self._waiting)

    def add(self, sealed: Sealed) -> None:
        """Put one at the end."""
        with self._changed:
            self._add(sealed)

    def adopt(self, folder: Folder, segments: Sequence[Path]) -> None:
        """Put a dead process's segments at the end; the outbox keeps its lock. Without any, the folder is removed."""
        with self._changed:
            for path in segments:
                self._add(Sealed(path, path.stat().st_size, folder))
        if not segments:
            _remove(folder)

    def head(self, timeout_s: float | None = None) -> Sealed | None:
        """The oldest, left where it is; waits for one, and gives None when the time is up or nobody shall wait."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._hurried, timeout_s)
            return self._waiting[0] if self._waiting else None

    def done(self, sealed: Sealed) -> None:
        """Delete the oldest, which is `sealed`. Raises OSError if its file cannot be deleted; it then stays."""
        sealed.path.unlink(missing_ok=True)
        with self._changed:
            self._waiting.popleft()
            self.bytes -= sealed.size
            last = False
            if sealed.adopted is not None:
                self._adopted[sealed.adopted] -= 1
                last = not self._adopted[sealed.adopted]
            self._changed.notify_all()
        if last and sealed.adopted is not None:
            del self._adopted[sealed.adopted]
            _remove(sealed.adopted)

    def wait_empty(self, timeout_s: float) -> bool:
        """Whether nothing waits any more, at the latest after `timeout_s`."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting, timeout_s)

    def hurry(self) -> None:
        """From now on `head` does not wait."""
        with self._changed:
            self._hurried = True
            self._changed.notify_all()

    def release(self) -> None:
        """Give up the adopted folders' locks, so that the next process may take what is left."""
        for folder in self._adopted:
            folder.release()

    def _add(self, sealed: Sealed) -> None:
        self._waiting.append(sealed)
        self.bytes += sealed.size
        if sealed.adopted is not None:
            self._adopted[sealed.adopted] += 1
        self._changed.notify_all()


def _remove(folder: Folder) -> None:
    try:
        folder.remove()
    except OSError as error:
        # Nothing that matters is left in it; a start may try again.
        _log.warning("the journal folder %s could not be removed: %s", folder.path, error)
        folder.release()
