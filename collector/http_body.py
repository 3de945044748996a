"""The body of an HTTP request: read once, within limits, or thrown away so that the sender gets to read its answer."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from collector.inflight import Share
from collector.refusals import Gone, TooLarge

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

DRAIN_BYTES_MAX = 8 * 1024 * 1024
"""How much of a refused body is read and thrown away, so that the sender gets to read its answer."""


class Body:
    """A request's body."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._ended = False

    async def read(self, share: Share, *, bytes_max: int) -> bytes:
        """All of it. Raises TooLarge, Busy from `share`, Gone."""
        pieces: list[bytes] = []
        size = 0
        while not self._ended:
            piece = await self._piece()
            size += len(piece)
            if size > bytes_max:
                raise TooLarge(f"the body has more than {bytes_max} bytes")
            share.take(len(piece))
            pieces.append(piece)
        return b"".join(pieces)

    async def drain(self) -> bool:
        """Throw away what was not read, up to a bound; whether that was all. Raises Gone."""
        size = 0
        while not self._ended and size <= DRAIN_BYTES_MAX:
            size += len(await self._piece())
        return self._ended

    async def _piece(self) -> bytes:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise Gone("the sender is gone")
        self._ended = not message.get("more_body", False)
        piece: bytes = message.get("body", b"")
        return piece
