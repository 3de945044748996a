"""OTLP over HTTP, as a small ASGI application: what is answered to whom. Keeping spans is the receiver's work.

A sender is known before a byte of its body is read, sizes are limited before and after inflating, and no answer is a
500: senders give up at one, so what may pass is a 503 with Retry-After.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

import orjson
from prometheus_client import CollectorRegistry

from collector.books import Books
from collector.inflate import gunzip
from collector.inflight import Inflight, Share
from collector.metrics import CONTENT_TYPE, ReceiveMetrics, render
from collector.receiver import OFF_LOOP_BYTES, Receiver
from collector.refusals import Busy, NotFound, Refused, TooLarge, Unsupported, WrongMethod
from collector.settings import Limits, Sender
from collector.tokens import Doorkeeper

log = logging.getLogger("tollway.collector.app")

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

PROTOBUF = "application/x-protobuf"
TEXT = "text/plain; charset=utf-8"
NOT_KEPT = frozenset({"/v1/logs", "/v1/metrics", "/v1development/profiles"})
DRAIN_BYTES_MAX = 8 * 1024 * 1024
"""How much of a refused body is read and thrown away, so that the sender gets to read its answer,"""
DRAIN_S = 5.0
"""and for how long."""


class _Gone(Exception):
    """The sender hung up before its request was whole."""


class _Body:
    """A request's body, read once, or thrown away."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._ended = False

    async def read(self, share: Share, *, bytes_max: int) -> bytes:
        """All of it. Raises TooLarge, Busy from `share`, _Gone."""
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
        """Throw away what was not read, up to a bound; whether that was all."""
        size = 0
        while not self._ended and size <= DRAIN_BYTES_MAX:
            size += len(await self._piece())
        return self._ended

    async def _piece(self) -> bytes:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise _Gone
        self._ended = not message.get("more_body", False)
        piece: bytes = message.get("body", b"")
        return piece


