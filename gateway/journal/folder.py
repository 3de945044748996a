"""A journal's folder: made afresh by each gateway process, locked while that process lives, taken over when it is gone.

The kernel drops the lock with the process, kill -9 included, so a free lock means that nobody writes here any more.
A folder appears under its final name already locked, and a name is never used twice: whoever finds a free lock has
found a dead process's folder, not one that is being made.
"""

import fcntl
import os
import re
from pathlib import Path

from gateway.domain.segments import sync_folder

LOCK = "lock"
BALLAST = "ballast"
_SEGMENT = re.compile(r"\d{8}\.seg")
_WORKER = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Folder:
    """A locked journal folder."""

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self._lock = lock

    @classmethod
    def create(cls, root: Path, worker: str) -> "Folder":
        """A new folder `<root>/<worker>.<8 hex>`, locked. Raises ValueError for a bad worker name, OSError."""
        if not _WORKER.fullmatch(worker):
            raise ValueError(f"a worker's name is letters, digits, - and _, not {worker!r}")
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = f"{worker}.{os.urandom(4).hex()}"
        making = root / f".{name}"
        making.mkdir(mode=0o700)
        lock = os.open(making / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path = making.rename(root / name)
        sync_folder(path)
        sync_folder(root)
        return cls(path, lock)

    @classmethod
    def take(cls, path: Path) -> "Folder | None":
        """That folder with its lock; None while its process lives, or when somebody else has just removed it."""
        try:
            lock = os.open(path / LOCK, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(lock).st_ino == (path / LOCK).stat().st_ino:
                return cls(path, lock)
        except OSError:
            pass
        os.close(lock)
        return None

    @staticmethod
    def others(root: Path) -> list[Path]:
        """Every journal folder under `root`, in order of name; those being made are not seen."""
        return sorted(path for path in root.iterdir() if not path.name.startswith(".") and (path / LOCK).exists())

    def segments(self) -> list[Path]:
        """Its segments, oldest first."""
        return sorted(path for path in self.path.iterdir() if _SEGMENT.fullmatch(path.name))

    def segment(self, number: int) -> Path:
        """Where segment `number` belongs."""
        return self.path / f"{number:08d}.seg"

    @property
    def ballast(self) -> Path:
        """Where its ballast belongs."""
        return self.path / BALLAST

    def remove(self) -> None:
        """Delete the folder with whatever no longer matters in it; segments must be gone. Raises OSError if not."""
        for path in (*self.path.glob("*.tmp"), self.ballast, self.path / LOCK):
            path.unlink(missing_ok=True)
        self.path.rmdir()
        self.release()

    def release(self) -> None:
        """Give up the lock; a second call does nothing."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1
