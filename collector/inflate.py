"""Compressed bodies, undone a step at a time, so that a bomb is caught at the limit and never held in memory beyond it.

gzip (one or more members), deflate (a zlib stream, as HTTP means it) and zstd (one or more frames, whose windows stay
within the 8 MiB that RFC 9659 allows).
"""

import asyncio
import sys
import zlib
from collections.abc import Callable, Iterator
from typing import Protocol

from collector.inflight import Share
from collector.refusals import BadRequest, TooLarge

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

STEP = 1024 * 1024
"""How much comes out at once,"""
FEED = 64 * 1024
"""and how much goes in: what is left over of it is copied each time."""
INLINE_BYTES = 256 * 1024
"""Until so much came out the event loop does it; the rest is for a thread, so that others are answered meanwhile."""
MEMBERS_MAX = 1000
"""Of one body; an empty one takes 9 bytes, and longer to undo than a span."""
GZIP = 16 + zlib.MAX_WBITS
ZSTD_WINDOW_LOG_MAX = 23
ENCODINGS = ("gzip", "zstd", "deflate")


class _Stream(Protocol):
    """One member or frame."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def step(self, data: memoryview, bytes_max: int) -> tuple[bytes, int]:
        """At most `bytes_max` bytes of it, and how many bytes of `data` were used for them."""


class _Zlib:
    def __init__(self, wbits: int) -> None:
        self._stream = zlib.decompressobj(wbits)

    @property
    def eof(self) -> bool:
        return self._stream.eof

    @property
    def unused_data(self) -> bytes:
        return self._stream.unused_data

    def step(self, data: memoryview, bytes_max: int) -> tuple[bytes, int]:
        piece = self._stream.decompress(data, bytes_max)
        return piece, len(data) - len(self._stream.unconsumed_tail)


class _Zstd:
    def __init__(self) -> None:
        options: dict[int, int] = {zstd.DecompressionParameter.window_log_max: ZSTD_WINDOW_LOG_MAX}
        self._stream = zstd.ZstdDecompressor(options=options)

    @property
    def eof(self) -> bool:
        return self._stream.eof

    @property
    def unused_data(self) -> bytes:
        return self._stream.unused_data

    def step(self, data: memoryview, bytes_max: int) -> tuple[bytes, int]:
        # It keeps what it has not used yet, and takes no more before that is at its end.
        given = data if self._stream.needs_input else data[:0]
        return self._stream.decompress(given, bytes_max), len(given)


_STREAMS: dict[str, Callable[[], _Stream]] = {
    "gzip": lambda: _Zlib(GZIP),
    "deflate": lambda: _Zlib(zlib.MAX_WBITS),
    "zstd": _Zstd,
}


def inflate(data: bytes, encoding: str, *, bytes_max: int, share: Share) -> bytes:
    """What `data` was before it was compressed; each step is counted into `share` as it is made.

    Raises TooLarge above `bytes_max`, BadRequest for what is not of that encoding or ends early, Busy from `share`.
    """
    return b"".join(_pieces(data, encoding, bytes_max=bytes_max, share=share))


async def inflate_beside(data: bytes, encoding: str, *, bytes_max: int, share: Share) -> bytes:
    """The same for an event loop, which it holds up for a few hundred kibibytes at most, however large it gets."""
    if len(data) > INLINE_BYTES:
        return await asyncio.to_thread(inflate, data, encoding, bytes_max=bytes_max, share=share)
    pieces = _pieces(data, encoding, bytes_max=bytes_max, share=share)
    begun: list[bytes] = []
    size = 0
    for piece in pieces:
        begun.append(piece)
        size += len(piece)
        if size >= INLINE_BYTES:
            return await asyncio.to_thread(lambda: b"".join((*begun, *pieces)))
    return b"".join(begun)


def _pieces(data: bytes, encoding: str, *, bytes_max: int, share: Share) -> Iterator[bytes]:
    view = memoryview(data)
    position = members = size = 0
    while position < len(view):
        members += 1
        if members > MEMBERS_MAX:
            raise TooLarge(f"the {encoding} body is made of more than {MEMBERS_MAX} members")
        stream = _STREAMS[encoding]()
        while not stream.eof:
            step = min(STEP if size >= INLINE_BYTES else INLINE_BYTES, bytes_max - size + 1)
            try:
                piece, used = stream.step(view[position : position + FEED], step)
            except (zlib.error, zstd.ZstdError) as error:
                raise BadRequest(f"the body is not {encoding}: {error}") from None
            position += used
            size += len(piece)
            if size > bytes_max:
                raise TooLarge(f"the body inflates to more than {bytes_max} bytes")
            if not piece and not stream.eof and position >= len(view):
                raise BadRequest(f"the {encoding} body ends early")
            share.take(len(piece))
            yield piece
        position -= len(stream.unused_data)