class App:
    """The ASGI application."""

    def __init__(
        self,
        *,
        doorkeeper: Doorkeeper,
        receiver: Receiver,
        books: Books,
        registry: CollectorRegistry,
        limits: Limits,
        ready: Callable[[], str | None],
        monotonic: Callable[[], float],
    ) -> None:
        """`ready` gives None, or why the collector cannot take anything for good."""
        self._doorkeeper = doorkeeper
        self._receiver = receiver
        self._books = books
        self._registry = registry
        self._limits = limits
        self._ready = ready
        self._monotonic = monotonic
        self._metrics = ReceiveMetrics(registry)
        self._inflight = Inflight(limits.inflight_bytes_max, retry_after_s=limits.retry_after_s)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if scope["path"] == "/v1/traces":
            await self._traces(scope, receive, send)
        else:
            await self._other(scope, receive, send)

    async def _traces(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        body = _Body(receive)
        try:
            if scope["method"] != "POST":
                raise WrongMethod("POST an OTLP ExportTraceServiceRequest here")
            with self._inflight.share() as share:
                await self._take(headers, body, share)
        except _Gone:
            return
        except Refused as refused:
            await self._refuse(refused, body, send)
        except Exception:
            # A 500 would make the sender throw its spans away; whatever this is, it may be over at the next try.
            log.exception("a request could not be taken")
            busy = Busy("the collector failed; send it again", retry_after_s=self._limits.retry_after_s)
            await self._refuse(busy, body, send)
        else:
            self._metrics.answers.labels("200").inc()
            # An ExportTraceServiceResponse without partial_success has no bytes.
            await _answer(send, 200, PROTOBUF, b"")

    async def _take(self, headers: Mapping[str, str], body: _Body, share: Share) -> None:
        sender = self._doorkeeper.admit(headers.get("authorization", ""))
        encoding = _check_headers(headers, self._limits)
        self._receiver.check_room()
        try:
            async with asyncio.timeout(self._limits.read_timeout_s):
                raw = await body.read(share, bytes_max=self._limits.body_bytes_max)
        except TimeoutError:
            why = f"the body was not whole after {self._limits.read_timeout_s} s"
            raise Busy(why, retry_after_s=self._limits.retry_after_s) from None
        arrived = self._monotonic()
        await self._keep(sender, raw, encoding, share)
        self._metrics.ack_seconds.observe(self._monotonic() - arrived)

    async def _keep(self, sender: Sender, raw: bytes, encoding: str, share: Share) -> None:
        body = raw
        if encoding == "gzip":
            bytes_max = self._limits.inflated_bytes_max
            if len(raw) > OFF_LOOP_BYTES:
                body = await asyncio.to_thread(gunzip, raw, bytes_max=bytes_max, share=share)
            else:
                body = gunzip(raw, bytes_max=bytes_max, share=share)
        elif len(raw) > self._limits.inflated_bytes_max:
            raise TooLarge(f"the body has more than {self._limits.inflated_bytes_max} bytes")
        await self._receiver.take_traces(sender, body)

    async def _refuse(self, refused: Refused, body: _Body, send: Send) -> None:
        self._metrics.answers.labels(str(refused.http_status)).inc()
        headers: list[tuple[bytes, bytes]] = []
        try:
            async with asyncio.timeout(DRAIN_S):
                if not await body.drain():
                    headers.append((b"connection", b"close"))
        except TimeoutError:
            headers.append((b"connection", b"close"))
        except _Gone:
            return
        if isinstance(refused, Busy):
            headers.append((b"retry-after", str(refused.retry_after_s).encode()))
        if refused.http_status == 401:
            headers.append((b"www-authenticate", b"Bearer"))
        if refused.http_status == 405:
            headers.append((b"allow", b"POST"))
        await _answer(send, refused.http_status, PROTOBUF, refused.body(), headers)

    async def _other(self, scope: Scope, receive: Receive, send: Send) -> None:
        match scope["path"]:
            case "/healthz":
                await _answer(send, 200, TEXT, b"ok\n")
            case "/readyz":
                why = self._ready()
                await _answer(send, 503 if why else 200, TEXT, f"{why or 'ready'}\n".encode())
            case "/metrics":
                await _answer(send, 200, CONTENT_TYPE, render(self._registry))
            case "/books":
                await _answer(send, 200, "application/json", self._books_json())
            case path if path in NOT_KEPT:
                await self._refuse(NotFound("only traces are kept here: POST them to /v1/traces"), _Body(receive), send)
            case _:
                await self._refuse(NotFound("nothing is served here; traces go to /v1/traces"), _Body(receive), send)

    def _books_json(self) -> bytes:
        fates = ("received", "stored", "duplicate", "parked", "pending", "drift")
        accounts = self._books.accounts().items()
        return orjson.dumps({sender: {fate: getattr(account, fate) for fate in fates} for sender, account in accounts})


def _check_headers(headers: Mapping[str, str], limits: Limits) -> str:
    """The content encoding, "" or "gzip", where type, encoding and announced length are such as are taken."""
    content_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != PROTOBUF:
        raise Unsupported(f"send {PROTOBUF}, not {content_type or 'no content type'}")
    encoding = headers.get("content-encoding", "").strip().lower().replace("identity", "")
    if encoding not in ("", "gzip"):
        raise Unsupported(f"the content encodings are gzip and none, not {encoding}")
    length = headers.get("content-length", "")
    if length.isdigit() and int(length) > limits.body_bytes_max:
        raise TooLarge(f"the body has {length} bytes, more than {limits.body_bytes_max}")
    return encoding


async def _answer(
    send: Send, status: int, content_type: str, body: bytes, headers: list[tuple[bytes, bytes]] | None = None
) -> None:
    fields = [(b"content-type", content_type.encode()), (b"content-length", str(len(body)).encode()), *(headers or [])]
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": body})
