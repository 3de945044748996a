"""The gateway's process: journal, shipper, plane and uvicorn, from a checked configuration to the last flushed span.

On SIGTERM it takes no new connections, lets streams finish for DRAIN_S, ends what is left (recorded as cancelled by
shutdown), ships what it can, and leaves the rest in the journal for its next start.
"""

import asyncio
import gc
import logging
import signal
import socket
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import FrameType

import uvicorn
import uvloop
from prometheus_client.core import CounterMetricFamily, Metric

from gateway.app import create_app
from gateway.config import RoutingConfig
from gateway.control.database import ControlUnavailable, Database
from gateway.domain import clock
from gateway.flow.plane import Books, Plane
from gateway.journal.journal import Journal
from gateway.journal.limits import Limits
from gateway.journal.shipper import Endpoint, Shipper
from gateway.metrics import gauge
from gateway.telemetry import sdk
from gateway.wire.connection import GatewayConnection, bound_to

logger = logging.getLogger(__name__)

DRAIN_S = 8
"""How long streams may go on after SIGTERM; the supervisor waits longer than this before it kills."""
SHIP_S = 2.0
"""How long the last spans may take to be acknowledged at the end."""
EXPIRE_EVERY_TICKS = 50
"""uvicorn ticks ten times a second: idle and stalled connections are looked for every 5 s."""
BACKLOG = 2048
GC_THRESHOLD = 20_000


def run(config: RoutingConfig, *, data_dir: Path, otlp_url: str, otlp_token: str) -> None:
    """Serve until SIGTERM or SIGINT. Raises SystemExit with one line when the address or the journal cannot be had."""
    sock = listening_socket(config.listen)
    try:
        journal = Journal(data_dir / "gateway" / "journal", "w0", limits=Limits(max_bytes=config.journal_max_bytes))
    except OSError as error:
        sock.close()
        raise SystemExit(f"gateway: the journal under {data_dir} cannot be opened: {error.strerror}") from None
    try:
        database = Database.under(data_dir, config.control_url.get_secret_value())
        database.open()
    except ControlUnavailable as error:
        sock.close()
        journal.close()
        raise SystemExit(f"gateway: {error}") from None
    shipper = Shipper(journal, Endpoint(otlp_url, otlp_token))
    shipper.start()
    operational = sdk.start(journal.instance)
    operational.watch(_operational_gauges(journal, shipper))
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(config, journal, sock, database, lambda: _journal_metrics(journal, shipper)))
    finally:
        if not shipper.drain(SHIP_S):
            logger.warning("not every span was acknowledged; the next start ships the rest")
        journal.close()
        database.close()
        operational.shutdown()


async def serve(
    config: RoutingConfig,
    books: Books,
    sock: socket.socket,
    database: Database,
    more_metrics: Callable[[], Iterable[Metric]] | None = None,
) -> None:
    """Serve on a listening socket until the process is told to stop; every request is on the books at the end."""
    plane = Plane(config, books, asyncio.get_running_loop(), database)
    if more_metrics is not None:
        plane.metrics.also(more_metrics)
    server = GatewayServer(plane)
    # A request leaves no cycles behind, so the collector has next to nothing to find: it need not look at what was
    # made at the start (9% of the CPU under load, before), nor often.
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD)
    host, port = sock.getsockname()[:2]
    logger.info("gateway: serving on http://%s:%d", host, port)
    try:
        await server.serve(sockets=[sock])
    finally:
        await plane.close()


class GatewayServer(uvicorn.Server):
    """uvicorn's server with our connection class; it stops without raising the signal that stopped it again."""

    def __init__(self, plane: Plane) -> None:
        config = uvicorn.Config(
            create_app(lambda: plane),
            http=bound_to(plane),
            loop="none",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            backlog=BACKLOG,
            timeout_graceful_shutdown=DRAIN_S,
        )
        super().__init__(config)
        self.plane = plane

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop gracefully at the first signal, at once at the second."""
        del frame
        if self.should_exit and sig in (signal.SIGINT, signal.SIGTERM):
            self.force_exit = True
        self.should_exit = True

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second."""
        if counter % EXPIRE_EVERY_TICKS == 0:
            now = clock.monotonic()
            for connection in tuple(self.server_state.connections):
                if isinstance(connection, GatewayConnection):
                    connection.expire(now)
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain, then end what is left."""
        self.plane.draining = True
        await super().shutdown(sockets)
        self.plane.stop()


def listening_socket(listen: str) -> socket.socket:
    """A bound socket for `host:port`. Raises SystemExit with one line when it cannot be had."""
    host, _, port = listen.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, int(port)))
        sock.listen(BACKLOG)
    except (OSError, OverflowError) as error:
        sock.close()
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise SystemExit(
            f"gateway: cannot listen on {listen}: {reason}. Stop what holds it, or set gateway.listen."
        ) from None
    sock.setblocking(False)
    return sock


def _operational_gauges(journal: Journal, shipper: Shipper) -> dict[str, Callable[[], float]]:
    """What an operator's own OTLP backend is told, where OTEL_EXPORTER_OTLP_ENDPOINT names one."""
    return {
        "tollway.journal.open_intents": lambda: float(journal.stats().open_intents),
        "tollway.journal.bytes": lambda: float(journal.stats().bytes),
        "tollway.journal.segments_pending": lambda: float(journal.stats().segments_pending),
        "tollway.shipper.seconds_since_ack": lambda: shipper.stats(clock.monotonic()).seconds_since_ack or 0.0,
    }


def _journal_metrics(journal: Journal, shipper: Shipper) -> Iterator[Metric]:
    kept, sent = journal.stats(), shipper.stats(clock.monotonic())
    for name, text, value in (
        ("tollway_journal_open_intents", "Attempts under way.", kept.open_intents),
        ("tollway_journal_bytes", "Bytes not acknowledged yet.", kept.bytes),
        ("tollway_journal_segments_pending", "Sealed segments not acknowledged yet.", kept.segments_pending),
        ("tollway_journal_parked_spans", "Spans no collector would take.", kept.parked_spans),
        ("tollway_journal_trouble", "1 while the disk refuses intents.", float(bool(kept.trouble))),
        ("tollway_shipper_seconds_since_ack", "Since the last acknowledgement.", sent.seconds_since_ack or 0.0),
    ):
        yield gauge(name, text, (), (((), value),))
    for name, text, value in (
        ("tollway_journal_refused_intents", "Attempts not made for want of a journal.", kept.refused_intents),
        ("tollway_journal_lost_recovered", "Attempts found lost at the start.", kept.lost_recovered),
        ("tollway_shipper_spans", "Spans acknowledged.", sent.shipped_spans),
        ("tollway_shipper_rejected_spans", "Spans the collector rejected.", sent.rejected_spans),
        ("tollway_shipper_retries", "Deliveries made again.", sent.retries),
    ):
        yield CounterMetricFamily(name, text, value=value)
