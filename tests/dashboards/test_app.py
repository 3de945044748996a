"""The app over HTTP, without a browser: its doors, its routes, its pages' answers, nothing fetched from afar."""

import csv
import io
import json
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from analytics.reconciliation.variance import total
from dashboards import access, app, books
from dashboards.components import states
from dashboards.routes import CSVS
from tests.dashboards.books import NOW, MemoryBooks, november

BASE = "http://127.0.0.1:8050"


@pytest.fixture
def memory() -> MemoryBooks:
    return MemoryBooks(reconciliation=november())


@pytest.fixture
async def http(memory: MemoryBooks) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app.create_app(memory, lambda: NOW))
    async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
        yield client


async def drawn(http: httpx.AsyncClient, page: str, search: str) -> dict[str, Any]:
    """What the page's own callback answers for an address: {component id: {property: value}}."""
    dependencies = (await http.get("/_dash-dependencies")).json()
    callback = next(each for each in dependencies if f"{page}-kpis.children" in each["output"])
    names = callback["output"].strip(".").split("...")
    outputs = [dict(zip(("id", "property"), name.rsplit(".", 1), strict=True)) for name in names]
    body = {
        "output": callback["output"],
        "outputs": outputs,
        "inputs": [
            {"id": "url", "property": "search", "value": search},
            {"id": f"{page}-refresh", "property": "n_clicks", "value": None},
        ],
        "changedPropIds": ["url.search"],
        "state": [],
    }
    answer = await http.post("/_dash-update-component", json=body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["response"])


def exact(answer: Any, element_id: str) -> str:
    """The exact decimal of a headline figure somewhere in an answer."""
    if isinstance(answer, dict):
        if answer.get("id") == element_id and "data-exact" in answer:
            return str(answer["data-exact"])
        answer = list(answer.values())
    if isinstance(answer, list):
        return next((found for each in answer if (found := exact(each, element_id))), "")
    return ""


def rows(response: httpx.Response) -> list[dict[str, str]]:
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    return list(csv.DictReader(io.StringIO(response.text, newline="")))


async def test_both_pages_are_served_at_their_own_addresses(http: httpx.AsyncClient) -> None:
    for path in ("/spend", "/reconciliation"):
        index = await http.get(f"{path}?month=2026-10")
        assert index.status_code == 200
        assert '<html lang="en">' in index.text
        assert "/assets/tollway.css" in index.text, "a deep link as the first request has its assets"


async def test_the_root_leads_to_spend_with_its_filters(http: httpx.AsyncClient) -> None:
    assert (await http.get("/?tenant=acme")).headers["location"] == "/spend?tenant=acme"


@pytest.mark.parametrize(
    "path",
    ["/v1/nope", "/docs", "/openapi.json", "/spend/x", "/_dash-ws-callback", "/assets/../access.py", "/_dash-nope"],
)
async def test_what_does_not_exist_is_not_found(http: httpx.AsyncClient, path: str) -> None:
    assert (await http.get(path)).status_code == 404


async def test_nothing_in_the_index_comes_from_another_origin(http: httpx.AsyncClient) -> None:
    index = (await http.get("/spend")).text
    assert re.findall(r"(?:src|href)=\"(?:https?:)?//[^\"]*", index) == []
    assert "validation_layout" not in index


async def test_every_script_and_style_of_the_index_is_served_here(http: httpx.AsyncClient) -> None:
    index = (await http.get("/spend")).text
    wanted = re.findall(r"(?:src|href)=\"(/[^\"]+)\"", index)
    assert len(wanted) > 10
    for address in wanted:
        assert (await http.get(address.replace("&amp;", "&"))).status_code == 200, address


async def test_another_host_name_is_turned_away(http: httpx.AsyncClient) -> None:
    answer = await http.get("/spend", headers={"host": "rebound.example.com"})
    assert answer.status_code == 421
    assert "localhost" in answer.text


async def test_answers_carry_the_headers_that_keep_other_sites_out(http: httpx.AsyncClient) -> None:
    for path in ("/spend", "/csv/spend-by-day", "/nope"):
        headers = (await http.get(path)).headers
        assert (headers["x-frame-options"], headers["x-content-type-options"]) == ("DENY", "nosniff")


async def test_health_is_the_process_and_readiness_is_the_store(http: httpx.AsyncClient, memory: MemoryBooks) -> None:
    assert (await http.get("/readyz")).status_code == 200
    memory.error = books.StoreDown("connection refused")
    assert (await http.get("/healthz")).status_code == 200
    answer = await http.get("/readyz")
    assert (answer.status_code, answer.text) == (503, "the store does not answer: connection refused\n")


async def test_answers_and_failures_are_counted(http: httpx.AsyncClient, memory: MemoryBooks) -> None:
    await drawn(http, "spend", "")
    memory.error = books.StoreDown("connection refused")
    await drawn(http, "spend", "")
    exposed = (await http.get("/metrics")).text
    assert re.search(r'tollway_dashboards_answer_seconds_count\{page="spend"\} [2-9]', exposed)
    assert re.search(r'tollway_dashboards_failures_total\{kind="store_down",page="spend"\} [1-9]', exposed)


