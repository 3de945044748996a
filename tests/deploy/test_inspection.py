"""What the close finds out before a signature: spans on their way, set aside, contradicting each other, not told."""

from datetime import UTC, datetime, timedelta

import pytest

from analytics.rollups import catch_up
from analytics.windows import month_window
from deploy.inspection import inspect
from tests.analytics.landed import attempt, land
from tests.conftest import RunningStore

pytestmark = pytest.mark.slow

NOVEMBER = month_window("2026-11")
NOW = datetime(2026, 12, 2, tzinfo=UTC)
CAME = datetime(2026, 11, 3, 10, tzinfo=UTC)


def tell(store: RunningStore, entry: str, at: datetime = CAME, segment: int = 1, **counts: object) -> None:
    """A row of a collector's ledger, as it tells the store of it."""
    row = {
        "at": at, "spool": "spool", "segment": segment, "sender": "gateway", "entry": entry, "received": 0,
        "stored": {}, "parked": 0, "pending": 0, "settled": 1, "told_at": at,
    } | counts  # fmt: skip
    store.writer.insert("ingest_ledger", [list(row.values())], column_names=list(row), database="tollway")


def test_a_month_is_clean_only_while_everything_was_told_landed_and_agrees(store: RunningStore) -> None:
    store.empty()
    empty = inspect(store.reader, NOVEMBER, NOW)
    assert (empty.pending, empty.parked, empty.faults, empty.unknown) == (0, 0, (), ())
    spans = [attempt(CAME, batch_id="spool-1", received_at=CAME) for _ in range(3)]
    land(store.writer, *spans)
    assert "no collector has told this store" in inspect(store.reader, NOVEMBER, NOW).unknown[0]
    tell(store, "", received=3)
    tell(store, "spool-1", stored={"acme": 3})
    catch_up(store.writer, now=NOW)
    clean = inspect(store.reader, NOVEMBER, NOW)
    assert (clean.pending, clean.parked, clean.faults, clean.unknown) == (0, 0, (), ())

    tell(store, "", at=CAME - timedelta(days=40), segment=9, received=7)
    tell(store, "spool-9", at=CAME - timedelta(days=40), segment=9, pending=7, settled=0)
    assert inspect(store.reader, NOVEMBER, NOW).pending == 0, "what came before the month began is not of it"
    tell(store, "", at=NOW - timedelta(days=1), segment=2, received=5)
    tell(store, "spool-2", at=NOW - timedelta(days=1), segment=2, pending=2, parked=3, settled=0)
    tell(store, "", at=NOW - timedelta(seconds=5), segment=3, received=4)
    tell(store, "spool-3", at=NOW - timedelta(seconds=5), segment=3, pending=4, settled=0)
    waiting = inspect(store.reader, NOVEMBER, NOW)
    assert (waiting.pending, waiting.parked) == (2, 3), "what came a moment ago is on its way"

    land(store.writer, spans[0])
    words = " ".join(inspect(store.reader, NOVEMBER, NOW).faults)
    for equality in ("facts = ledger", "facts = rollups", "one row a span"):
        assert equality in words
