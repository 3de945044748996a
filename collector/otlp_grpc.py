"""OTLP over gRPC: handlers of raw bytes, so that no message is built here. What becomes of a body is the intake's work.

The handlers are of the streaming kind, which a unary call cannot tell from its own: that way a sender is known, and has
a turn, before its message is read into memory. gRPC's own inflating is switched off, for it knows no limit after
inflating: a compressed message is known by its first bytes, which no OTLP request has, and inflated by the intake.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
from grpc import aio

from collector.intake import Form, Intake
from collector.refusals import Busy, Gone, Refused
from collector.settings import CannotStart, Limits, Tls
from collector.signals import SIGNALS, Signal

STOP_S = 5.0
STREAMS_MAX = 256
"""Calls under way on one connection."""
WINDOW_BYTES = 64 * 1024
"""What a connection may send ahead of its turn to be read, for each call."""


def compression(message: bytes) -> str:
    """How a message is compressed, by its first bytes; "" = it is not."""
    if message[:2] == b"\x1f\x8b":
        return "gzip"
    if message[:4] == b"\x28\xb5\x2f\xfd":
        return "zstd"
    if message[:1] == b"\x78" and int.from_bytes(message[:2]) % 31 == 0:
        return "deflate"
    return ""


class Turns:
    """Who may be read into memory: so many at once, the others in their order, and beyond a queue nobody."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._slots = asyncio.Semaphore(limits.grpc_reads_max)
        self._waiting = 0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for one's turn. Raises Busy when too many wait."""
        if self._waiting >= self._limits.grpc_waiting_max:
            raise Busy("too many requests wait to be read; send it again", retry_after_s=self._limits.retry_after_s)
        self._waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._slots.release()


class GrpcServer:
    """The server of all three signals; belongs to one event loop."""

    def __init__(self, intake: Intake, *, host: str, port: int, tls: Tls | None) -> None:
        """Raises CannotStart when the address cannot be had."""
        self._intake = intake
        self._turns = Turns(intake.limits)
        self._server = aio.server(
            options=(
                ("grpc.so_reuseport", 0),
                ("grpc.max_receive_message_length", intake.limits.body_bytes_max),
                ("grpc.per_message_decompression", 0),
                ("grpc.max_concurrent_streams", STREAMS_MAX),
                ("grpc.http2.lookahead_bytes", WINDOW_BYTES),
                ("grpc.http2.bdp_probe", 0),
            )
        )
        for signal in SIGNALS:
            handler = grpc.stream_unary_rpc_method_handler(self._handler(signal))
            self._server.add_generic_rpc_handlers(
                (grpc.method_handlers_generic_handler(signal.service, {"Export": handler}),)
            )
        place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            self.port = (
                self._server.add_secure_port(place, _credentials(tls)) if tls else self._server.add_insecure_port(place)
            )
        except RuntimeError:
            raise CannotStart(f"{place} cannot be had: stop what listens there, or set collector.otlp_grpc") from None

    async def serve(self, leave: asyncio.Event) -> None:
        """Answer until told to leave; those under way are answered then."""
        await self._server.start()
        await leave.wait()
        await self._server.stop(STOP_S)

    def _handler(self, signal: Signal) -> Callable[[Any, Any], Awaitable[bytes]]:
        async def export(_requests: object, context: Any) -> bytes:
            try:
                answer = await self._export(signal, context)
            except Exception as error:  # noqa: BLE001 - the intake says what it was
                refused = self._intake.refused(error, Form("grpc", "protobuf"))
            else:
                return bytes(answer.SerializeToString())
            if not isinstance(refused, Gone):
                await _abort(context, refused)
            return b""

        return export

    async def _export(self, signal: Signal, context: Any) -> Any:
        limits = self._intake.limits
        metadata = dict(context.invocation_metadata() or ())
        sender = self._intake.admit(str(metadata.get("authorization", "")), signal)
        with self._intake.inflight.share(sender.name) as share:
            try:
                async with asyncio.timeout(limits.read_timeout_s), self._turns.turn():
                    raw = await context.read()
                    if raw is aio.EOF:
                        raise Gone("the sender hung up, or its message is above the limit")
                    share.take(len(raw))
            except TimeoutError:
                why = f"the message was not whole after {limits.read_timeout_s} s"
                raise Busy(why, retry_after_s=limits.retry_after_s) from None
            return await self._intake.take(sender, signal, raw, Form("grpc", "protobuf", compression(raw)), share)


async def _abort(context: Any, refused: Refused) -> None:
    """End the call with the status, its details, and for what may come again the RetryInfo, in both ways it is read."""
    status = refused.status()
    trailing: tuple[tuple[str, bytes], ...] = (("grpc-status-details-bin", status.SerializeToString()),)
    if isinstance(refused, Busy):
        # Python's exporter looks for it under its own name alone.
        trailing += (("google.rpc.retryinfo-bin", refused.retry_info().SerializeToString()),)
    code = next(code for code in grpc.StatusCode if code.value[0] == refused.grpc_code)
    await context.abort(code, str(refused), trailing)


def _credentials(tls: Tls) -> grpc.ServerCredentials:
    chain = ((tls.key.read_bytes(), tls.cert.read_bytes()),)
    if tls.client_ca is None:
        return grpc.ssl_server_credentials(chain)
    return grpc.ssl_server_credentials(chain, root_certificates=tls.client_ca.read_bytes(), require_client_auth=True)