async def test_the_headline_the_table_and_the_csv_are_one_number(http: httpx.AsyncClient, memory: MemoryBooks) -> None:
    search = "?month=2026-11&tenant=acme&tenant=globex&alias=deep"
    answer = await drawn(http, "spend", search)
    wanted = total(
        row["cost_usd"]
        for row in memory.rows
        if row["tenant"] in ("acme", "globex") and row["alias"] == "deep" and row["day"].month == 11
    )
    assert wanted > 0
    assert Decimal(exact(answer, "spend-kpi-total")) == wanted
    for csv_name in ("spend-by-day", "spend-by-alias-tenant"):
        assert total(Decimal(row["cost_usd"]) for row in rows(await http.get(f"/csv/{csv_name}{search}"))) == wanted


async def test_a_csv_has_exactly_the_rows_and_columns_of_the_grid(http: httpx.AsyncClient) -> None:
    for page, csv_name, search in (
        ("spend", "spend-by-alias-tenant", "?month=2026-11"),
        ("recon", "reconciliation-lines", "?month=2026-11&provider=azure"),
    ):
        answer = await drawn(http, page, search)
        grid = answer[f"{page}-grid"]
        keys = [column["field"] for column in grid["columnDefs"]]
        shown = [{key: row[key] for key in keys} for row in grid["rowData"]]
        assert shown
        assert rows(await http.get(f"/csv/{csv_name}{search}")) == shown


async def test_the_links_to_the_csvs_carry_the_filters(http: httpx.AsyncClient) -> None:
    answer = await drawn(http, "spend", "?from=2026-11-01&to=2026-11-03&tenant=acme")
    assert answer["spend-grid-csv"]["href"] == "/csv/spend-by-alias-tenant?from=2026-11-01&to=2026-11-03&tenant=acme"
    assert answer["spend-before"]["href"] == "/spend?from=2026-10-29&to=2026-10-31&tenant=acme"
    assert answer["spend-reset"]["href"] == "/spend?from=2026-11-01&to=2026-11-03"


async def test_an_account_chosen_on_the_other_page_is_said_where_it_has_no_widget(http: httpx.AsyncClient) -> None:
    notices = json.dumps((await drawn(http, "spend", "?month=2026-11&tenant=acme&account=org-main"))["spend-notices"])
    assert "Narrowed to account org-main" in notices
    assert '"href": "/spend?month=2026-11&tenant=acme"' in notices


@pytest.mark.parametrize("name", CSVS)
async def test_a_csv_route_can_be_curled_and_names_its_file(http: httpx.AsyncClient, name: str) -> None:
    answer = await http.get(f"/csv/{name}?month=2026-11")
    assert rows(answer)
    assert re.fullmatch(r'attachment; filename="\w+_2026-11\.csv"', answer.headers["content-disposition"])


async def test_a_csv_route_refuses_what_a_page_would_only_warn_of(http: httpx.AsyncClient) -> None:
    answer = await http.get("/csv/spend-by-day?month=2026-13")
    assert (answer.status_code, "month=2026-13" in answer.text) == (400, True)
    assert (await http.get("/csv/nope")).status_code == 404


@pytest.mark.parametrize(
    ("error", "status", "state"),
    [
        (books.StoreDown("connection refused"), 503, "state-store-down"),
        (books.StoreRefused("Code: 60 UNKNOWN_TABLE"), 503, "state-store-refused"),
        (books.BooksBroken("the parts sum to 1"), 503, "state-books-broken"),
        (books.NotBegun("2027-01 has not begun"), 503, "state-not-begun"),
        (access.NoAccess("viewer may not see acme."), 403, "state-no-access"),
    ],
)
async def test_a_question_without_an_answer_shows_no_figures_and_says_why(
    http: httpx.AsyncClient, memory: MemoryBooks, error: Exception, status: int, state: str
) -> None:
    memory.error = error
    for page in ("spend", "recon"):
        answer = await drawn(http, page, "?month=2026-11")
        assert state in json.dumps(answer[f"{page}-notices"])
        assert answer[f"{page}-figures"]["hidden"] is True
        assert "data-exact" not in json.dumps(answer)
    assert (await http.get("/csv/spend-by-day")).status_code == status


async def test_an_empty_store_an_empty_month_and_an_empty_choice_are_three_states(
    http: httpx.AsyncClient, memory: MemoryBooks
) -> None:
    assert "state-empty-filter" in json.dumps(
        (await drawn(http, "spend", "?month=2026-11&tenant=acme&provider=nobody"))["spend-notices"]
    )
    month = json.dumps((await drawn(http, "spend", "?month=2025-01"))["spend-notices"])
    assert "state-empty-period" in month
    assert "/spend?month=2026-11" in month
    memory.rows, memory.newest_at = [], None
    assert "state-empty-store" in json.dumps((await drawn(http, "spend", ""))["spend-notices"])


async def test_old_data_is_marked_as_old(http: httpx.AsyncClient, memory: MemoryBooks) -> None:
    assert '"mark"' in json.dumps((await drawn(http, "spend", ""))["spend-mark"])
    memory.newest_at = NOW - states.STALE_AFTER - timedelta(seconds=1)
    mark = json.dumps((await drawn(http, "spend", ""))["spend-mark"])
    assert "mark stale" in mark
    assert "tollway doctor" in mark


async def test_books_that_never_settle_are_shown_and_said_to_be_moving(
    http: httpx.AsyncClient, memory: MemoryBooks
) -> None:
    reads = iter(range(1000))
    by_day = memory.by_day_depth

    async def moving(*asked: Any) -> Any:
        next(reads)
        return (await by_day(*asked)).head(3)

    vars(memory)["by_day_depth"] = moving
    answer = await drawn(http, "spend", "")
    assert "Traffic is landing" in json.dumps(answer["spend-notices"])
    assert next(reads) == 4
