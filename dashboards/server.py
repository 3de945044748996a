"""The dashboards' process: one uvicorn on loopback, with a client of the store made on its own loop.

/spend /reconciliation   the pages          /csv/...             what they show, as CSV, with the same filters
/healthz                 the process runs   /readyz /metrics     the store answers; Prometheus
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from dashboards.access import require_loopback

if TYPE_CHECKING:
    from clickhouse_connect.driver.asyncclient import AsyncClient

STORE_USER = "reader"


def run(*, host: str, port: int, store_url: str, store_password: str, store_user: str = STORE_USER) -> None:
    """Serve until SIGTERM or SIGINT. The store need not be up: pages say so until it is.

    Raises access.NotLoopback for a host that others could reach; a port that is taken ends in SystemExit.
    """
    require_loopback(host)
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(host, port, store_url, store_password, store_user))


async def _serve(host: str, port: int, store_url: str, store_password: str, store_user: str) -> None:
    import uvicorn

    from dashboards.app import create_app
    from dashboards.books import StoreBooks
    from gateway.domain import clock
    from sql.clients import async_reader

    async def connect() -> AsyncClient:
        return await async_reader(store_url, store_password, user=store_user)

    books = StoreBooks(connect)
    config = uvicorn.Config(
        create_app(books, clock.utc_now), host=host, port=port, log_level="warning", access_log=False, lifespan="on",
        ws="none", server_header=False, timeout_graceful_shutdown=3,
    )  # fmt: skip
    try:
        await uvicorn.Server(config).serve()
    finally:
        await books.close()
