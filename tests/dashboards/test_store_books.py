"""StoreBooks on a real store: SQL's own numbers, the principal's tenants, and errors in our words."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime

import pytest
from clickhouse_connect.driver.asyncclient import AsyncClient

from dashboards import access, filters, questions
from dashboards.access import NoAccess, Principal
from dashboards.books import NotBegun, StoreBooks, StoreDown, StoreRefused
from dashboards.filters import Filters
from sql.clients import async_reader
from tests.conftest import OwnStore, RunningStore
from tests.dashboards import seeded

Open = Callable[..., StoreBooks]
NOW = datetime(2026, 11, 20, 15, tzinfo=UTC)


@pytest.fixture
async def open_books() -> AsyncIterator[Callable[..., StoreBooks]]:
    """Opens books on a store; they are closed at the end of the test."""
    opened: list[StoreBooks] = []

    def opening(store: RunningStore, password: str = "") -> StoreBooks:
        async def connect() -> AsyncClient:
            return await async_reader(store.url, password or store.password("reader"))

        opened.append(StoreBooks(connect))
        return opened[-1]

    yield opening
    for books in opened:
        await books.close()


@pytest.fixture
def landed(store: RunningStore) -> RunningStore:
    store.empty()
    seeded.land(store, seeded.traffic(NOW.date()), now=NOW)
    return store


def asked(search: str = "") -> Filters:
    return filters.parse(search, NOW)


async def test_the_answer_is_what_sql_says_to_the_last_digit(landed: RunningStore, open_books: Open) -> None:
    answer = await questions.spend(open_books(landed), asked("tenant=acme&alias=fast"), NOW)
    (cost,) = landed.writer.query(
        "SELECT sum(cost_usd) FROM tollway.rated_attempts WHERE tenant = 'acme' AND alias = 'fast'"
    ).result_rows[0]
    assert answer.kpis.current.cost_usd == cost > 0
    assert answer.agrees
    assert answer.newest == NOW


async def test_an_empty_store_answers_with_nothing_and_no_error(store: RunningStore, open_books: Open) -> None:
    store.empty()
    answer = await questions.spend(open_books(store), asked(), NOW)
    assert answer.by_alias_tenant.is_empty()
    assert answer.by_day_depth.is_empty()
    assert answer.newest is None
    assert answer.agrees


async def test_a_bound_principal_gets_its_own_rows_whatever_the_address_says(
    landed: RunningStore, open_books: Open
) -> None:
    books, token = open_books(landed), access._current.set(Principal("viewer", frozenset({"globex"})))
    try:
        answer = await questions.spend(books, asked(), NOW)
        assert answer.by_alias_tenant["tenant"].unique().to_list() == ["globex"]
        assert answer.choices.tenants == ("globex",)
        assert answer.kpis.current.attempts == 21
        with pytest.raises(NoAccess):
            await questions.spend(books, asked("tenant=acme"), NOW)
        with pytest.raises(NoAccess):
            await questions.month(books, asked(), NOW)
    finally:
        access._current.reset(token)


async def test_a_month_in_the_future_has_not_begun(landed: RunningStore, open_books: Open) -> None:
    with pytest.raises(NotBegun):
        await questions.month(open_books(landed), asked("month=2026-12"), NOW)


async def test_a_wrong_password_is_a_refusal(landed: RunningStore, open_books: Open) -> None:
    with pytest.raises(StoreRefused):
        await open_books(landed, password="not the password at all").ready()


@pytest.mark.slow
async def test_a_store_that_dies_is_down_and_one_that_comes_back_is_found(
    start_store: Callable[..., OwnStore], open_books: Open
) -> None:
    store = start_store()
    store.migrate()
    books = open_books(store)
    await books.ready()
    listen = store.url.removeprefix("http://")
    store.kill()
    with pytest.raises(StoreDown):
        await books.ready()
    with pytest.raises(StoreDown):
        await questions.spend(books, asked(), NOW)
    start_store(store.data_dir, listen=listen)
    await books.ready()
    assert (await questions.spend(books, asked(), NOW)).newest is None
