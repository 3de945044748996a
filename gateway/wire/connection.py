"""uvicorn's HTTP connection with a data path of its own: a POST that asks a model never enters the framework.

Sockets, signals, keep-alive, lifespan and workers stay uvicorn's, and every other route goes to the ASGI application.
What is ours (gateway/wire/kinds.py) is answered by a Reply, which stands in uvicorn's pipeline like any other request,
so that answers keep their order. What this class stands on inside uvicorn is pinned by
tests/gateway/wire/test_uvicorn_internals.py.
"""

import asyncio
import logging
from typing import Any

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from gateway.domain import clock
from gateway.errors import BodyTooLarge, GatewayError, HeadersTooLarge, InvalidRequest, Unauthenticated
from gateway.flow.plane import Plane
from gateway.wire.kinds import OF_PATH
from gateway.wire.reply import Reply

logger = logging.getLogger(__name__)

HEAD_BYTES_MAX = 65_536
HEAD_TOO_LONG = f"The head is longer than {HEAD_BYTES_MAX} bytes."
PIPELINED_MAX = 16
"""Requests read ahead of their turn. More wait in the socket; then a hang-up is seen only when they are read."""
LINGER_S = 1.0
IDLE_S = 75.0
"""How long a connection is kept with nothing under way."""
UPLOADS = b"/v1/files"
"""A file may take as long as it likes to arrive, so long as it goes on arriving and was not refused."""
READ_S = 60.0
"""How long a request may take to arrive whole."""
NO_KEY = "Give your key as a bearer token: `Authorization: Bearer <key>`."


