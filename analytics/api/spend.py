"""GET /spend: what was spent, by UTC day, tenant, alias and fallback depth; a tenant's viewer gets its own rows alone.

The tenants that an actor may see are put into the query itself. Days are read one after the other, so neither a page
nor a stream holds more than a day's rows.
"""

from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from typing import Annotated, Any

from fastapi import APIRouter, Query

from analytics import spend
from analytics.accounts import roles
from analytics.api.errors import Wrong
from analytics.api.finance import Acting, Finance, Installation
from analytics.api.paging import Cursor, Format, Limit, decode, page, stream
from analytics.rfc4180 import Cell
from analytics.windows import Window, day_window
from gateway.domain.money import plain

router = APIRouter(tags=["spend"])
KEYS = ("day", "tenant", "alias", "fallback_depth")
COLUMNS = (*KEYS, *(str(name) for name in spend.MEASURES), "is_floor")
DAYS_MAX = 400
Names = Annotated[list[str], Query(description="May be repeated; none = all.")]


@router.get("/spend", summary="Spend by day, tenant, alias and fallback depth, in that order")
def rows_of_spend(
    actor: Acting,
    installation: Installation,
    since: Annotated[date, Query(description="First UTC day.")],
    until: Annotated[date, Query(description="UTC day after the last.")],
    tenant: Names = [],  # noqa: B006 - FastAPI copies it
    alias: Names = [],  # noqa: B006
    provider: Names = [],  # noqa: B006
    account: Names = [],  # noqa: B006
    limit: Limit = 200,
    cursor: Cursor = "",
    form: Format = "json",
) -> Any:
    """Money is text, exact; `is_floor` says that something that may be billed is not in `cost_usd`."""
    if not since < until <= since + timedelta(days=DAYS_MAX):
        raise Wrong("invalid_request", f"until is after since, by at most {DAYS_MAX} days", "until")
    seen = roles.tenants_seen(actor.name, actor.tenants, tenant)
    filters = spend.Filters(tenants=seen, aliases=alias, providers=provider, accounts=account)
    if form == "csv":
        return stream(f"spend_{since}_{until}", COLUMNS, _cells(installation, since, until, filters))
    key = decode(cursor, len(KEYS))
    return page(_rows(installation, since, until, filters, key), KEYS, limit)


def _rows(
    installation: Finance, since: date, until: date, filters: spend.Filters, key: tuple[str, ...] | None
) -> Iterator[dict[str, Any]]:
    try:
        start = max(since, date.fromisoformat(key[0])) if key else since
        last = (key[0], key[1], key[2], int(key[3])) if key else None
    except ValueError as error:
        raise Wrong("cursor_unknown", "the cursor is of another list; begin without one", "cursor") from error
    for cells in _cells(installation, start, until, filters):
        row = {n: plain(v) if isinstance(v, Decimal) else v for n, v in zip(COLUMNS, cells, strict=True)}
        row["day"] = str(row["day"])
        if last is None or tuple(row[name] for name in KEYS) > last:
            yield row


def _cells(installation: Finance, since: date, until: date, filters: spend.Filters) -> Iterator[tuple[Cell, ...]]:
    whole = Window(day_window(since).since, day_window(until).since)
    with installation.client() as client:
        for day in spend.by_day_depth(client, whole, filters)["day"].unique().sort():
            frame = spend.breakdown(client, day_window(day), filters).sort("tenant", "alias", "fallback_depth")
            yield from frame.select(COLUMNS).iter_rows()
