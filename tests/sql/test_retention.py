"""Rows go when their time is over, and no others; a table is altered only where it has to be."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from gateway.domain import clock
from sql import retention
from sql.placement import Placement
from sql.retention import Retention
from tests.analytics.landed import attempt, land
from tests.conftest import RunningStore

ONE = Placement()


@pytest.fixture
def kept_always(store: RunningStore) -> Iterator[RunningStore]:
    """The store of the session, in which nothing has a time of its own before or after."""
    store.empty()
    retention.apply(store.writer, Retention(), ONE)
    yield store
    retention.apply(store.writer, Retention(), ONE)
    store.empty()


def test_what_has_a_time_is_told_by_table_and_zero_is_for_ever() -> None:
    told = {rule.table: rule.days for rule in retention.rules(Retention(attempts=400, others=400, ledger=90), ONE)}
    assert told["spans"] == (400,)
    assert (told["ingest_ledger"], told["audits"], told["replays"]) == ((90,), (90,), (90,))
    assert told["rollup_days"] == told["rollup_days_next"] == ()
    apart = next(iter(retention.rules(Retention(attempts=0, others=30), Placement("main"))))
    assert (apart.database, apart.days) == ("tollway_shard", (retention.NEVER, 30))
    assert not {name for name in told if name.startswith(("invoice", "rate_card", "schema"))}


@pytest.mark.slow
def test_rows_go_when_their_time_is_over_and_a_table_is_altered_only_once(kept_always: RunningStore) -> None:
    store, now = kept_always, clock.utc_now()
    for age in (500, 100, 0):
        at = now - timedelta(days=age)
        rows = [
            attempt(at, received_at=at, upstream=f"attempt-{age}"),
            attempt(at, received_at=at, attempt_id="", kind=2, upstream=f"operation-{age}"),
        ]
        land(store.writer, *rows)
    wanted = Retention(attempts=400, others=90, ledger=90, rollups=800)
    changed = retention.apply(store.writer, wanted, ONE)
    assert changed[:4] == ["tollway.spans", "tollway.ingest_ledger", "tollway.audits", "tollway.replays"]
    assert len(changed) == 10
    assert retention.apply(store.writer, wanted, ONE) == []
    store.writer.command("OPTIMIZE TABLE tollway.spans FINAL")
    left = {name for (name,) in store.writer.query("SELECT upstream FROM tollway.spans").result_rows}
    assert left == {"attempt-100", "attempt-0", "operation-0"}
    assert retention.apply(store.writer, Retention(attempts=400, others=400, ledger=90, rollups=800), ONE) == [
        "tollway.spans"
    ]
