from dataclasses import replace
from pathlib import Path

import pytest

from collector import ledger as ledgers
from collector.books import Account
from collector.horizon import Horizon
from collector.ledger import Ledger
from collector.planning import Body, SegmentPlan, plan_segment
from collector.records import SpoolRecord
from tests.collector.emitting import keys
from tests.collector.spooled import NOON_MS, content, kept, resent


def made(segment: int, *records: SpoolRecord, received: int | None = None) -> SegmentPlan:
    expected = {"gateway": received} if received else {}
    horizon = Horizon(horizon_s=1e6, keys_max=100)
    return plan_segment(segment, content(*records), horizon, spool_id="ab", expected=expected)


def reopened(folder: Path) -> tuple[Ledger, list[SegmentPlan]]:
    plans: list[SegmentPlan] = []
    return Ledger(folder, plans.append, now_ms=NOON_MS + 1000), plans


def fresh(folder: Path) -> Ledger:
    return Ledger(folder, lambda _: None, now_ms=NOON_MS)


def test_a_plan_is_read_as_it_was_written_keys_and_bodies_included(tmp_path: Path) -> None:
    again = keys(1)
    plan = made(1, kept([*again, *again, *keys(2)]), kept(keys(2), sender="app", tenant="t"), resent(4), received=9)
    fresh(tmp_path).plan(plan)
    _, plans = reopened(tmp_path)
    assert plans == [plan]


def test_a_batch_without_an_end_is_open_after_a_restart_with_its_last_attempt(tmp_path: Path) -> None:
    plan = made(1, kept(keys(2)), kept(keys(3), sender="app", tenant="t"))
    first, second = plan.batches
    ledger = fresh(tmp_path)
    ledger.plan(plan)
    ledger.attempt(second.batch_id, 3)
    ledger.end(first.batch_id, stored={"": 2}, parked=0)
    after, _ = reopened(tmp_path)
    assert [(one.batch, one.attempt, one.token) for one in after.state.open.values()] == [(second, 3, "ab-1-1#3")]
    assert after.state.planned == {1}


def test_halves_are_open_in_the_place_of_their_whole(tmp_path: Path) -> None:
    (batch,) = made(1, kept(keys(2))).batches
    children = made(9, kept(keys(1)), kept(keys(1), sender="b", tenant="t")).batches
    ledger = fresh(tmp_path)
    ledger.plan(made(1, kept(keys(2))))
    ledger.split(batch.batch_id, children)
    after, _ = reopened(tmp_path)
    assert [one.batch for one in after.state.open.values()] == list(children)


def test_the_accounts_add_up_and_survive_a_restart(tmp_path: Path) -> None:
    twice = keys(1)
    plan = made(1, kept([*twice, *twice, *keys(5)]), resent(4), received=15)
    ledger = fresh(tmp_path)
    ledger.plan(plan)
    account = Account(received=15, duplicate=5, parked=4, pending=6)
    assert ledger.state.accounts == {"gateway": account}
    ledger.end(plan.batches[0].batch_id, stored={"": 5}, parked=1)
    after, _ = reopened(tmp_path)
    assert after.state.accounts == {"gateway": Account(received=15, stored=5, duplicate=5, parked=5)}
    assert after.state.accounts["gateway"].drift == 0


def test_what_the_store_is_to_be_told_is_a_row_each_and_adds_up_whatever_became_of_it(tmp_path: Path) -> None:
    twice = keys(1)
    plan = made(1, kept([*twice, *twice, *keys(4)], sender="app", tenant="t"), resent(3, sender="app"), received=11)
    plan = replace(plan, received={"app": 11}, damaged={"app": 3}, tenants={"app": "t"})
    ledger = fresh(tmp_path)
    ledger.plan(plan)
    (batch,) = plan.batches
    a, b = (replace(batch, batch_id=f"{batch.batch_id}.{half}", rows=rows) for half, rows in (("a", 2), ("b", 3)))
    ledger.split(batch.batch_id, (a, b))
    ledger.end(a.batch_id, stored={"t": 2}, parked=0)
    rows = {row.entry: row for row in reopened(tmp_path)[0].state.untold.values()}
    assert rows.keys() == {"", batch.batch_id, a.batch_id, b.batch_id}
    assert {row.tenant for row in rows.values()} == {"t"}
    first = rows[""]
    assert (first.received, first.duplicate, first.parked, first.settled) == (11, 4, 3, 1)
    fates = [(sum(row.stored.values()), row.pending, row.settled) for row in list(rows.values())[1:]]
    assert sorted(fates) == [(0, 0, 1), (0, 3, 0), (2, 0, 1)], "the whole, a half on its way, one that landed"
    ledger.told()
    ledger.end(b.batch_id, stored={"t": 1}, parked=2, reason="refused")
    (left,) = reopened(tmp_path)[0].state.untold.values()
    assert (left.stored, left.parked, left.reason) == ({"t": 1}, 2, "refused"), "only what came after"


