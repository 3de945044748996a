"""The few pieces of ASGI the vendor needs: read a body, send an answer, and know at once that a client has gone."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

BODY_BYTES_MAX = 16 * 1024 * 1024


class ClientGone(ConnectionError):
    """The client hung up before its request was whole."""


class BodyTooLarge(ValueError):
    """The body has more than BODY_BYTES_MAX bytes."""


def header(scope: Scope, name: bytes) -> str:
    """The first header of that (lower-case) name, or ""."""
    return next((str(value, "latin-1") for key, value in scope["headers"] if key == name), "")


async def read_body(receive: Receive) -> bytes:
    """The whole body. Raises ClientGone or BodyTooLarge."""
    pieces, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        pieces.append(message.get("body", b""))
        size += len(pieces[-1])
        if size > BODY_BYTES_MAX:
            raise BodyTooLarge(f"the body has more than {BODY_BYTES_MAX} bytes")
        if not message.get("more_body"):
            return b"".join(pieces)


class HangUp:
    """Whether the client of a request whose body was read has gone."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    @property
    def seen(self) -> bool:
        """True from the moment the connection was lost."""
        return self._event.is_set()

    async def watch(self, receive: Receive) -> None:
        """Wait for the connection to end; run it beside the answer, and cancel it when that is out."""
        while (await receive())["type"] != "http.disconnect":
            pass
        self._event.set()

    async def within(self, seconds: float) -> bool:
        """Wait that long, or until the client goes; whether it went."""
        try:
            async with asyncio.timeout(seconds):
                await self._event.wait()
        except TimeoutError:
            return False
        return True


async def start(send: Send, status: int, content_type: str, headers: dict[str, str] | None = None) -> None:
    """Send the head of an answer whose length is not known."""
    named = {"content-type": content_type, **(headers or {})}
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [(name.encode(), value.encode()) for name, value in named.items()],
        }
    )


async def more(send: Send, body: bytes) -> None:
    """Send a piece of the body, with more to come."""
    await send({"type": "http.response.body", "body": body, "more_body": True})


async def end(send: Send, body: bytes = b"") -> None:
    """Send the last piece of the body."""
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def answer(
    send: Send, status: int, body: bytes, content_type: str = "application/json", headers: dict[str, str] | None = None
) -> None:
    """Send a whole answer."""
    await start(send, status, content_type, {"content-length": str(len(body)), **(headers or {})})
    await end(send, body)
