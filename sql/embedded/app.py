"""The store's HTTP face: one small ASGI application in front of the engine.

It authenticates, reads the body up to a limit, hands the statement to a bounded pool of threads and answers as
ClickHouse does. The event loop never waits for the engine, so /healthz answers while a query runs. No statement, value
or password is logged.
"""

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qsl

from gateway.domain import clock
from sql.credentials import READER, WRITER, Credentials
from sql.embedded import bodies, wire
from sql.embedded.auth import user_of
from sql.embedded.engine import Engine
from sql.embedded.errors import StoreError, too_large
from sql.embedded.gate import Gate
from sql.embedded.metrics import Metrics

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

log = logging.getLogger("tollway.store")

BODY_MAX = 256 * 2**20
"""Bytes of one request, before and after inflating."""
WORKERS = {WRITER: 4, READER: 8}
"""Threads for each user: however much readers ask, an insert finds one of its own."""
WAITING_MAX = 64
"""A user's statements that may wait for a thread; further ones are told to come back."""
PLAIN = "text/plain; charset=utf-8"
CLIENT_GONE = 394
"""ClickHouse's code for a query that was cancelled; nobody is there to read it, but the metrics count it."""


class App:
    """The ASGI application. Until `open` is called only /healthz and /metrics answer 200."""

    def __init__(self, credentials: Credentials) -> None:
        self.metrics = Metrics()
        self._engine: Engine | None = None
        self._gate: Gate | None = None
        self._credentials = credentials
        self._pools = {user: ThreadPoolExecutor(n, thread_name_prefix=f"store-{user}") for user, n in WORKERS.items()}
        self._under_way = dict.fromkeys(WORKERS, 0)

    def open(self, engine: Engine) -> None:
        """Begin to answer queries."""
        self._gate = Gate(engine)
        self._engine = engine

    def close(self) -> None:
        """Wait for the statements under way, then close the engine."""
        for pool in self._pools.values():
            pool.shutdown(wait=True)
        if self._engine is not None:
            self._engine.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One HTTP request; no other kind of connection is spoken."""
        if scope["type"] != "http":
            return
        if scope["path"] not in ("/", ""):
            status, kind, body = self._page(scope["path"])
            await _answer(send, status, {"content-type": kind}, body)
            return
        started = clock.monotonic()
        kind, code = "refused", 0
        try:
            kind = await self._query(scope, receive, send)
        except StoreError as fault:
            code = fault.code
            await _answer_error(send, fault, self._engine.version if self._engine else "0")
        except _Gone:
            code = CLIENT_GONE
        except Exception:
            code = 1001
            log.exception("a request could not be answered")
            await _answer_error(send, StoreError(1001, "STD_EXCEPTION", "the store failed; its log says why"), "0")
        finally:
            self.metrics.observe(kind, code, clock.monotonic() - started)

    def _page(self, path: str) -> tuple[int, str, bytes]:
        match path:
            case "/ping" | "/readyz":
                return (200, PLAIN, b"Ok.\n") if self._engine else (503, PLAIN, b"the engine is opening\n")
            case "/healthz":
                return 200, PLAIN, b"Ok.\n"
            case "/metrics":
                return 200, self.metrics.content_type, self.metrics.render()
            case _:
                return 404, PLAIN, b"There is no such page here; POST a query to /, or GET /ping\n"

    async def _query(self, scope: Scope, receive: Receive, send: Send) -> str:
        """Answer one statement; the kind of statement it was, for the metrics. Raises StoreError."""
        headers = {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in scope["headers"]}
        url = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
        if self._gate is None:
            raise StoreError(745, "SERVER_OVERLOADED", "The store is starting")
        user = user_of(url, headers, self._credentials)
        if scope["method"] not in ("GET", "POST", "HEAD"):
            raise StoreError(48, "NOT_IMPLEMENTED", f"{scope['method']} is not a way to ask; use GET or POST", 405)
        body = await _body(receive, headers)
        content_type = headers.get("content-type", "")
        if content_type.startswith("multipart/form-data"):
            url, body = url | bodies.form(content_type, b"".join(body)), []
        url = {"database": headers.get("x-clickhouse-database", ""), **url}
        if "x-clickhouse-format" in headers:
            url = {"default_format": headers["x-clickhouse-format"], **url}
        query_id = url.get("query_id") or str(uuid.uuid4())
        asked = wire.request(url, body, query_id=query_id, read_only=scope["method"] != "POST")
        kind, reply = await self._run(self._gate, user, asked, receive)
        head = reply.headers | {"x-clickhouse-query-id": query_id, "x-clickhouse-timezone": "UTC"}
        await _answer(send, 200, head, reply.body, with_body=scope["method"] != "HEAD")
        return kind

    async def _run(self, gate: Gate, user: str, asked: wire.Request, receive: Receive) -> tuple[str, wire.Reply]:
        """Run it on the pool. When the client hangs up a read is stopped; what writes always runs to its end."""
        if self._under_way[user] >= WORKERS[user] + WAITING_MAX:
            raise StoreError(
                202, "TOO_MANY_SIMULTANEOUS_QUERIES", "Too many simultaneous queries; come back in a second"
            )
        self._count(user, 1)
        loop = asyncio.get_running_loop()
        job = self._pools[user].submit(gate.run, user, asked)
        job.add_done_callback(lambda _: loop.call_soon_threadsafe(self._count, user, -1))
        work = asyncio.wrap_future(job)
        gone: asyncio.Future[Any] = loop.create_task(_disconnected(receive))
        try:
            await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                return work.result()
            if not job.cancel():
                gate.cancel(asked.query_id)
            work.add_done_callback(_seen)
            raise _Gone
        finally:
            gone.cancel()

    def _count(self, user: str, change: int) -> None:
        self._under_way[user] += change
        self.metrics.under_way.labels(user).set(self._under_way[user])


def _seen(work: "asyncio.Future[Any]") -> None:
    """Look at the outcome nobody waits for, so that asyncio does not complain of it."""
    if not work.cancelled():
        work.exception()


class _Gone(Exception):
    """The client hung up before the answer."""


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _body(receive: Receive, headers: dict[str, str]) -> list[bytes]:
    """In the pieces it came in: of a large one, each join is a copy of all of it. Raises StoreError, _Gone."""
    length = headers.get("content-length", "")
    if length.isdigit() and int(length) > BODY_MAX:
        raise too_large(BODY_MAX)
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _Gone
        part = message.get("body", b"")
        size += len(part)
        if size > BODY_MAX:
            raise too_large(BODY_MAX)
        parts.append(part)
        more = message.get("more_body", False)
    encoding = headers.get("content-encoding", "")
    if not encoding:
        return parts
    return [await asyncio.to_thread(bodies.inflate, b"".join(parts), encoding, BODY_MAX)]


async def _answer_error(send: Send, fault: StoreError, version: str) -> None:
    head = {"content-type": "text/plain; charset=UTF-8", "x-clickhouse-exception-code": str(fault.code)}
    if fault.status == 401:
        head["www-authenticate"] = 'Basic realm="ClickHouse server HTTP API"'
    if fault.status == 503:
        head["retry-after"] = "1"
    await _answer(send, fault.status, head, fault.body(version))


async def _answer(send: Send, status: int, headers: dict[str, str], body: bytes, *, with_body: bool = True) -> None:
    fields = {"content-length": str(len(body)), "x-clickhouse-server-display-name": "tollway", **headers}
    raw = [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in fields.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body if with_body else b""})
