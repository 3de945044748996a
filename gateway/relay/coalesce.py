"""Small pieces gathered into larger ones (STREAM_CHUNK_BYTES): fewer writes and packets, at a little delay.

What is gathered goes on once it reaches the configured size, after GATHER_S at most, or when the stream ends.
"""

import asyncio
from collections.abc import Callable

GATHER_S = 0.02


class Coalescer:
    """Gathers pieces before `write`. With a size of 0 each piece goes on as it comes."""

    __slots__ = ("_bytes_min", "_gathered", "_loop", "_pieces", "_timer", "_write")

    def __init__(self, write: Callable[[bytes], None], bytes_min: int, loop: asyncio.AbstractEventLoop) -> None:
        self._write = write
        self._bytes_min = bytes_min
        self._loop = loop
        self._pieces: list[bytes] = []
        self._gathered = 0
        self._timer: asyncio.TimerHandle | None = None

    def add(self, piece: bytes) -> None:
        """Take one piece."""
        if not self._bytes_min:
            self._write(piece)
            return
        self._pieces.append(piece)
        self._gathered += len(piece)
        if self._gathered >= self._bytes_min:
            self.flush()
        elif self._timer is None:
            self._timer = self._loop.call_later(GATHER_S, self.flush)

    def flush(self) -> None:
        """Pass on what was gathered, now."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._pieces:
            pieces, self._pieces = self._pieces, []
            self._gathered = 0
            self._write(pieces[0] if len(pieces) == 1 else b"".join(pieces))

    def drop(self) -> None:
        """Forget what was gathered: nobody is there to read it."""
        self._pieces = []
        self.flush()
