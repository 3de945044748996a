"""The gateway's process: journal, shipper, plane and uvicorn, from a checked configuration to the last flushed span.

On SIGTERM it takes no new connections, lets streams finish for gateway.drain_s, ends what is left (recorded as
cancelled by shutdown), ships what it can, and leaves the rest in the journal for its next start. On SIGHUP it reads its
configuration again (gateway/flow/reload.py).
"""

import asyncio
import gc
import logging
import signal
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import uvicorn
import uvloop

from gateway.api.admin import Admin
from gateway.api.app import create_app
from gateway.config import RoutingConfig
from gateway.config.policies import OnFull
from gateway.control.database import ControlUnavailable, Database
from gateway.domain import clock
from gateway.feedback.answered import LookUp
from gateway.flow.plane import Books, Plane
from gateway.flow.reload import Reread, Serving
from gateway.journal.journal import Journal
from gateway.journal.limits import Limits
from gateway.journal.shipper import Endpoint, Shipper
from gateway.shipping import Shipping
from gateway.stored.sweeping import sweep_for_ever
from gateway.telemetry import sdk
from gateway.wire.connection import GatewayConnection, bound_to

logger = logging.getLogger(__name__)

SHIP_S = 2.0
"""How long the last spans may take to be acknowledged at the end, after gateway.drain_s: who stops the gateway waits
longer than both before it kills."""
WATCH_EVERY_TICKS = 10
EXPIRE_EVERY_TICKS = 50
"""uvicorn ticks ten times a second: idle and stalled connections are looked for every 5 s."""
BACKLOG = 2048
GC_THRESHOLD = 20_000


def run(
    config: RoutingConfig,
    *,
    data_dir: Path,
    otlp_url: str,
    otlp_token: str,
    otlp_tls: ssl.SSLContext | None = None,
    read_again: Callable[[], Reread] | None = None,
    watch: Callable[[], str] = str,
    look_up: LookUp | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT. `read_again` gives the configuration as it stands at a SIGHUP, and when `watch`,
    asked each second for the file of the approved rate cards, names another than it serves by; it raises ConfigError.
    `look_up` finds requests that feedback names. Raises SystemExit with one line when the address or the journal cannot
    be had, or when the journal became full and gateway.journal_on_full is stop: then behind the drain, as after a
    SIGTERM."""
    early = threading.Event()
    signal.signal(signal.SIGHUP, lambda *_: early.set())  # It must not end a process that does not serve yet.
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
    shipper = Shipper(journal, Endpoint(otlp_url, otlp_token, tls=otlp_tls))
    shipper.start()
    shipping = Shipping(journal, shipper)
    operational = sdk.start(journal.instance)
    operational.watch(shipping.gauges())
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            full = runner.run(serve(config, journal, sock, database, read_again, shipping, early, watch, look_up))
    finally:
        if not shipper.drain(SHIP_S):
            logger.warning("not every span was acknowledged; the next start ships the rest")
        journal.close()
        database.close()
        operational.shutdown()
    if full:
        raise SystemExit(
            f"gateway: stopped, for the journal is full ({full}) and gateway.journal_on_full is stop. Nothing that was "
            f"recorded is lost; make room under {data_dir}, or see that the collector takes it, and start again."
        )


async def serve(
    config: RoutingConfig,
    books: Books,
    sock: socket.socket,
    database: Database,
    read_again: Callable[[], Reread] | None,
    shipping: Shipping,
    early: threading.Event,
    watch: Callable[[], str],
    look_up: LookUp | None = None,
) -> str:
    """Serve on a listening socket until the process is told to stop; every request is on the books at the end. `early`
    is set by a SIGHUP that came before. Returns why the journal is full, where that has stopped it; else ""."""
    loop = asyncio.get_running_loop()
    serving = Serving(Plane(config, books, loop, database, look_up=look_up), read_again)
    serving.follow(lambda plane: plane.metrics.also(shipping.metrics))
    await serving.plane.budgets.read()
    plane = serving.plane
    plane.tasks.spawn(sweep_for_ever(plane.owners, plane.stored))
    server = GatewayServer(serving, shipping, watch)
    loop.add_signal_handler(signal.SIGHUP, lambda: serving.plane.tasks.spawn(_reload(serving)))
    if early.is_set():
        serving.plane.tasks.spawn(_reload(serving))
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
        loop.remove_signal_handler(signal.SIGHUP)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        await serving.plane.close()
    return server.stopped_full


async def _reload(serving: Serving) -> None:
    await serving.reload()


class GatewayServer(uvicorn.Server):
    """uvicorn's server with our connection class; it stops without raising the signal that stopped it again."""

    def __init__(self, serving: Serving, shipping: Shipping, watch: Callable[[], str] = str) -> None:
        bound = bound_to(serving.plane)
        serving.follow(lambda plane: setattr(bound, "plane", plane))
        config = uvicorn.Config(
            create_app(lambda: serving.plane, Admin(serving, shipping.state)),
            http=bound,
            loop="none",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            backlog=BACKLOG,
        )
        super().__init__(config)
        self.serving = serving
        self.stopped_full = ""
        """Why the journal is full, where that has stopped the server."""
        self._journal = shipping.journal
        self._watch, self._watched = watch, serving.plane.config.rates_version.partition(" ")[0]

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop gracefully at the first signal, at once at the second."""
        del frame
        if self.should_exit and sig in (signal.SIGINT, signal.SIGTERM):
            self.force_exit = True
        self.should_exit = True
        self.serving.plane.draining = True

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second."""
        plane = self.serving.plane
        if self._journal.full and plane.config.journal_on_full is OnFull.STOP and not self.should_exit:
            logger.error(
                "gateway: the journal is full (%s); draining, as gateway.journal_on_full says", self._journal.full
            )
            self.stopped_full = self._journal.full
            self.should_exit = plane.draining = True
        if counter % EXPIRE_EVERY_TICKS == 0:
            now = clock.monotonic()
            for connection in tuple(self.server_state.connections):
                if isinstance(connection, GatewayConnection):
                    connection.expire(now)
        if counter % WATCH_EVERY_TICKS == 0 and (seen := self._watch()) != self._watched:
            self._watched = seen
            plane.tasks.spawn(_reload(self.serving))
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain, then end what is left."""
        plane = self.serving.plane
        plane.drain()
        self.config.timeout_graceful_shutdown = plane.config.drain_s  # type: ignore[assignment] # It is only waited for.
        await super().shutdown(sockets)
        plane.stop()


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
