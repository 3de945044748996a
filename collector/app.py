"""OTLP over HTTP, as a small ASGI application: what is answered to whom. What becomes of a body is the intake's work.

A sender is known before a byte of its body is read, sizes are limited before and after inflating, an answer is of the
content type of its request, and no answer is a 500: senders give up at one, so what may pass is a 503 with Retry-After.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

import orjson
from google.protobuf.json_format import MessageToDict
from prometheus_client import CollectorRegistry

from collector.books import Books
from collector.http_body import Body, Receive
from collector.inflate import ENCODINGS
from collector.intake import Form, Intake
from collector.metrics import CONTENT_TYPE, ReceiveMetrics, render
from collector.refusals import Busy, Gone, NotFound, Refused, TooLarge, Unsupported, WrongMethod
from collector.settings import Limits
from collector.signals import BY_PATH, Signal

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

PROTOBUF = "application/x-protobuf"
JSON = "application/json"
FORMS = {PROTOBUF: "protobuf", JSON: "json"}
TEXT = "text/plain; charset=utf-8"
DRAIN_S = 5.0
"""For how long a refused body is read and thrown away."""


class App:
    """The ASGI application."""

    def __init__(
        self,
        *,
        intake: Intake,
        books: Books,
        registry: CollectorRegistry,
        metrics: ReceiveMetrics,
        ready: Callable[[], str | None],
    ) -> None:
        """`ready` gives None, or why the collector cannot take anything for good."""
        self._intake = intake
        self._books = books
        self._registry = registry
        self._metrics = metrics
        self._ready = ready

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        signal = BY_PATH.get(scope["path"])
        if signal:
            await self._export(signal, scope, receive, send)
        else:
            await self._other(scope, receive, send)

    async def _export(self, signal: Signal, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        media = headers.get("content-type", "").partition(";")[0].strip().lower()
        compression = headers.get("content-encoding", "").strip().lower().replace("identity", "")
        form = Form("http", FORMS.get(media, "unknown"), compression)
        body = Body(receive)
        try:
            if scope["method"] != "POST":
                raise WrongMethod(f"POST an OTLP {signal.request.DESCRIPTOR.name} here")
            answer = await self._take(signal, headers, form, body)
        except Exception as error:  # noqa: BLE001 - the intake says what it was
            await self._refuse(self._intake.refused(error, form), body, send, as_json=media == JSON)
        else:
            self._metrics.answers.labels("200").inc()
            await _say(send, 200, answer, as_json=media == JSON)

    async def _take(self, signal: Signal, headers: Mapping[str, str], form: Form, body: Body) -> Any:
        limits = self._intake.limits
        sender = self._intake.admit(headers.get("authorization", ""), signal)
        _check_headers(headers, form, limits)
        with self._intake.inflight.share(sender.name) as share:
            try:
                async with asyncio.timeout(limits.read_timeout_s):
                    raw = await body.read(share, bytes_max=limits.body_bytes_max)
            except TimeoutError:
                why = f"the body was not whole after {limits.read_timeout_s} s"
                raise Busy(why, retry_after_s=limits.retry_after_s) from None
            return await self._intake.take(sender, signal, raw, form, share)

    async def _refuse(self, refused: Refused, body: Body, send: Send, *, as_json: bool) -> None:
        if isinstance(refused, Gone):
            return
        self._metrics.answers.labels(str(refused.http_status)).inc()
        headers: list[tuple[bytes, bytes]] = []
        try:
            async with asyncio.timeout(DRAIN_S):
                if not await body.drain():
                    headers.append((b"connection", b"close"))
        except TimeoutError:
            headers.append((b"connection", b"close"))
        except Gone:
            return
        if isinstance(refused, Busy):
            headers.append((b"retry-after", str(refused.retry_after_s).encode()))
        if refused.http_status == 401:
            headers.append((b"www-authenticate", b"Bearer"))
        if refused.http_status == 405:
            headers.append((b"allow", b"POST"))
        if refused.http_status == 415:
            headers.append((b"accept-encoding", ", ".join(ENCODINGS).encode()))
        await _say(send, refused.http_status, refused.status(), as_json=as_json, headers=headers)

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
                await _answer(send, 200, JSON, self._books_json())
            case _:
                lost = NotFound("nothing is served here; traces go to /v1/traces")
                await self._refuse(lost, Body(receive), send, as_json=False)

    def _books_json(self) -> bytes:
        fates = ("received", "stored", "duplicate", "parked", "pending", "drift")
        accounts = self._books.accounts().items()
        return orjson.dumps({sender: {fate: getattr(account, fate) for fate in fates} for sender, account in accounts})


def _check_headers(headers: Mapping[str, str], form: Form, limits: Limits) -> None:
    """Raises Unsupported or TooLarge for a type, encoding or announced length that is not taken."""
    if form.encoding == "unknown":
        raise Unsupported(f"send {PROTOBUF} or {JSON}, not {headers.get('content-type') or 'no content type'}")
    if form.compression and form.compression not in ENCODINGS:
        raise Unsupported(f"the content encodings are {', '.join(ENCODINGS)} and none, not {form.compression}")
    length = headers.get("content-length", "")
    if length.isdigit() and int(length) > limits.body_bytes_max:
        raise TooLarge(f"the body has {length} bytes, more than {limits.body_bytes_max}")


async def _say(
    send: Send, status: int, message: Any, *, as_json: bool, headers: list[tuple[bytes, bytes]] | None = None
) -> None:
    """Answer with that message, in JSON or protobuf. An OTLP success without partial_success has no bytes, or is {}."""
    if as_json:
        await _answer(send, status, JSON, orjson.dumps(MessageToDict(message)), headers)
    else:
        await _answer(send, status, PROTOBUF, message.SerializeToString(), headers)


async def _answer(
    send: Send, status: int, content_type: str, body: bytes, headers: list[tuple[bytes, bytes]] | None = None
) -> None:
    fields = [(b"content-type", content_type.encode()), (b"content-length", str(len(body)).encode()), *(headers or [])]
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": body})
