"""What `make bench-queries` asks beside the dashboards' questions."""

import pytest

import sql
from tests.conftest import RunningStore
from tests.sql.test_process import land

pytestmark = pytest.mark.slow


def test_the_bench_tells_the_rows_and_bytes_of_each_table_with_rows(store: RunningStore) -> None:
    store.empty()
    land(store, "bench-sizes", spans=2)
    (row,) = sql.fetch(store.reader, "bench_sizes").to_dicts()
    assert (row["name"], row["lines"]) == ("spans", 2)
    assert row["bytes"] > 0
