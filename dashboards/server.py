"""The dashboards' process: one uvicorn on loopback, with a client of the store made on its own loop.

/spend /reconciliation   the pages          /csv/...             what they show, as CSV, with the same filters
/api/v1/...              the finance API, given by whoever composes the process
/healthz                 the process runs   /readyz /metrics     the store answers; Prometheus
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from analytics.reconciliation.policy import FOCUS, Policy
from dashboards.access import require_loopback

if TYPE_CHECKING:
    from pathlib import Path

    from clickhouse_connect.driver.asyncclient import AsyncClient
    from starlette.types import ASGIApp

STORE_USER = "reader"


def run(
    *,
    host: str,
    port: int,
    store_url: str,
    store_password: str,
    store_user: str = STORE_USER,
    store_ca: Path | None = None,
    api: ASGIApp | None = None,
    policy: Policy = FOCUS,
) -> None:
    """Serve until SIGTERM or SIGINT. The store need not be up: pages say so until it is.

    Raises access.NotLoopback for a host that others could reach; a port that is taken ends in SystemExit.
    """
    require_loopback(host)
    import uvloop

    from sql.clients import async_reader

    async def connect() -> AsyncClient:
        return await async_reader(store_url, store_password, user=store_user, ca=store_ca)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(host, port, connect, api, policy))


async def _serve(
    host: str, port: int, connect: Callable[[], Awaitable[AsyncClient]], api: ASGIApp | None, policy: Policy
) -> None:
    import uvicorn

    from dashboards.app import create_app
    from dashboards.books import StoreBooks
    from gateway.domain import clock

    class Server(uvicorn.Server):
        """Stops on a signal and returns. uvicorn's own raises the signal again, before anything can be closed."""

        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            loop = asyncio.get_running_loop()
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, self.handle_exit, number, None)
            yield

    books = StoreBooks(connect, policy)
    options: dict[str, Any] = {
        "log_level": "warning",
        "access_log": False,
        "lifespan": "on",
        "ws": "none",
        "server_header": False,
    }
    app = create_app(books, clock.utc_now, api)
    try:
        await Server(uvicorn.Config(app, host, port, timeout_graceful_shutdown=3, **options)).serve()
    finally:
        await books.close()
