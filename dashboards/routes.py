"""The routes beside the pages: health, figures for Prometheus, and the CSVs.

A CSV route takes the filters of its page as its query string, so `curl` gets what the screen shows.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime

from fastapi import FastAPI, Request, Response

from dashboards import access, filters, metrics, questions
from dashboards.books import Books, Unanswered
from dashboards.filters import Filters
from dashboards.pages import reconciliation_tables, spend_tables
from dashboards.pages.reconciliation_scope import Scope, narrow
from dashboards.tables import Table, csv_bytes

Asked = Callable[[Books, Filters, datetime], Awaitable[Table]]


async def _spend_by_day(books: Books, chosen: Filters, now: datetime) -> Table:
    return spend_tables.by_day((await questions.spend(books, chosen, now)).by_day_depth)


async def _spend_by_alias_tenant(books: Books, chosen: Filters, now: datetime) -> Table:
    answer = await questions.spend(books, chosen, now)
    return spend_tables.by_alias_tenant(answer.by_alias_tenant)


async def _scope(books: Books, chosen: Filters, now: datetime) -> Scope:
    return narrow((await questions.month(books, chosen, now)).reconciliation, chosen)


async def _accounts(books: Books, chosen: Filters, now: datetime) -> Table:
    return reconciliation_tables.accounts(await _scope(books, chosen, now))


async def _lines(books: Books, chosen: Filters, now: datetime) -> Table:
    return reconciliation_tables.lines(await _scope(books, chosen, now))


async def _exceptions(books: Books, chosen: Filters, now: datetime) -> Table:
    return reconciliation_tables.exceptions(await _scope(books, chosen, now))


CSVS: dict[str, Asked] = {
    "spend-by-day": _spend_by_day,
    "spend-by-alias-tenant": _spend_by_alias_tenant,
    "reconciliation-accounts": _accounts,
    "reconciliation-lines": _lines,
    "reconciliation-exceptions": _exceptions,
}


def register(server: FastAPI, books: Books, clock: Callable[[], datetime]) -> None:
    """Add the routes to this server."""

    @server.get("/healthz")
    async def healthz() -> Response:
        return _text(200, "ok")

    @server.get("/readyz")
    async def readyz() -> Response:
        try:
            await books.ready()
        except Unanswered as error:
            return _text(503, f"the store does not answer: {error}")
        return _text(200, "ok")

    @server.get("/metrics")
    async def exposition() -> Response:
        return Response(metrics.exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @server.get("/csv/{name}")
    async def download(name: str, request: Request) -> Response:
        if name not in CSVS:
            return _text(404, f"There is no such CSV. There are: {', '.join(CSVS)}.")
        now = clock()
        chosen = filters.parse(request.url.query, now)
        if chosen.faults:
            return _text(400, " ".join(chosen.faults))
        try:
            table = await CSVS[name](books, chosen, now)
        except access.NoAccess as error:
            return _text(403, str(error))
        except Unanswered as error:
            return _text(503, f"the store does not answer: {error}")
        file = f"{table.name}_{_days(chosen)}.csv"
        return Response(
            csv_bytes(table),
            media_type="text/csv; charset=utf-8",
            headers={"content-disposition": f'attachment; filename="{file}"', "cache-control": "no-store"},
        )


def _days(chosen: Filters) -> str:
    period = chosen.period
    return f"{period.since:%Y-%m}" if period.is_month else f"{period.since}_{period.last}"


def _text(status: int, text: str) -> Response:
    return Response(f"{text}\n", status_code=status, media_type="text/plain; charset=utf-8")
