"""Addresses the clients take, and those they refuse before anything is sent."""

import contextlib

import pytest
from clickhouse_connect.driver.exceptions import OperationalError

from collector.store import ClickHouseStore, StoreDown
from sql import clients
from sql.credentials import READER, WRITER


@pytest.mark.parametrize("url", ["127.0.0.1:8123", "ftp://x", "http://", "clickhouse://x", ""])
def test_an_address_that_is_not_http_is_refused_with_what_is_expected(url):
    with pytest.raises(ValueError, match=r"http://host:port"):
        clients.writer(url, "p" * 32)


def test_a_password_in_the_address_is_refused_and_not_repeated():
    with pytest.raises(ValueError, match="carries a password") as refusal:
        clients.reader("http://me:hunter2@127.0.0.1:8123", "p" * 32)
    assert "hunter2" not in str(refusal.value)


def test_a_port_is_guessed_from_the_scheme_and_a_remote_link_is_compressed():
    options = clients.options("https://ch.example.com", "tollway", "p" * 32, 5)
    assert (options["port"], options["interface"], options["compress"]) == (8443, "https", True)
    assert clients.options("http://127.0.0.1", "tollway", "p" * 32, 5)["compress"] is False


AWAY = "http://127.0.0.1:9"


@pytest.mark.slow
def test_of_several_addresses_the_first_that_answers_is_the_store(store):
    password = store.password(WRITER)
    for url in (f"{AWAY}, {store.url}/", f"{AWAY},{AWAY},{store.url}", f"{store.url},{AWAY}"):
        client = clients.writer(url, password)
        assert client.command("SELECT 1") == 1
        client.close()
    with pytest.raises(OperationalError):
        clients.reader(f"{AWAY},{AWAY}", password)


@pytest.mark.slow
async def test_what_asks_asynchronously_finds_it_too(store):
    client = await clients.async_reader(f"{AWAY},{store.url}", store.password(READER))
    assert (await client.query("SELECT 1")).result_rows == [(1,)]
    await client.close()


@pytest.mark.slow
def test_a_collector_whose_server_dies_goes_on_with_the_next(store, start_store, tmp_path):
    other = start_store(tmp_path / "other")
    other.migrate()
    passwords = {store.url: store.password(WRITER), other.url: other.password(WRITER)}
    seen = []

    def connect():
        for url, password in ((other.url, passwords[other.url]), (store.url, passwords[store.url])):
            with contextlib.suppress(OperationalError):
                client = clients.writer(f"{AWAY},{url}", password)
                seen.append(url)
                return client
        raise OperationalError("none answers")

    asking = ClickHouseStore(connect)
    assert asking.count_batches(["none"]) == {}
    other.kill()
    with pytest.raises(StoreDown):
        asking.count_batches(["none"])
    assert asking.count_batches(["none"]) == {}
    asking.close()
    assert seen == [other.url, store.url]