def test_a_ledger_of_an_older_version_is_read_with_what_it_does_not_say(tmp_path: Path) -> None:
    plan = made(1, kept(keys(2)), resent(3))
    entry = {
        "segment": 1, "received_ms": NOON_MS, "batches": [plan.batches[0].as_json()], "duplicates": {"gateway": 3},
        "damaged": {}, "keys": {}, "bodies": [("gateway", "00" * 16, 2)],
    }  # fmt: skip
    old = ledgers.plan_from_json(entry, b"")
    assert (old.received, old.bodies) == ({"gateway": 5}, (Body("gateway", bytes(16), 2),))
    state = ledgers.LedgerState()
    state.plan(old)
    ledgers.enter_end(state, {"batch_id": plan.batches[0].batch_id, "stored": 2, "parked": 0})
    assert state.accounts == {"gateway": Account(received=5, stored=2, duplicate=3)}


def test_entries_that_stand_twice_change_nothing_the_second_time(tmp_path: Path) -> None:
    plan = made(1, kept(keys(2)))
    ledger = fresh(tmp_path)
    for _ in range(2):
        ledger.plan(plan)
    for _ in range(2):
        ledger.end(plan.batches[0].batch_id, stored={"": 2}, parked=0)
    after, _ = reopened(tmp_path)
    assert after.state.accounts == {"gateway": Account(received=2, stored=2)}
    assert not after.state.open


def test_a_torn_entry_was_never_acted_on_but_the_ledger_vouches_for_nothing_then(tmp_path: Path) -> None:
    ledger = fresh(tmp_path)
    ledger.plan(made(1, kept(keys(2))))
    ledger.plan(made(2, kept(keys(2))))
    ledger.close()
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-5])
    after, _ = reopened(tmp_path)
    assert after.state.planned == {1}
    assert after.damaged
    after.plan(made(2, kept(keys(2))))
    assert reopened(tmp_path)[0].state.planned == {1, 2}


def test_a_flipped_byte_is_noticed(tmp_path: Path) -> None:
    ledger = fresh(tmp_path)
    ledger.plan(made(1, kept(keys(2))))
    ledger.plan(made(2, kept(keys(2))))
    (path,) = tmp_path.iterdir()
    data = bytearray(path.read_bytes())
    data[200] ^= 1
    path.write_bytes(data)
    after, _ = reopened(tmp_path)
    assert after.damaged
    assert after.state.planned == {2}
    after.close()
    path.unlink()  # As a prune would: what the damaged file told is gone, and what it did not tell is still unknown.
    assert reopened(tmp_path)[0].began_ms == NOON_MS + 1000


def test_a_whole_ledger_knows_since_when_it_knows(tmp_path: Path) -> None:
    fresh(tmp_path).close()
    after, _ = reopened(tmp_path)
    assert (after.began_ms, after.damaged) == (NOON_MS, False)


def test_old_files_go_when_all_in_them_has_ended_and_the_totals_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledgers, "FILE_BYTES_MAX", 1)
    ledger = fresh(tmp_path)
    plans = [made(number, kept(keys(2), received_ms=NOON_MS + number)) for number in (1, 2, 3)]
    for plan in plans:
        ledger.plan(plan)
    for plan in plans[:2]:
        ledger.end(plan.batches[0].batch_id, stored={"": 2}, parked=0)
    files = len(list(tmp_path.iterdir()))
    ledger.prune(keep_since_ms=NOON_MS + 9, on_disk=set())
    assert ledger.state.planned == {1, 2, 3}, "what the store was not told of keeps its file"
    ledger.told()
    files += 1
    ledger.prune(keep_since_ms=NOON_MS + 1, on_disk=set())
    assert len(list(tmp_path.iterdir())) == files - 1, "the opening file alone: the first plan is young enough"
    ledger.prune(keep_since_ms=NOON_MS + 9, on_disk={2})
    assert ledger.state.planned == {2, 3}, "a segment that lies on disk must not be planned again"
    ledger.prune(keep_since_ms=NOON_MS + 9, on_disk=set())
    assert ledger.state.planned == {3}, "an open batch keeps its file"
    after, remembered = reopened(tmp_path)
    assert [plan.segment for plan in remembered] == [3]
    assert after.state.accounts == {"gateway": Account(received=6, stored=4, pending=2)}
    assert after.began_ms == NOON_MS


def test_an_entry_whose_sync_failed_is_written_again_in_a_new_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = fresh(tmp_path)
    plan = made(1, kept(keys(2)))

    def fail(_: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr("os.fdatasync", fail)
        with pytest.raises(OSError, match="Input/output"):
            ledger.plan(plan)
    assert not ledger.state.planned
    ledger.plan(plan)
    assert len(list(tmp_path.iterdir())) == 2
    assert reopened(tmp_path)[0].state.accounts == {"gateway": Account(received=2, pending=2)}
