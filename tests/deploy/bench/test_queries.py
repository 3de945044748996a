"""`make bench-queries`, small: three days of attempts, every question, and what it prints of them."""

import io
import os
import re
from datetime import UTC, datetime
from functools import partial

import pytest
from rich.console import Console

import sql
from analytics import rollups
from deploy.bench import attempts, queries
from gateway.domain.reasons import Reason
from sql import clients, credentials
from tests.conftest import RunningStore

pytestmark = pytest.mark.slow

NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)


def test_the_bench_of_queries_asks_everything_and_tells_what_it_cost(store: RunningStore) -> None:
    store.empty()
    made = attempts.make(store.writer, 900, now=NOW, days=3)
    assert made == attempts.Made(datetime(2026, 11, 20, 14, 40, tzinfo=UTC), 3)
    assert attempts.make(store.writer, 900, now=NOW, days=3).days == 0, "what is there is made once"
    facts = store.reader.query("SELECT count(), countIf(cost_usd > 0), groupUniqArray(fallback_reason) "
                               "FROM tollway.rated_attempts").result_rows  # fmt: skip
    ((count, priced, reasons),) = facts
    assert 700 < priced < count < 900
    assert set(reasons) <= {"", *Reason}
    assert rollups.catch_up(store.writer, now=made.until)

    connect = partial(clients.async_reader, store.url, store.password(credentials.READER))
    asking = attempts.Asking(os.getpid(), store.writer, store.reader, connect)
    asked = [queries.ask(asking, case, rounds=1) for case in queries.cases(made.until) if case.name == "24 hours"]
    assert {one.case.question for one in asked} == set(queries.QUESTIONS)
    assert all(one.rows and one.bytes and len(one.times_ms) == 1 for one in asked)
    assert max(len(one.statements) for one in asked) < 12
    told = io.StringIO()
    queries.report(store.reader, asked, Console(file=told, width=200))
    assert re.search(r"slowest: .+; its statements:\n  -- .+\n", told.getvalue())
    assert "ReadFromMergeTree" in told.getvalue()
    (spans,) = (row for row in sql.fetch(store.reader, "bench_sizes").to_dicts() if row["name"] == "spans")
    assert spans["lines"] == count
