"""The store's HTTP face: one small ASGI application in front of the engine.

It authenticates, reads the body up to a limit, hands the statement to a bounded pool of threads and answers as
ClickHouse does. The event loop never waits for the engine, so /healthz answers while a query runs. No statement, value
or password is logged.
"""

import asyncio
import base64
import binascii
import logging
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qsl

from gateway.domain import clock
from sql.credentials import Credentials
from sql.embedded import bodies, wire
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
WORKERS = 8
WAITING_MAX = 64
"""Statements that may wait for a worker; further ones are told to come back."""


class App:
    """The ASGI application. `engine` is None until it is open; until then only /healthz and /metrics answer 200."""

    def __init__(self, credentials: Credentials) -> None:
        self.engine: Engine | None = None
        self.gate: Gate | None = None
        self.metrics = Metrics()
        self._credentials = credentials
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="store")
        self._under_way = 0

    def open(self, engine: Engine) -> None:
        """Begin to answer queries."""
        self.gate = Gate(engine)
        self.engine = engine

    def close(self) -> None:
        """Wait for the statements under way, then close the engine."""
        self._pool.shutdown(wait=True)
        if self.engine is not None:
            self.engine.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        path = scope["path"]
        if path in ("/", ""):
            await self._query(scope, receive, send)
        else:
            status, kind, body = self._plain(path)
            await _answer(send, status, {"content-type": kind}, body)

    def _plain(self, path: str) -> tuple[int, str, bytes]:
        text = "text/plain; charset=utf-8"
        match path:
            case "/ping" | "/readyz":
                return (200, text, b"Ok.\n") if self.engine else (503, text, b"the engine is opening\n")
            case "/healthz":
                return 200, text, b"Ok.\n"
            case "/metrics":
                return 200, self.metrics.content_type, self.metrics.render()
            case _:
                return 404, text, b"There is no such page here; POST a query to /, or GET /ping\n"

    async def _query(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = clock.monotonic()
        headers = {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in scope["headers"]}
        kind, code = "refused", 0
        version = self.engine.version if self.engine else "0"
        query_id = ""
        try:
            url = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
            query_id = dict(url).get("query_id") or str(uuid.uuid4())
            if self.engine is None or self.gate is None:
                raise StoreError(745, "SERVER_OVERLOADED", "The store is starting", 503)
            user = self._user(dict(url), headers)
            if scope["method"] not in ("GET", "POST", "HEAD"):
                raise StoreError(48, "NOT_IMPLEMENTED", f"{scope['method']} is not a way to ask; use GET or POST", 405)
            body = await _body(receive, headers)
            content_type = headers.get("content-type", "")
            if content_type.startswith("multipart/form-data"):
                url, body = [*url, *bodies.form(content_type, body).items()], b""
            asked = wire.request(url, body, query_id=query_id, read_only=scope["method"] != "POST")
            kind, reply = await self._run(user, asked, receive)
            head = reply.headers | {"x-clickhouse-query-id": query_id, "x-clickhouse-timezone": "UTC"}
            await _answer(send, 200, head, b"" if scope["method"] == "HEAD" else reply.body)
        except StoreError as fault:
            code = fault.code
            head = {
                "content-type": "text/plain; charset=UTF-8",
                "x-clickhouse-exception-code": str(code),
                "x-clickhouse-query-id": query_id,
            }
            if fault.status == 401:
                head["www-authenticate"] = 'Basic realm="ClickHouse server HTTP API"'
            if fault.status == 503:
                head["retry-after"] = "1"
            await _answer(send, fault.status, head, fault.body(version))
        except _Gone:
            code = 394
        finally:
            self.metrics.observe(kind, code, clock.monotonic() - started)

    def _user(self, url: dict[str, str], headers: dict[str, str]) -> str:
        if "password" in url:
            raise StoreError(516, "AUTHENTICATION_FAILED", "A password in the URL ends up in logs: send it in a header")
        name, password = headers.get("x-clickhouse-user", url.get("user", "")), headers.get("x-clickhouse-key", "")
        scheme, _, value = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "basic":
            try:
                name, _, password = base64.b64decode(value, validate=True).decode("utf-8").partition(":")
            except (binascii.Error, UnicodeDecodeError):
                raise StoreError(
                    516, "AUTHENTICATION_FAILED", "the Authorization header is not valid Basic", 401
                ) from None
        if not password:
            raise StoreError(
                194,
                "REQUIRED_PASSWORD",
                "Authentication failed: give user and password (Basic, or X-ClickHouse-User and -Key)",
            )
        user = self._credentials.admit(name, password)
        if user is None:
            raise StoreError(
                516, "AUTHENTICATION_FAILED", "Authentication failed: password is incorrect, or there is no such user"
            )
        return user

    async def _run(self, user: str, asked: wire.Request, receive: Receive) -> tuple[str, wire.Reply]:
        """Run it on the pool; a reader of a SELECT that hangs up stops it, an INSERT always runs to its end."""
        assert self.gate is not None  # noqa: S101 - checked by the caller
        if self._under_way >= WORKERS + WAITING_MAX:
            raise StoreError(
                202, "TOO_MANY_SIMULTANEOUS_QUERIES", "Too many simultaneous queries; come back in a second", 503
            )
        self._under_way += 1
        self.metrics.under_way.set(self._under_way)
        loop = asyncio.get_running_loop()
        work = loop.run_in_executor(self._pool, self.gate.run, user, asked)
        work.add_done_callback(self._ended)
        gone: asyncio.Future[Any] = loop.create_task(_disconnected(receive))
        try:
            await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                return work.result()
            self.gate.cancel(asked.query_id)
            work.add_done_callback(_retrieve)
            raise _Gone
        finally:
            gone.cancel()

    def _ended(self, _: object) -> None:
        self._under_way -= 1
        self.metrics.under_way.set(self._under_way)


class _Gone(Exception):
    """The client hung up before the answer."""


def _retrieve(work: "asyncio.Future[Any]") -> None:
    if not work.cancelled():
        work.exception()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _body(receive: Receive, headers: dict[str, str]) -> bytes:
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
    return await asyncio.to_thread(bodies.inflate, b"".join(parts), headers.get("content-encoding", ""), BODY_MAX)


async def _answer(send: Send, status: int, headers: dict[str, str], body: bytes) -> None:
    fields = {"content-length": str(len(body)), "x-clickhouse-server-display-name": "tollway", **headers}
    raw = [(k.encode("latin-1"), v.encode("latin-1", "replace")) for k, v in fields.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
