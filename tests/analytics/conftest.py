"""The store as analytics meets it: one client that writes, one that may only ask, and nothing in it yet."""

import pytest
from clickhouse_connect.driver.client import Client

from tests.conftest import RunningStore


@pytest.fixture
def writer(store: RunningStore) -> Client:
    """A client that may write, to a store without rows."""
    store.empty()
    return store.writer


@pytest.fixture
def reader(store: RunningStore, writer: Client) -> Client:
    """A client that may only ask; what the dashboards and the exports use."""
    return store.reader
