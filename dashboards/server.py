"""The dashboards' process: one uvicorn on loopback, with a client of the store made on its own loop.

/spend /reconciliation   the pages          /csv/...             what they show, as CSV, with the same filters
/healthz                 the process runs   /readyz /metrics     the store answers; Prometheus
"""

from __future__ import annotations

from clickhouse_connect.driver.asyncclient import AsyncClient

from dashboards.access import require_loopback

STORE_USER = "reader"


def run(*, host: str, port: int, store_url: str, store_password: str, store_user: str = STORE_USER) -> None:
    """Serve until SIGTERM or SIGINT. The store need not be up: pages say so until it is.

    Raises access.NotLoopback for a host that others could reach, SystemExit when the port is taken.
    """
    require_loopback(host)
    import uvicorn

    from dashboards.app import create_app
    from dashboards.books import StoreBooks
    from gateway.domain import clock
    from sql.clients import async_reader

    async def connect() -> AsyncClient:
        return await async_reader(store_url, store_password, user=store_user)

    app = create_app(StoreBooks(connect), clock.utc_now)
    uvicorn.run(
        app,
        host=host,
        port=port,
        log_level="warning",
        access_log=False,
        lifespan="on",
        ws="none",
        server_header=False,
        timeout_graceful_shutdown=3,
    )
