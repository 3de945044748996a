"""Room held back on the disk: given up when the disk is full, so that attempts under way can still be written down.

A bound in bytes protects the disk from the journal; ballast protects the journal from everybody else on the disk.
"""

import os
import sys
from pathlib import Path


class Ballast:
    """One preallocated file."""

    def __init__(self, path: Path, size: int) -> None:
        """Nothing is allocated yet; `size` in bytes."""
        self._path = path
        self._size = size
        self.held = False

    def take_on(self) -> None:
        """Allocate it, if it is not held. Raises OSError when there is no room."""
        if self.held:
            return
        fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _allocate(fd, self._size)
        except OSError:
            self._path.unlink(missing_ok=True)
            raise
        finally:
            os.close(fd)
        self.held = True

    def drop(self) -> bool:
        """Give its room to the disk; False if there was none to give."""
        held, self.held = self.held, False
        if held:
            self._path.unlink(missing_ok=True)
        return held


def _allocate(fd: int, size: int) -> None:
    """Real blocks, not a hole. macOS lacks posix_fallocate, so there the zeros are written."""
    if sys.platform == "darwin":
        zeros = bytes(1 << 20)
        while size > 0:
            size -= os.write(fd, zeros[:size])
    else:
        os.posix_fallocate(fd, 0, size)
