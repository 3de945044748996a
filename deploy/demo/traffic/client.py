"""A lean HTTP client: one request on a connection of its own, which may be cut at a chosen moment.

It reads no more of an answer than the tally needs: the status, the error's code, how many chunks came and whether the
end mark did. (httpx would cost more than all the rest of the demo's traffic together.)
"""

import asyncio
from dataclasses import dataclass

import httptools
import orjson

from deploy.demo.traffic.plan import HangUp, Planned

TAIL_BYTES = 2048
EVENT = b"data: {"
END_MARK = b"data: [DONE]"
ERROR_EVENT = b'data: {"error"'


@dataclass(frozen=True, slots=True)
class Reply:
    """How one request ended for its client. `error` is "" or a code: the gateway's own, or what the client saw."""

    status: int
    error: str = ""
    cancelled: bool = False
    chunks: int = 0


class Unreachable(ConnectionError):
    """Nobody accepts at the address; the request was not sent."""


async def ask(host: str, port: int, planned: Planned, key: str, *, within_s: float) -> Reply:
    """Send one planned request and follow its answer to the end, or to where its client goes.

    Raises Unreachable. A connection that breaks later is a Reply with the error "connection_lost".
    """
    loop = asyncio.get_running_loop()
    try:
        transport, exchange = await loop.create_connection(lambda: _Exchange(planned), host, port)
    except OSError as error:
        raise Unreachable(f"{host}:{port}: {error}") from error
    try:
        transport.write(_request(host, port, planned, key))
        if planned.hang_up is HangUp.AT_ONCE:
            loop.call_later(planned.hang_up_s, exchange.go)
        async with asyncio.timeout(within_s):
            await exchange.ended.wait()
    except TimeoutError:
        return exchange.reply(error="client_timeout")
    finally:
        transport.abort()
    return exchange.reply()


def _request(host: str, port: int, planned: Planned, key: str) -> bytes:
    body = orjson.dumps(planned.body())
    tier = f"x-tollway-tier: {planned.tier}\r\n" if planned.tier else ""
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: {host}:{port}\r\nauthorization: Bearer {key}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\nconnection: close\r\n{tier}\r\n"
    )
    return head.encode("ascii") + body


class _Exchange(asyncio.Protocol):
    """One answer, as it comes in."""

    def __init__(self, planned: Planned) -> None:
        self.ended = asyncio.Event()
        self._planned = planned
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.BaseTransport | None = None
        self._status = 0
        self._events = 0
        self._tail = b""
        self._whole = False
        self._ends_with_connection = True
        self._gone = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if not self.ended.is_set():
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserError:
                self.ended.set()

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is None and self._status and self._ends_with_connection:
            self._whole = True
        self.ended.set()

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() in (b"content-length", b"transfer-encoding"):
            self._ends_with_connection = False

    def on_headers_complete(self) -> None:
        self._status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        seam = self._tail[1 - len(EVENT) :]
        self._events += (seam + body).count(EVENT)
        self._tail = (self._tail + body)[-TAIL_BYTES:]
        role_chunk = 1
        if self._planned.hang_up is HangUp.MID_STREAM and self._events >= self._planned.hang_up_chunks + role_chunk:
            self.go()

    def on_message_complete(self) -> None:
        self._whole = True
        self.ended.set()

    def go(self) -> None:
        """Hang up, unless the answer is already whole."""
        if not self.ended.is_set():
            self._gone = True
            self.ended.set()
            if self._transport is not None:
                self._transport.close()

    def reply(self, error: str = "") -> Reply:
        """What became of the request."""
        return Reply(self._status, error or self._error(), self._gone, self._events)

    def _error(self) -> str:
        if self._gone:
            return ""
        if not self._whole:
            return "connection_lost" if self._status in (0, 200) else f"http_{self._status}"
        if self._status != 200:
            return _code(self._tail) or f"http_{self._status}"
        if self._planned.stream and END_MARK not in self._tail:
            at = self._tail.rfind(ERROR_EVENT)
            return (_code(self._tail[at + len(b"data: ") :].split(b"\n")[0]) if at >= 0 else "") or "stream_broken"
        return ""


def _code(body: bytes) -> str:
    """The code (or type) of OpenAI's error object, "" if there is none."""
    try:
        error = orjson.loads(body)["error"]
        return str(error.get("code") or error.get("type") or "")
    except (ValueError, KeyError, TypeError, AttributeError):
        return ""
