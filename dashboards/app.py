"""The app: the frame, its pages, and the routes beside them, on one FastAPI server.

Dash's own habits that would surprise an operator are closed here and in `front`: its catch-all (an unknown path is a
404), its hooks that a deep link skips, its websocket, FastAPI's documentation pages from a CDN, the validation layout
in its index. A fault in a callback is logged, counted and shown, never swallowed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from dash import Dash, set_props
from dash.backends._fastapi import FastAPIDashServer
from fastapi import FastAPI
from starlette.types import ASGIApp

from dashboards import metrics, routes
from dashboards.books import Books
from dashboards.components import shell, states
from dashboards.front import Front
from dashboards.pages import reconciliation, spend

FINANCE = shell.NavGroup("Finance", (spend, reconciliation))
GROUPS = (FINANCE,)
PAGES: dict[str, shell.Page] = {page.PATH: page for group in GROUPS for page in group.pages}


LOG = logging.getLogger("tollway.dashboards")


class Backend(FastAPIDashServer):
    """Dash's FastAPI backend without what is not used: no websocket, no documentation pages, no catch-all."""

    websocket_capability = False

    @staticmethod
    def create_app(name: str = "dashboards", config: dict[str, Any] | None = None) -> FastAPI:
        """The server that Dash and our own routes share."""
        return FastAPI(title="Tollway dashboards", docs_url=None, redoc_url=None, openapi_url=None)

    def _setup_catchall(self) -> None:
        """Nothing: `Front` knows which paths exist."""


def create_dash(books: Books, clock: Callable[[], datetime]) -> Dash:
    """The Dash app with every page wired; its `server` is the FastAPI app."""
    app = Dash(
        "dashboards",
        backend=Backend,
        assets_folder=str(Path(__file__).parent / "assets"),
        title="Tollway",
        update_title="",
        index_string=shell.INDEX,
        meta_tags=[
            {"name": "viewport", "content": "width=device-width, initial-scale=1"},
            {"name": "description", "content": "What LLM traffic cost, and whether the invoices agree."},
        ],
        serve_locally=True,
        suppress_callback_exceptions=True,
        add_log_handler=False,
        enable_mcp=False,
        on_error=_fault,
    )
    app.layout = shell.layout(GROUPS)
    shell.wire(app, PAGES, clock)
    for page in PAGES.values():
        page.wire(app, books, clock)
    return app


def create_app(books: Books, clock: Callable[[], datetime], api: ASGIApp | None = None) -> ASGIApp:
    """Everything that answers on the dashboards' port; `api` below /api/."""
    server = create_dash(books, clock).server
    routes.register(server, books, clock)
    return Front(server, PAGES, home=spend.PATH, api=api)


def _fault(error: Exception) -> None:
    """An error that no page expected: ours. The page keeps what it shows, under a notice that it may be old."""
    LOG.error("a callback failed", exc_info=error)
    metrics.FAILURES.labels(page="any", kind="fault").inc()
    set_props("fault", {"children": states.fault(error)})
