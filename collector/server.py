"""The collector as a process: what lies on disk is read, then it listens, and it ends on SIGTERM or SIGINT.

`run` blocks. The order matters: no request is taken before the folder is locked and the ledger and spool are read; at
the end no more are taken, those under way are answered, then the spool is closed. What did not land by then lands at
the next start. Nothing here waits for the store.
"""

import asyncio
import contextlib
import errno
import fcntl
import logging
import os
import signal
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn
import uvloop
from prometheus_client import CollectorRegistry

from collector.app import App
from collector.books import Account, Books
from collector.cluster import store_of
from collector.commit import Committer
from collector.horizon import Horizon
from collector.intake import Intake
from collector.lander import Clocks, Lander
from collector.ledger import Ledger
from collector.losses import Lost
from collector.metrics import BooksOnShow, LandingMetrics, ReceiveMetrics
from collector.otlp import split_keys
from collector.parking import Parking
from collector.planning import SegmentPlan
from collector.receiver import Receiver
from collector.recent import RecentBodies
from collector.records import Kind
from collector.sealed import Segment, cut_torn_tail, list_segments, read_segment, segment_number
from collector.settings import CannotStart, CollectorSettings, Tls
from collector.sharding import ONE_SERVER
from collector.spool import Spool
from collector.tokens import Doorkeeper
from gateway.domain import clock
from gateway.domain.segments import sync_folder

if TYPE_CHECKING:
    from collector.otlp_grpc import GrpcServer

log = logging.getLogger("tollway.collector")

LANDER_STOP_S = 5.0
REQUESTS_STOP_S = 5


def run(settings: CollectorSettings) -> None:
    """Serve until SIGTERM or SIGINT. Raises CannotStart, with one line for the operator."""
    with contextlib.ExitStack() as stack:
        try:
            settings.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            stack.enter_context(_locked(settings.folder))
            listening = stack.enter_context(_listen(settings.host, settings.port))
            parts = _open(settings)
        except OSError as error:
            raise CannotStart(f"{error.filename or settings.folder}: {error.strerror or error}") from error
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(settings, parts, listening))
        parts.lander.stop(LANDER_STOP_S)
        if not parts.lander.alive:
            parts.ledger.close()


@dataclass(frozen=True, slots=True)
class _Parts:
    app: App
    intake: Intake
    committer: Committer
    lander: Lander
    ledger: Ledger


@dataclass(slots=True)
class _Found:
    """What the disk tells at the start."""

    waiting: list[Segment]
    held: list[Segment]
    accounts: dict[str, Account]


async def _serve(settings: CollectorSettings, parts: _Parts, listening: socket.socket) -> None:
    leave = asyncio.Event()
    server = _http_server(parts.app, settings.tls)
    grpc = _grpc_server(settings, parts.intake)
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, leave.set)
    parts.committer.start()
    parts.lander.start()
    host, port = listening.getsockname()[:2]
    log.info("the collector takes OTLP on %s://%s:%d/v1/traces", "https" if settings.tls else "http", host, port)
    async with asyncio.TaskGroup() as group:
        group.create_task(_leave(server, leave))
        if grpc:
            log.info("the collector takes OTLP over gRPC on %s:%d", settings.grpc_host, grpc.port)
            group.create_task(grpc.serve(leave))
        await server.serve(sockets=[listening])
        leave.set()
    await asyncio.to_thread(parts.committer.stop)


async def _leave(server: "_Server", leave: asyncio.Event) -> None:
    await leave.wait()
    server.should_exit = True


def _http_server(app: App, tls: Tls | None) -> "_Server":
    config = uvicorn.Config(
        app,
        http="httptools",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=REQUESTS_STOP_S,
    )
    config.load()
    config.ssl = tls.context() if tls else None
    return _Server(config)


def _grpc_server(settings: CollectorSettings, intake: Intake) -> "GrpcServer | None":
    if settings.grpc_port is None:
        return None
    # A third of a second and 20 MB, which a collector without gRPC need not spend.
    from collector.otlp_grpc import GrpcServer

    return GrpcServer(intake, host=settings.grpc_host, port=settings.grpc_port, tls=settings.tls)


