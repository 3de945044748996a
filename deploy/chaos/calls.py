"""The process kills itself before or within its N-th call that changes the disk: no debugger, no privilege needed.

Counted are the calls that Python code makes through `os`, which are all that spool, ledger, parking and journal make.
"""

import errno
import os
import signal
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CALLS = ("write", "writev", "fdatasync", "fsync", "rename", "replace", "unlink", "truncate", "ftruncate", "link")
WRITES = ("write", "writev")
BEFORE, WITHIN, AFTER = "before", "within", "after"
MOMENTS = (BEFORE, WITHIN, AFTER)


@dataclass(frozen=True, slots=True)
class Death:
    """When: at the `call`-th of the counted calls, from 1; `within` a write, half of its bytes are written."""

    call: int
    moment: str = BEFORE


def die_at(death: Death) -> None:
    """From now on the calls are counted, and this process ends with SIGKILL at the one given."""
    counter = _Counter(death)
    for name in CALLS:
        setattr(os, name, counter.before(name, getattr(os, name)))


def full_while(sign: Path) -> None:
    """From now on, while that file is there, a write writes half of its bytes and fails: the disk is full."""
    write, writev = os.write, os.writev

    def on_a_full_disk(fd: int, data: bytes) -> int:
        if not sign.exists():
            return write(fd, data)
        if len(data) > 1:
            return _half(fd, [data])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def in_pieces(fd: int, pieces: Sequence[bytes]) -> int:
        return _half(fd, pieces) if sign.exists() else writev(fd, pieces)

    os.write = on_a_full_disk  # type: ignore[assignment]
    os.writev = in_pieces  # type: ignore[assignment]


def _half(fd: int, pieces: Sequence[bytes], write: Callable[[int, bytes], int] = os.write) -> int:
    data = b"".join(pieces)
    return write(fd, data[: len(data) // 2])


class _Counter:
    def __init__(self, death: Death) -> None:
        self._death = death
        self._lock = threading.Lock()
        self._calls = 0

    def before(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **kwargs: Any) -> Any:
            with self._lock:
                self._calls += 1
                dies = self._calls == self._death.call
            if not dies:
                return call(*args, **kwargs)
            if self._death.moment == WITHIN and name in WRITES:
                _half(args[0], args[1] if name == "writev" else [args[1]])
            elif self._death.moment == AFTER:
                call(*args, **kwargs)
            os.kill(os.getpid(), signal.SIGKILL)
            return None

        return counted
