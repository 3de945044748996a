"""The store as a process: bind, open the engine, warm it up, serve, and close cleanly on SIGTERM or SIGINT.

What stops it from starting is said in one line on stderr, with exit code 1. The port is bound before the engine is
opened, so a taken port is known at once; /healthz answers while the engine opens, /readyz when it is warm.
"""

import asyncio
import errno
import fcntl
import logging
import os
import shutil
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import IO, NoReturn

import uvicorn

from sql import credentials
from sql.embedded.app import App
from sql.embedded.engine import Engine, EngineError
from sql.embedded.errors import StoreError

log = logging.getLogger("tollway.store")

DISK_RESERVE = 64 * 2**20
"""Bytes that must be free before the engine is opened: it writes as soon as it starts."""
DRAIN_SECONDS = 20
"""How long a stop waits for the statements under way."""


def run(data_dir: Path, host: str, port: int) -> None:
    """Serve until told to stop. Raises SystemExit(1), with one line on stderr, when it cannot start."""
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    os.environ["TZ"] = "UTC"
    time.tzset()
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        # uvicorn takes over while it serves, and raises the signal once more at the end: the engine closes first.
        signal.signal(number, lambda *_: stopping.set())
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(data_dir).free
        if free < DISK_RESERVE:
            _fail(f"the disk of {data_dir} is full: {free // 2**20} MiB free, {DISK_RESERVE // 2**20} MiB needed")
        app = App(credentials.ensure(data_dir))
        held = _lock(data_dir / "store")
        asyncio.run(_serve(app, data_dir.resolve() / "store", _bind(host, port), stopping))
        held.close()
    except (credentials.CredentialsError, EngineError) as fault:
        _fail(str(fault))
    except StoreError as fault:
        _fail(f"the engine failed while starting: {fault.message}")
    except OSError as fault:
        _fail(f"{fault.filename or data_dir}: {fault.strerror}")


async def _serve(app: App, folder: Path, listening: socket.socket, stopping: threading.Event) -> None:
    config = uvicorn.Config(
        app, log_config=None, access_log=False, lifespan="off", http="httptools", loop="none",
        timeout_keep_alive=75, timeout_graceful_shutdown=DRAIN_SECONDS, server_header=False, date_header=False,
    )  # fmt: skip
    server = uvicorn.Server(config)
    serving = asyncio.get_running_loop().create_task(server.serve(sockets=[listening]))
    try:
        app.open(await asyncio.to_thread(_open, folder))
        host, port = listening.getsockname()[:2]
        log.info("the store answers on http://%s:%d/", host, port)
        server.should_exit = server.should_exit or stopping.is_set()
        await serving
    finally:
        server.should_exit = True
        await serving
        await asyncio.to_thread(app.close)


def _open(folder: Path) -> Engine:
    """The engine keeps the schemas of inserts in `__cache__` under the working directory: it gets one of its own."""
    work = folder / "work"
    work.mkdir(parents=True, exist_ok=True)
    os.chdir(work)
    engine = Engine(folder)
    engine.warm_up()
    return engine


def _lock(folder: Path) -> IO[str]:
    """Held as long as the file is open; the engine has a lock too, but says so in a way nobody can read."""
    folder.mkdir(parents=True, exist_ok=True)
    held = (folder / "lock").open("a+")
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        held.seek(0)
        _fail(f"{folder} is in use by the store process {held.read().strip()}: stop it first")
    held.truncate(0)
    held.write(f"{os.getpid()}\n")
    held.flush()
    return held


def _bind(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(1024)
    except OSError as fault:
        if fault.errno == errno.EADDRINUSE:
            _fail(f"{host}:{port} is taken by another process: stop it, or give the store another address")
        _fail(f"cannot listen on {host}:{port}: {fault.strerror or fault}")
    return listening


def _fail(why: str) -> NoReturn:
    print(f"store: {why}", file=sys.stderr)  # noqa: T201 - the operator's one line
    raise SystemExit(1)
