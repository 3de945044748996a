"""The client's side of one request on the data path: its body coming in, its answer going out.

It stands where uvicorn's RequestResponseCycle stands, with the attributes that uvicorn's connection reads of one. An
answer is written to the transport as it comes; the connection is kept unless the client or we said otherwise.
"""

from typing import Protocol

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from gateway.config import Tenant
from gateway.domain import clock
from gateway.errors import GatewayError, Internal
from gateway.flow.entrance import Handler, handler_of
from gateway.flow.heads import refusal
from gateway.flow.plane import Plane
from gateway.wire.arrival import Arrival, request_id
from gateway.wire.kinds import Kind

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"


class Wire(Protocol):
    """The connection, as far as a reply needs it."""

    def send(self, data: bytes) -> None:
        """Write to the client; nothing happens if it is gone."""

    def date_lines(self) -> bytes:
        """The header lines that every answer of this server carries."""

    def reply_done(self, *, keep: bool, linger: bool) -> None:
        """The answer is written: go on to the next request, or close. `linger` reads on for a while before closing, so
        that a client that is still sending does not lose the answer to a reset."""

    def break_off(self) -> None:
        """Abort the connection."""


class NoEvent:
    """Stands for the asyncio.Event that uvicorn wakes an ASGI application with; nobody waits here."""

    def set(self) -> None:
        """Nothing to wake."""


NO_EVENT = NoEvent()


class Reply:
    """One request on the data path, from its head to its answer's end."""

    message_event = NO_EVENT

    def __init__(
        self,
        plane: Plane,
        wire: Wire,
        headers: list[tuple[bytes, bytes]],
        *,
        version: str,
        keep_alive: bool,
        kind: Kind = Kind.CHAT,
    ) -> None:
        self.response_complete = False
        self.disconnected = False
        self.keep_alive = keep_alive
        self.more_body = True
        self.paused = False
        self.awaits_continue = False
        self.exchange: Handler | None = None
        self._plane = plane
        self._wire = wire
        self._headers = headers
        self._kind = kind
        self.named = dict(headers)
        self._chunked = version != "1.0"
        self._pieces: list[bytes] = []
        self._size = 0
        self._started_at = clock.unix_nanos()
        self._active = False
        self._error: GatewayError | None = None
        self._tenant: Tenant | None = None

    # The request coming in

    def admit(self, tenant: Tenant | None, error: GatewayError | None) -> None:
        """What the head alone decides: whose request it is, or why it is refused before its body is read."""
        self._tenant = tenant
        self._error = error
        if error is not None and (self.awaits_continue or error.status == 413):
            self.keep_alive = False  # The body may or may not follow, so the next request's start cannot be told.

    def receive(self, piece: bytes, body_bytes_max: int) -> bool:
        """More of the body; False when it has become too long."""
        if self.response_complete or self._error is not None:
            return True
        self._pieces.append(piece)
        self._size += len(piece)
        return self._size <= body_bytes_max

    def received(self) -> None:
        """The body is whole."""
        self.more_body = False
        if self._active:
            self._go()

    def activate(self) -> None:
        """All requests before it on this connection are answered."""
        self._active = True
        if self._error is not None:
            self._refuse(self._error)
        elif not self.more_body:
            self._go()
        elif self.awaits_continue:
            self._wire.send(CONTINUE)

    def _go(self) -> None:
        if self.response_complete or self.exchange is not None or self._tenant is None:
            return
        body = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces = []
        arrival = Arrival(self._tenant, self._headers, self.named, body, self._started_at, self._kind)
        self.exchange = handler_of(self._plane, self, arrival)
        self.exchange.start()

    def fail(self) -> None:
        """A fault of ours: answer it as one, if nothing was answered yet."""
        self._refuse(Internal("The gateway made a mistake; it has been logged."))

    def _refuse(self, error: GatewayError) -> None:
        self._plane.metrics.errors.add(error.code)
        self.answer(error.status, refusal(request_id(self.named), error), error.envelope())

    # The answer going out

    def answer(self, status: int, head: bytes, body: bytes) -> None:
        """A whole answer."""
        if self._over():
            return
        lines = (self._status_line(status), self._wire.date_lines(), head, self._connection_line())
        self._wire.send(b"".join((*lines, b"content-length: %d\r\n\r\n" % len(body), body)))
        self._complete()

    def start(self, status: int, head: bytes) -> None:
        """The head of a stream."""
        if self._over():
            return
        self.keep_alive = self.keep_alive and self._chunked
        framing = b"transfer-encoding: chunked\r\n\r\n" if self._chunked else b"\r\n"
        lines = (self._status_line(status), self._wire.date_lines(), head, self._connection_line(), framing)
        self._wire.send(b"".join(lines))

    def write(self, piece: bytes) -> None:
        """A piece of a stream."""
        if not self._over():
            self._wire.send(b"%x\r\n%b\r\n" % (len(piece), piece) if self._chunked else piece)

    def finish(self) -> None:
        """A stream's end."""
        if self._over():
            return
        if self._chunked:
            self._wire.send(LAST_CHUNK)
        self._complete()

    def cut(self) -> None:
        """Break the connection off."""
        if not self._over():
            self.response_complete = True
            self._wire.break_off()

    def _over(self) -> bool:
        return self.response_complete or self.disconnected

    def _complete(self) -> None:
        self.response_complete = True
        self.exchange = None
        self._wire.reply_done(keep=self.keep_alive, linger=self.more_body)

    def _connection_line(self) -> bytes:
        return b"" if self.keep_alive else b"connection: close\r\n"

    @staticmethod
    def _status_line(status: int) -> bytes:
        line: bytes | None = STATUS_LINE.get(status)
        return line or b"HTTP/1.1 %d \r\n" % status
