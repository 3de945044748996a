"""One HTTP/1.1 connection to an upstream: one call at a time, its answer pushed to the call's sink.

Bodies may be chunked, of a stated length, or last until the connection closes; 1xx answers are passed over; what the
server says after its answer ended, or without being asked, closes the connection. It never sends a request again.
"""

import asyncio
from typing import Protocol, cast

import httptools

from gateway.domain.reasons import Reason
from gateway.upstream.call import Call
from gateway.upstream.sink import Failure, Headers

HEAD_BYTES_MAX = 65_536
"""An answer whose head is longer than this is no answer."""

JOIN_BYTES_MAX = 65_536
"""Up to this size the request's head and body are copied into one write; beyond it two are cheaper."""


class Owner(Protocol):
    """Who keeps connections."""

    def made(self, connection: "UpstreamConnection") -> None:
        """The connection is open."""

    def idle(self, connection: "UpstreamConnection") -> None:
        """The connection is free for the next call."""

    def gone(self, connection: "UpstreamConnection") -> None:
        """The connection is closed."""


class UpstreamConnection(asyncio.Protocol):
    """A connection, from its being made to its end."""

    _transport: asyncio.Transport
    """Set when the connection is made; nobody holds one that is not."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._parser = httptools.HttpResponseParser(self)
        self._call: Call | None = None
        self._calls = 0
        self.idle_since = 0.0
        """The owner's note of when it became free."""
        self._reset()

    def _reset(self) -> None:
        self._received = 0
        self._status = 0
        self._headers: Headers = []
        self._head_due = False
        self._head_given = False
        self._pieces: list[bytes] = []
        self._complete = False
        self._keep = False
        self._surplus = False

    @property
    def usable(self) -> bool:
        """Open, and not closing."""
        return not self._transport.is_closing()

    def send(self, head: bytes, body: bytes, call: Call) -> None:
        """Send one request and push its answer to the call's sink."""
        self._reset()
        self._call = call
        self._calls += 1
        call.carried_by(self)
        call.sink.sending()
        if len(body) <= JOIN_BYTES_MAX:
            self._transport.write(head + body)
        else:
            self._transport.writelines((head, body))

    def abort(self) -> None:
        """Hang up at once, saying nothing more to the sink."""
        self._call = None
        self._transport.abort()

    def close(self) -> None:
        """Close a connection that has no call."""
        self._call = None
        self._transport.close()

    def pause(self) -> None:
        """Read no more for now: the client is slower than the upstream."""
        if self.usable and self._transport.is_reading():
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        if self.usable and not self._transport.is_reading():
            self._transport.resume_reading()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are no subclass of it
        self._owner.made(self)

    def data_received(self, data: bytes) -> None:
        if self._call is None:
            self.close()
            return
        self._received += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._fail(Reason.STREAM_BROKEN if self._head_given else Reason.BAD_RESPONSE)
            return
        if not self._head_due and not self._head_given and self._received > HEAD_BYTES_MAX:
            self._fail(Reason.BAD_RESPONSE)
            return
        self._push()

    def connection_lost(self, exc: Exception | None) -> None:
        self._owner.gone(self)
        if self._call is None:
            return
        if exc is None and self._head_given and not self._framed():
            self._finish(keep=False)
            return
        self._fail(Reason.STREAM_BROKEN if self._head_given else Reason.CONNECTION_LOST)

    # httptools callbacks: they only note what came; `_push` passes it on once the parser has returned

    def on_message_begin(self) -> None:
        if self._complete:
            self._surplus = True

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._complete:
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        if self._complete:
            return
        self._status = self._parser.get_status_code()
        if self._status < 200:
            self._headers = []
        else:
            self._head_due = True

    def on_body(self, body: bytes) -> None:
        if not self._complete:
            self._pieces.append(body)

    def on_message_complete(self) -> None:
        if self._head_due or self._head_given:
            self._complete = True
            self._keep = self._parser.should_keep_alive()

    def _push(self) -> None:
        # The sink may hang up in any of these calls, and then hears no more.
        call = self._call
        if self._head_due and call is not None:
            self._head_due, self._head_given = False, True
            call.sink.head(self._status, self._headers)
        if self._pieces and call is not None and self._call is call:
            pieces, self._pieces = self._pieces, []
            call.sink.data(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        if self._complete and call is not None and self._call is call:
            self._finish(keep=self._keep and not self._surplus)

    def _finish(self, *, keep: bool) -> None:
        call, self._call = self._call, None
        if keep and self.usable:
            self.resume()
            self._owner.idle(self)
        else:
            self.close()
        if call is not None:
            call.carried_by(None)
            call.sink.end()

    def _fail(self, reason: Reason) -> None:
        call, self._call = self._call, None
        self._transport.abort()
        if call is not None:
            call.carried_by(None)
            call.sink.failed(Failure(reason, sent=True, stale=self._calls > 1 and self._received == 0))

    def _framed(self) -> bool:
        """Whether the answer said how long it is; if not, the connection's end is its end."""
        return any(
            name == b"content-length" or (name == b"transfer-encoding" and b"chunked" in value.lower())
            for name, value in self._headers
        )
