"""Calls to upstreams over kept connections.

A pool per upstream hands out its most recently used idle connection, or makes a new one. A connection that was idle
for IDLE_S is closed rather than used, since servers close theirs after 20 to 75 s and would race us. The client never
sends a request twice: a kept connection that turns out dead is reported as such, and who asked decides.
"""

import asyncio
import ssl

from gateway.domain import clock
from gateway.domain.reasons import Reason
from gateway.upstream.call import Call
from gateway.upstream.connection import UpstreamConnection
from gateway.upstream.endpoint import Endpoint
from gateway.upstream.sink import Failure, Sink

IDLE_S = 15.0
CONNECT_TIMEOUT_S = 5.0


class _Connecting:
    """The making of a connection, as the carrier of a call that waits for it."""

    def __init__(self, task: asyncio.Task[None]) -> None:
        self._task = task

    def abort(self) -> None:
        self._task.cancel()

    def pause(self) -> None:
        """There is nothing to read yet."""

    def resume(self) -> None:
        """There is nothing to read yet."""


class UpstreamPool:
    """The connections to one upstream."""

    def __init__(self, endpoint: Endpoint, loop: asyncio.AbstractEventLoop, context: ssl.SSLContext | None) -> None:
        self.endpoint = endpoint
        self._loop = loop
        self._context = context
        self._idle: list[UpstreamConnection] = []
        self._open: set[UpstreamConnection] = set()
        self._connecting: set[asyncio.Task[None]] = set()
        self._sweep: asyncio.TimerHandle | None = None
        self._retired = False
        self.connections_made = 0

    def call(self, head: bytes, body: bytes, sink: Sink, *, fresh: bool) -> Call:
        """Send a request; `fresh` takes a new connection whatever is idle."""
        call = Call(sink)
        connection = None if fresh else self._take()
        if connection is not None:
            connection.send(head, body, call)
            return call
        task = self._loop.create_task(self._connect(head, body, call))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)
        call.carried_by(_Connecting(task))
        return call

    @property
    def busy(self) -> bool:
        """Whether any connection is open or being made."""
        return bool(self._open or self._connecting)

    @property
    def retired(self) -> bool:
        """Whether a reload has put another in its place."""
        return self._retired

    def retire(self) -> None:
        """Keep no connection beyond its call from now on; calls under way, and those still to come, are served."""
        self._retired = True
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        while self._idle:
            self._idle.pop().close()

    async def close(self) -> None:
        """Hang up on everything."""
        if self._sweep is not None:
            self._sweep.cancel()
        for task in tuple(self._connecting):
            task.cancel()
        await asyncio.gather(*self._connecting, return_exceptions=True)
        for connection in tuple(self._open):
            connection.abort()

    # Owner of the connections

    def made(self, connection: UpstreamConnection) -> None:
        """Count it among the open ones."""
        self.connections_made += 1
        self._open.add(connection)

    def idle(self, connection: UpstreamConnection) -> None:
        """Keep it for the next call."""
        if self._retired:
            connection.close()
            return
        connection.idle_since = clock.monotonic()
        self._idle.append(connection)
        if self._sweep is None:
            self._sweep = self._loop.call_later(IDLE_S, self._close_idle)

    def gone(self, connection: UpstreamConnection) -> None:
        """Forget it."""
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)

    def _take(self) -> UpstreamConnection | None:
        oldest = clock.monotonic() - IDLE_S
        while self._idle:
            connection = self._idle.pop()
            if connection.usable and connection.idle_since > oldest:
                return connection
            connection.close()
        return None

    def _close_idle(self) -> None:
        self._sweep = None
        oldest = clock.monotonic() - IDLE_S
        while self._idle and self._idle[0].idle_since <= oldest:
            self._idle.pop(0).close()
        if self._idle:
            self._sweep = self._loop.call_later(self._idle[0].idle_since - oldest, self._close_idle)

    async def _connect(self, head: bytes, body: bytes, call: Call) -> None:
        endpoint = self.endpoint
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                _, connection = await self._loop.create_connection(
                    lambda: UpstreamConnection(self),
                    endpoint.host,
                    endpoint.port,
                    ssl=self._context,
                    server_hostname=endpoint.host if self._context else None,
                )
        except (OSError, UnicodeError):
            # A timeout is an OSError too; so is a certificate that does not hold. Nothing was sent.
            if not call.cancelled:
                call.carried_by(None)
                call.sink.failed(Failure(Reason.CONNECT_ERROR, sent=False))
            return
        if call.cancelled:
            self.idle(connection)
            return
        connection.send(head, body, call)