class GatewayConnection(HttpToolsProtocol):
    """One client connection. `plane` is set on the subclass that `bound_to` makes."""

    plane: Plane
    cycle: Any
    """uvicorn's name for the request that was read last: a RequestResponseCycle, or one of our Replies."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._reply: Reply | None = None
        """The request being read, if it is one of ours."""
        self._active: Reply | None = None
        """The request being answered, if it is one of ours."""
        self._in_head = False
        """A request's head has begun in an earlier read and not ended yet."""
        self._head_bytes = 0
        self._read_bytes = 0
        self._refusal: GatewayError | None = None
        """Why the parser was stopped."""
        self._lingering = False
        self._known_head = False
        """The parser is being told of a request whose head is known already (see `_decline_upgrade`)."""
        self._dates: tuple[list[tuple[bytes, bytes]], bytes] = ([], b"")
        self.reading_since = 0.0
        self.idle_since = clock.monotonic()

    @property
    def _deaf(self) -> bool:
        """Nothing more that the client says is of interest."""
        return self._lingering or self.transport.is_closing()

    # The socket

    def data_received(self, data: bytes) -> None:
        """A read of the socket."""
        if self._lingering:
            return
        self._read_bytes = len(data)
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES_MAX:
                self._answer_and_close(HeadersTooLarge(HEAD_TOO_LONG))
                return
        self._parse(data)

    def _parse(self, data: bytes) -> None:
        try:
            while data:
                data = self._feed(data)
        except httptools.HttpParserError as error:
            if self._refusal is not None:
                self._answer_and_close(self._refusal)
            elif self._deaf:
                return
            elif isinstance(error, httptools.HttpParserCallbackError) and not _bad_target(error):
                self._fault(error.__context__ or error)
            else:
                self.send_400_response("This is not an HTTP/1.1 request.")

    def _feed(self, data: bytes) -> bytes:
        """Let the parser read; what it left unread behind an offer to upgrade comes back."""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._decline_upgrade()
            return data[upgrade.args[0] :]
        return b""

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        super().connection_lost(exc)
        active, self._active, self._reply = self._active, None, None
        self.pipeline.clear()
        if active is not None:
            active.disconnected = True
            if active.exchange is not None:
                active.exchange.client_gone()
                active.exchange = None
        if isinstance(self.cycle, Reply):
            self.cycle = None  # It knows its connection: parted, both are freed at once.

    def pause_writing(self) -> None:
        """The client reads slower than we write."""
        super().pause_writing()
        if self._active is not None:
            self._active.paused = True
            if self._active.exchange is not None:
                self._active.exchange.pause()

    def resume_writing(self) -> None:
        """The client has caught up."""
        super().resume_writing()
        if self._active is not None:
            self._active.paused = False
            if self._active.exchange is not None:
                self._active.exchange.resume()

    # The parser

    def on_message_begin(self) -> None:
        """A request begins; the ASGI scope waits until it is known to need one."""
        if self._known_head:
            return
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self._reply = None
        self._in_head = True
        self._head_bytes = 0
        self.reading_since = clock.monotonic()

    def on_url(self, url: bytes) -> None:
        """Some of the target."""
        if not self._known_head:
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header; a trailer is none. `Expect` is looked for once, when all are there."""
        if self._in_head:
            self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """The head is whole: ours or the framework's?"""
        if self._known_head:
            return
        self._in_head = False
        if self._deaf:
            raise ConnectionAbortedError  # Requests behind the last one that is answered; stops the parser.
        if self._read_bytes > HEAD_BYTES_MAX and _size(self.url, self.headers) > HEAD_BYTES_MAX:
            self._refusal = HeadersTooLarge(HEAD_TOO_LONG)
            raise self._refusal
        kind = OF_PATH.get(self.url.partition(b"?")[0])
        if kind is None or self.parser.get_method() != b"POST":
            self._hand_over()
            return
        version = self.parser.get_http_version()
        keep_alive = version != "1.0" and self.parser.should_keep_alive()
        reply = Reply(self.plane, self, self.headers, version=version, keep_alive=keep_alive, kind=kind)
        reply.awaits_continue = reply.named.get(b"expect", b"").lower() == b"100-continue"
        self._screen(reply)
        before, self.cycle, self._reply = self.cycle, reply, reply
        if before is None or before.response_complete:
            self._start(reply)
            return
        self.pipeline.appendleft((reply, self.app))  # type: ignore[arg-type]
        if len(self.pipeline) >= PIPELINED_MAX:
            self.flow.pause_reading()

    def on_body(self, body: bytes) -> None:
        """Some of the body."""
        if self._reply is None:
            if self.url.startswith(UPLOADS) and not self.cycle.response_complete:
                self.reading_since = clock.monotonic()
            super().on_body(body)
        elif not self._reply.receive(body, self.plane.config.max_body_bytes):
            self._reply.admit(None, self._too_large())
            if self._active is self._reply:
                self._reply.activate()

    def on_message_complete(self) -> None:
        """The request is whole."""
        if self.parser.should_upgrade():
            return  # Said at the head's end already, the body being still unread: see `_decline_upgrade`.
        self.reading_since = 0.0
        if self._reply is None:
            super().on_message_complete()
        else:
            self._reply.received()

    def _hand_over(self) -> None:
        """Give the request to the framework, as if it had been uvicorn's from its first byte."""
        url, headers = self.url, self.headers
        super().on_message_begin()
        self.url = url
        for name, value in headers:
            super().on_header(name, value)
        super().on_headers_complete()

    # The pipeline

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        if isinstance(cycle, Reply):
            self._start(cycle)
        else:
            self._active = None
            super()._start_asgi_task(cycle, app)

    def _start(self, reply: Reply) -> None:
        self._active = reply
        reply.paused = self.flow.write_paused
        reply.activate()

    def on_response_complete(self) -> None:
        """An answer is written: the next request's turn. As uvicorn does it, but for the timer: see `expire`."""
        self.server_state.total_requests += 1
        self._active = None
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self.loop.call_soon(self._start_next)  # Once the one that is ending has given back all it holds.
        else:
            self.idle_since = clock.monotonic()

    def _start_next(self) -> None:
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())

    # Wire, for replies

    def send(self, data: bytes) -> None:
        """Write to the client."""
        if not self.transport.is_closing():
            self.transport.write(data)

    def date_lines(self) -> bytes:
        """The header lines that every answer carries."""
        headers = self.server_state.default_headers  # uvicorn puts a new list here once a second.
        if headers is not self._dates[0]:
            self._dates = (headers, b"".join(b"%b: %b\r\n" % line for line in headers))
        return self._dates[1]

    def reply_done(self, *, keep: bool, linger: bool) -> None:
        """An answer is written."""
        if not keep:
            self.pipeline.clear()
            if linger:
                self._linger()
            else:
                self.transport.close()
        self.on_response_complete()

    def break_off(self) -> None:
        """Abort the connection."""
        self.transport.abort()

    def expire(self, now: float) -> None:
        """Close a connection that is idle, or whose request does not arrive. Called now and then for every connection,
        which costs less than a timer for each request."""
        busy = self.cycle is not None and not self.cycle.response_complete
        if self.reading_since and now - self.reading_since > READ_S:
            self.transport.abort()
        elif not busy and not self.reading_since and now - self.idle_since > IDLE_S:
            self.transport.close()

    # Requests that go no further

    def send_400_response(self, msg: str) -> None:
        """What cannot be read as a request is answered in the same envelope as all else."""
        self._answer_and_close(InvalidRequest(msg))

    def _screen(self, reply: Reply) -> None:
        """Decide what the head alone decides: an unknown key's body is never kept."""
        named = reply.named
        length = named.get(b"content-length", b"0")
        tenant = self.plane.keys.tenant_of(named.get(b"authorization"))
        error: GatewayError | None = None
        if tenant is None:
            error = Unauthenticated(NO_KEY if b"authorization" not in named else "This API key is not known.")
        elif int(length) > self.plane.config.max_body_bytes:
            error = self._too_large()
        elif named.get(b"content-encoding", b"identity").lower() != b"identity":
            error = InvalidRequest("Send the body uncompressed: `Content-Encoding` is not supported.")
        reply.admit(tenant, error)

    def _too_large(self) -> BodyTooLarge:
        return BodyTooLarge(f"The body is longer than {self.plane.config.max_body_bytes} bytes.")

    def _fault(self, error: BaseException) -> None:
        logger.error("the data path failed on a request", exc_info=error)
        if self._active is not None and not self._active.response_complete:
            self._active.keep_alive = False
            self._active.fail()
        self.transport.close()

    def _answer_and_close(self, error: GatewayError) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self.transport.close()  # An answer before this one is still under way; ours cannot overtake it.
            return
        self.plane.metrics.errors.add(error.code)
        body = error.envelope()
        head = b"content-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body)
        status = b"HTTP/1.1 %d %b\r\n" % (error.status, error.code.replace("_", " ").encode())
        self.send(b"".join((status, self.date_lines(), head, body)))
        self._linger()

    def _linger(self) -> None:
        """Say that no more comes, and drop what the client still sends until it stops, for LINGER_S at most."""
        self._lingering = True
        if self.transport.can_write_eof() and not self.transport.is_closing():
            self.transport.write_eof()
        self.loop.call_later(LINGER_S, self.transport.close)

    # Upgrades

    def _decline_upgrade(self) -> None:
        """An offer to upgrade (Java's client makes one: h2c) may be ignored, RFC 9110 section 7.8, but the parser has
        taken the offer for an order and left the body unread. A fresh parser, told how the body is framed, reads on."""
        self.parser = httptools.HttpRequestParser(self)
        self._known_head = True
        self.parser.feed_data(b"POST / HTTP/1.1\r\n%b\r\n" % _framing(self.headers))
        self._known_head = False


def _bad_target(error: httptools.HttpParserCallbackError) -> bool:
    """Whether what the callback tripped on was the client's target, such as CONNECT's `host:port`."""
    return isinstance(error.__context__, httptools.HttpParserInvalidURLError)


def _framing(headers: list[tuple[bytes, bytes]]) -> bytes:
    """The lines that say how long a body is."""
    return b"".join(b"%b: %b\r\n" % line for line in headers if line[0] in (b"content-length", b"transfer-encoding"))


def _size(url: bytes, headers: list[tuple[bytes, bytes]]) -> int:
    return len(url) + sum(len(name) + len(value) + 4 for name, value in headers)


def bound_to(plane: Plane) -> type[GatewayConnection]:
    """The connection class for uvicorn's `http=`, serving that plane."""
    return type("BoundGatewayConnection", (GatewayConnection,), {"plane": plane})