class _Server(uvicorn.Server):
    """uvicorn, with the signals left to us: it would raise them again before the spool is closed."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _open(settings: CollectorSettings) -> _Parts:
    limits = settings.limits
    clocks = Clocks(monotonic=clock.monotonic, now_ms=_now_ms)
    horizon = Horizon(horizon_s=limits.horizon_s, keys_max=limits.horizon_keys_max)
    recent = RecentBodies(horizon_s=limits.horizon_s, bodies_max=limits.horizon_bodies_max)
    spool_folder = settings.folder / "spool"
    ledger = Ledger(
        settings.folder / "ledger",
        lambda plan: _remember(plan, horizon, recent),
        now_ms=_now_ms(),
        on_disk={segment_number(path) for path in list_segments(spool_folder)},
        forget=lambda lost: _forget(lost, horizon, recent),
    )
    horizon.forget(_now_ms())
    found = _read_spool(spool_folder, ledger, recent)
    spool = Spool(spool_folder, limits, waiting=found.waiting, held=found.held)
    books = Books(found.accounts)
    registry = CollectorRegistry()
    registry.register(BooksOnShow(books.accounts, spool))
    committer = Committer(spool, books, limits, monotonic=clocks.monotonic, now_ms=clocks.now_ms)
    lander = Lander(
        spool=spool,
        ledger=ledger,
        horizon=horizon,
        parking=Parking(settings.folder / "parked"),
        books=books,
        store=store_of(settings.connect, settings.store_url, settings.cluster),
        metrics=LandingMetrics(registry),
        limits=limits,
        spool_id=_identity(settings.folder),
        clocks=clocks,
        shards=tuple(settings.cluster.shards) if settings.cluster else (ONE_SERVER,),
        held=found.held,
        forget=recent.forget,
    )
    metrics = ReceiveMetrics(registry)
    intake = Intake(
        doorkeeper=Doorkeeper(settings.senders),
        receiver=Receiver(spool=spool, committer=committer, recent=recent, limits=limits, now_ms=clocks.now_ms),
        limits=limits,
        metrics=metrics,
        monotonic=clocks.monotonic,
    )
    app = App(
        intake=intake,
        books=books,
        registry=registry,
        metrics=metrics,
        ready=lambda: None if committer.alive and lander.alive else "a thread of the collector has ended",
    )
    return _Parts(app, intake, committer, lander, ledger)


def _remember(plan: SegmentPlan, horizon: Horizon, recent: RecentBodies) -> None:
    for sender, keys in plan.keys.items():
        horizon.add(sender, split_keys(keys), plan.received_ms)
    for body in plan.bodies:
        recent.remember((body.sender, body.digest), spans=body.spans, received_ms=plan.received_ms)


def _forget(lost: Lost, horizon: Horizon, recent: RecentBodies) -> None:
    horizon.unlearn(lost.sender, lost.keys)
    for digest in lost.digests:
        recent.forget(lost.sender, digest)


def _read_spool(folder: Path, ledger: Ledger, recent: RecentBodies) -> _Found:
    """The segments left behind: those with a plan are held, the others wait, and their spans open the books."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = _Found([], [], dict(ledger.state.accounts))
    for path in list_segments(folder):
        number = segment_number(path)
        size = cut_torn_tail(path)
        if number in ledger.state.planned:
            found.held.append(Segment(number, path, size))
            continue
        content = read_segment(path)
        spans = content.spans()
        found.waiting.append(Segment(number, path, size, spans))
        for sender, count in spans.items():
            found.accounts[sender] = found.accounts.get(sender, Account()).moved(received=count, pending=count)
        for record in content.records.values():
            if record.kind is Kind.BODY:
                key = (record.sender, record.digest)
                recent.remember(key, spans=record.spans, received_ms=record.received_ms)
    return found


def _identity(folder: Path) -> str:
    """A name of this folder that no other has: batch ids begin with it, whatever becomes of the folder's content."""
    path = folder / "identity"
    if not path.exists():
        draft = folder / "identity.draft"
        draft.write_text(os.urandom(4).hex(), "utf-8")
        draft.rename(path)
        sync_folder(folder)
    return path.read_text("utf-8").strip()


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    fd = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise CannotStart(
            f"another collector works in {folder}: stop it, or give this one a folder of its own"
        ) from None
    try:
        yield
    finally:
        os.close(fd)


@contextlib.contextmanager
def _listen(host: str, port: int) -> Iterator[socket.socket]:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise CannotStart(f"{host}:{port} is taken: stop what listens there, or set collector.otlp_http") from None
        raise CannotStart(f"cannot listen on {host}:{port}: {error.strerror or error}") from None
    with listening:
        yield listening


def _now_ms() -> int:
    return clock.unix_nanos() // 1_000_000
