"""A vendor's bytes on their way to the client, one piece at a time, read by a meter as they pass.

Who is slow slows the vendor down; who hangs up ends the vendor's call; a vendor that breaks off breaks the client's
answer off too, so that it never looks whole.
"""

import asyncio
import logging
import re
from contextlib import AsyncExitStack
from typing import Protocol

import httpx
from starlette.types import Receive, Scope, Send

from gateway.config import Upstream
from gateway.domain.attempt import Outcome
from gateway.domain.reasons import Reason
from gateway.errors import GatewayError, UpstreamFailed
from gateway.flow.mask import masked
from gateway.relay.sse import EventTooLong, Splitter, events
from gateway.stored.call import Call, Unfinished
from gateway.stored.vendor import CANNOT_READ, forwarded, headers_of, judged, key_of, read_whole, translated

logger = logging.getLogger(__name__)

FAILURE = re.compile(rb'"(?:response\.failed|error)"\s*[,}]')
"""An event with one of these types; a quote inside a text is escaped, so it is not found there."""
PASSED_TOO = ("content-length", "content-disposition")


class Meter(Protocol):
    """Reads what passes."""

    def feed(self, piece: bytes) -> None:
        """Some of it. Raises OSError where the books take no more."""

    def end(self) -> None:
        """It was whole. Raises OSError."""

    async def close(self) -> None:
        """No more comes. Raises OSError, OwnersUnavailable."""


async def stream(call: Call, upstream: Upstream, path: tuple[str, ...], query: str, meter: Meter | None) -> "Stream":
    """The answer to a GET, its head read and good. Raises GatewayError, VendorRefused; the meter is closed then."""
    async with AsyncExitStack() as stack:
        if meter is not None:
            stack.push_async_callback(_closed, meter)
        response = await stack.enter_async_context(call.vendors.call(upstream, "GET", path, query=query))
        if response.status_code >= 300:
            judged(response, await read_whole(response))
            raise UpstreamFailed(CANNOT_READ)
        if response.headers.get("content-encoding", "identity") != "identity":
            raise UpstreamFailed(CANNOT_READ)
        return Stream(call, response, meter, stack.pop_all())


class Stream(Unfinished):
    """That answer, for Starlette to run."""

    def __init__(self, call: Call, response: httpx.Response, meter: Meter | None, stack: AsyncExitStack) -> None:
        named = headers_of(response)
        own = {name: named[name] for name in PASSED_TOO if name in named}
        kind = named.get("content-type", "application/octet-stream")
        super().__init__(
            None, response.status_code, {"content-type": kind, **own, **call.headers, **forwarded(response)}
        )
        if "content-length" not in own:
            del self.headers["content-length"]
        self._call = call
        self._response = response
        self._meter = meter
        self._events = Splitter() if kind.startswith("text/event-stream") else None
        self._stack = stack

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run to the vendor's end, or the client's."""
        outcome, status = Outcome.CANCELLED, 0
        reason: Reason | None = Reason.CLIENT_CANCELLED
        try:
            async with asyncio.TaskGroup() as group:
                running = group.create_task(self._run(send))
                watching = group.create_task(_hung_up(receive, running))
                running.add_done_callback(lambda _: watching.cancel())
            if not running.cancelled():
                status, reason = self.status_code, running.result()
                outcome = Outcome.OK if reason is None else Outcome.ERROR
        finally:
            await asyncio.shield(self._stack.aclose())
            self._call.book(outcome, status, reason)

    async def _run(self, send: Send) -> Reason | None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        try:
            with translated():
                async for piece in self._response.aiter_raw():
                    if self._meter is not None:
                        self._meter.feed(piece)
                    if shown := self._shown(piece):
                        await send({"type": "http.response.body", "body": shown, "more_body": True})
            if self._meter is not None:
                self._meter.end()
        except GatewayError as error:
            logger.warning("an answer to request %s was broken off: %s", self._call.request_id, error.message)
            return Reason.STREAM_BROKEN
        except OSError:
            logger.exception("request %s was broken off, since it cannot be metered now", self._call.request_id)
            return Reason.JOURNAL_FULL
        rest = self._events.rest() if self._events is not None else b""
        await send({"type": "http.response.body", "body": rest, "more_body": False})
        return None

    def _shown(self, piece: bytes) -> bytes:
        """The client's copy: of events only whole ones, and of our key nothing in one that tells of a failure."""
        if self._events is None:
            return piece
        try:
            whole = self._events.feed(piece)
        except EventTooLong:
            raise UpstreamFailed(CANNOT_READ) from None
        if FAILURE.search(whole) is None:
            return whole
        our_key = key_of(self._response)
        return b"".join(masked(event, our_key) if FAILURE.search(event) else event for event in events(whole))


async def _hung_up(receive: Receive, running: "asyncio.Task[Reason | None]") -> None:
    while (await receive())["type"] != "http.disconnect":
        continue
    running.cancel()


async def _closed(meter: Meter) -> None:
    try:
        await meter.close()
    except (OSError, GatewayError):
        logger.exception("what was metered could not be remembered; a later fetch writes it again, under the same ids")
