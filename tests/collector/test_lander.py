"""The lander, a turn at a time, against a store with every fault that was met: each span lands once, whatever comes."""

from collections import Counter, deque
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import orjson
import pytest

from collector.books import Account
from collector.horizon import Horizon
from collector.lander import next_work
from collector.ledger import OpenBatch
from collector.planning import plan_segment
from collector.sealed import list_segments
from collector.settings import Limits
from collector.steps import Work
from collector.store import StoreDown
from gateway.domain.segments import HEADER, read_records
from tests.collector.emitting import keys
from tests.collector.house import LIMITS, House
from tests.collector.pretend_store import Fault, PretendStore
from tests.collector.spooled import NOON_MS, content, kept, resent


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    monkeypatch.setattr("collector.lander.TAKE_S", 0.0)
    return House(tmp_path)


def test_what_was_received_lands_and_its_segment_goes(house: House) -> None:
    sent = keys(3)
    house.receive(kept(sent))
    house.turns()
    assert house.store.landed() == Counter(sent)
    assert house.books.accounts() == {"gateway": Account(received=3, stored=3)}
    assert list_segments(house.folder / "spool") == []
    assert house.spool.bytes == 0


def test_what_a_bound_sender_claims_is_counted_once_it_landed_and_a_gateways_is_not_asked_for(house: House) -> None:
    house.store.claims = 2
    house.receive(kept(keys(3), sender="app", tenant="acme"))
    house.receive(kept(keys(3)))
    house.turns()
    assert house.metric("claimed_tenants_total", sender="app") == 2
    assert house.metric("claimed_tenants_total", sender="gateway") == 0


def told(house: House) -> tuple[int, ...]:
    """What the ledger's table adds up to: received, stored, duplicate, parked, pending."""
    rows = house.store.told.values()
    stored = sum(sum(row.stored.values()) for row in rows)
    received, duplicate, parked, pending = (
        sum(getattr(row, name) for row in rows) for name in ("received", "duplicate", "parked", "pending")
    )
    return received, stored, duplicate, parked, pending


def test_the_store_is_told_of_the_ledger_within_seconds_and_a_start_tells_what_a_kill_kept(house: House) -> None:
    sent = keys(4)
    house.store.refuses = lambda one: one == sent[3]
    house.receive(kept(sent), resent(2), kept(keys(1), sender="app", tenant="acme"))
    house.turns()
    assert house.store.told == {}
    house.restart()
    house.time.s += house.limits.tell_s
    house.turn()
    assert told(house) == (7, 4, 2, 1, 0)
    assert {row.tenant for row in house.store.told.values() if row.sender == "app"} == {"acme"}
    assert not house.ledger.state.untold
    before = dict(house.store.told)
    house.restart()
    house.time.s += house.limits.tell_s
    house.turn()
    assert house.store.told == before


def test_rows_that_the_store_does_not_take_hold_nobody_up_and_are_told_later(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise StoreDown("no such table")

    with monkeypatch.context() as refusing:
        refusing.setattr(house.store, "tell", refuse)
        house.receive(kept(keys(2)))
        house.turns()
        house.time.s += house.limits.tell_s
        house.turn()
        house.receive(kept(keys(3)))
        house.turns()
        assert sum(house.store.landed().values()) == 5
    house.time.s += house.limits.tell_s
    house.turn()
    assert told(house) == (5, 5, 0, 0, 0)


def test_no_more_is_planned_while_too_much_is_untold(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.turn()
    monkeypatch.setattr("collector.lander.UNTOLD_MAX", 3)
    house.receive(*(kept(keys(1)) for _ in range(3)))
    house.turns(30)
    assert len(house.ledger.state.planned) == 2
    house.time.s += house.limits.tell_s
    house.turns()
    assert house.pending == 0


def test_spans_that_come_again_in_another_body_land_once(house: House) -> None:
    a, b, c = keys(3)
    house.receive(kept([a, b]), kept([b, c]), kept([a, b, c]), resent(2))
    house.turns()
    assert house.store.landed() == Counter([a, b, c])
    assert house.books.accounts() == {"gateway": Account(received=9, stored=3, duplicate=6)}


def test_spans_seen_before_a_restart_are_known_after_it(house: House) -> None:
    sent = keys(2)
    house.receive(kept(sent))
    house.turns()
    house.restart()
    house.receive(kept(sent[:1]))
    house.turns()
    assert house.store.landed() == Counter(sent)
    assert house.books.accounts() == {"gateway": Account(received=3, stored=2, duplicate=1)}


def test_a_ledger_that_is_new_learns_from_the_store_what_landed_before_it(house: House) -> None:
    a, b = keys(2)
    house.store.remembered = [a]
    house.receive(kept([a, b]))
    house.turns()
    assert house.store.landed() == Counter([b])


def test_what_the_store_told_is_still_known_when_other_segments_were_planned(house: House) -> None:
    a, b, c = keys(3)
    house.store.remembered = [a]
    for key in (b, c):
        house.receive(kept([key]))
        house.turns()
        house.time.s += 60.0
    house.receive(kept([a]))
    house.turns()
    assert house.store.landed() == Counter([b, c])
    assert house.books.accounts() == {"gateway": Account(received=3, stored=2, duplicate=1)}


def test_a_damaged_ledger_learns_from_the_store_however_old_it_is(house: House) -> None:
    sent = keys(2)
    house.receive(kept(sent))
    house.turns()
    house.time.s += LIMITS.horizon_s
    house.restart()
    house.store.remembered = keys(1)
    house.receive(kept(house.store.remembered))
    house.turns()
    assert house.store.landed()[house.store.remembered[0]] == 1, "a whole ledger of that age asks nobody"
    for path in (house.folder / "ledger").iterdir():
        opening = read_records(path).records[0]
        path.write_bytes(path.read_bytes()[: HEADER.size + len(opening.payload) + 5])
    house.store.remembered = sent
    house.restart()
    house.receive(kept(sent))
    house.turns()
    assert [house.store.landed()[one] for one in sent] == [1, 1]


def test_nothing_is_inserted_before_the_store_has_told_what_it_knows(house: House) -> None:
    house.store.down = True
    house.receive(kept(keys(1)))
    house.turns(10)
    assert not house.ledger.state.planned
    house.store.down = False
    house.turns()
    assert house.pending == 0


def test_an_outage_of_two_hours_delays_and_loses_nothing(house: House) -> None:
    house.turn()
    house.store.down = True
    sent = keys(40)
    coming = list(sent)
    while house.time.s < 7200:
        if coming:
            house.receive(kept([coming.pop()]))
        house.turn()
    assert house.store.inserts == []
    house.store.down = False
    started = house.time.s
    house.turns(1000)
    assert house.store.landed() == Counter(sent)
    assert house.time.s - started < 60


@pytest.mark.parametrize("fault", list(Fault))
def test_every_fault_of_one_insert_ends_with_each_span_there_once_or_parked(house: House, fault: Fault) -> None:
    sent = keys(4)
    house.store.faults = deque([fault])
    house.receive(kept(sent))
    house.turns(20)
    house.store.finish()
    house.turns()
    account = house.books.accounts()["gateway"]
    assert house.pending == 0
    assert account.stored + account.parked == 4
    assert house.store.landed() == Counter(sent[: account.stored])
    assert account.parked == (2 if fault is Fault.HALF_STORED else 0)


STORY = (Fault.NONE, Fault.NO_ANSWER_STORED, Fault.NO_ANSWER_LOST, Fault.TOKEN_BURNT, Fault.STILL_RUNNING)


@pytest.mark.parametrize("restart_after", [None, 1, 2, 3, 4, 5])
def test_every_story_of_two_faults_and_a_kill_ends_with_each_span_there_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, restart_after: int | None
) -> None:
    monkeypatch.setattr("collector.lander.TAKE_S", 0.0)
    for number, story in enumerate(product(STORY, repeat=2)):
        house = House(tmp_path / str(number), PretendStore(faults=deque(story)))
        sent = keys(3)
        house.receive(kept(sent[:2]), kept(sent[1:]))
        for turn in range(12):
            if turn == restart_after:
                house.restart()
            house.turn()
        house.store.finish()
        house.turns()
        assert house.store.landed() == Counter(sent), story
        assert house.books.accounts() == {"gateway": Account(received=4, stored=3, duplicate=1)}, story


def test_a_burnt_token_is_replaced_and_the_alarm_rings(house: House) -> None:
    house.store.faults = deque([Fault.TOKEN_BURNT])
    house.receive(kept(keys(2)))
    house.turns()
    first, second = house.store.inserts
    assert (first.split("#")[1], second.split("#")[1]) == ("1", "2")
    assert house.metric("tokens_renewed_total") == 1


def test_a_burnt_token_stays_burnt_over_a_restart(house: House) -> None:
    house.store.faults = deque([Fault.TOKEN_BURNT, Fault.NO_ANSWER_LOST])
    house.receive(kept(keys(2)))
    while len(house.store.inserts) < 2:
        house.turn()
    house.restart()
    house.turns()
    assert [token.split("#")[1] for token in house.store.inserts] == ["1", "2", "2"]


def test_an_unknown_outcome_never_earns_a_new_token(house: House) -> None:
    house.store.faults = deque([Fault.NO_ANSWER_LOST] * 5)
    house.receive(kept(keys(2)))
    house.turns()
    assert len(house.store.inserts) == 6
    assert len(set(house.store.inserts)) == 1


def test_a_batch_that_landed_before_the_kill_is_not_inserted_again(house: House) -> None:
    house.store.faults = deque([Fault.NO_ANSWER_STORED])
    house.receive(kept(keys(2)))
    while not house.store.inserts:
        house.turn()
    house.restart()
    house.turns()
    assert len(house.store.inserts) == 1
    assert house.books.accounts()["gateway"].stored == 2


def test_a_poisoned_span_is_halved_out_and_parked_with_its_reason_while_the_rest_lands(house: House) -> None:
    sent = keys(16)
    house.store.refuses = lambda one: one == sent[5]
    house.receive(kept(sent))
    house.turns()
    assert house.store.landed() == Counter(one for one in sent if one != sent[5])
    assert house.books.accounts() == {"gateway": Account(received=16, stored=15, parked=1)}
    (reason,) = (house.folder / "parked").glob("*.json")
    assert orjson.loads(reason.read_bytes())["reason"] == "cannot parse"
    assert reason.with_suffix(".otlp").stat().st_size > 0
    assert house.metric("batches_total", end="parked") == 1
    house.store.refuses = lambda _: False
    house.restart()
    house.time.s += 60
    house.receive(kept(sent))
    house.turns()
    assert house.store.landed() == Counter(sent), "what is parked is known no more, and lands when it comes again"


def test_a_kill_between_halves_loses_none_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collector.lander.TAKE_S", 0.0)
    for after in range(1, 12):
        house = House(tmp_path / str(after))
        sent = keys(8)
        poison = sent[3]
        house.store.refuses = lambda one, poison=poison: one == poison  # type: ignore[misc]
        house.receive(kept(sent))
        for _ in range(after):
            house.turn()
        house.restart()
        house.turns()
        assert house.store.landed() == Counter(one for one in sent if one != poison)
        assert house.books.accounts() == {"gateway": Account(received=8, stored=7, parked=1)}


def test_a_batch_that_waits_blocks_nobody(house: House) -> None:
    house.turn()
    house.store.faults = deque([Fault.STILL_RUNNING])
    slow, quick = keys(1), keys(1)
    house.receive(kept(slow), kept(quick))
    house.turns(30)
    assert house.store.landed() == Counter(quick)
    assert house.metric("set_aside_batches") == 1
    house.store.finish()
    house.turns()
    assert house.store.landed() == Counter(slow + quick)


def test_new_segments_are_left_in_the_spool_while_too_many_batches_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("collector.lander.TAKE_S", 0.0)
    house = House(tmp_path, limits=Limits(free_bytes_min=0, segment_rows_max=1, set_aside_max=2))
    house.store.faults = deque([Fault.NO_MEMORY] * 1000)
    house.receive(*(kept(keys(1)) for _ in range(5)))
    for _ in range(100):
        house.turn()
    assert len(house.ledger.state.planned) == 2
    house.store.faults.clear()
    house.turns(500)
    assert house.pending == 0


def test_a_damaged_segment_lands_what_is_readable_and_is_parked_whole(house: House) -> None:
    good, bad = keys(2), keys(3)
    house.receive(kept(good))
    house.spool.append([kept(bad), kept(good[:1] + keys(1))], now=0.0, now_ms=NOON_MS)
    house.books.received("gateway", 5)
    house.spool.seal_if_due(1e9)
    path = list_segments(house.folder / "spool")[-1]
    data = bytearray(path.read_bytes())
    data[300] ^= 1
    path.write_bytes(data)
    house.turns()
    assert sum(house.store.landed().values()) == 3
    assert house.books.accounts() == {"gateway": Account(received=7, stored=3, duplicate=1, parked=3)}
    assert (house.folder / "parked" / path.name).read_bytes() == bytes(data)
    assert house.metric("damaged_segments_total") == 1


def test_a_segment_that_vanished_after_it_was_planned_parks_its_batch_and_goes_on(house: House) -> None:
    house.turn()
    house.store.faults = deque([Fault.NO_MEMORY])
    house.receive(kept(keys(2)))
    house.turn()
    house.turn()
    for path in list_segments(house.folder / "spool"):
        path.unlink()
    house.restart()
    house.turns()
    assert house.ledger.state.accounts == {"gateway": Account(received=2, parked=2)}


def test_a_full_disk_under_the_ledger_delays_and_loses_nothing(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.turn()
    house.receive(kept(keys(2)), kept(keys(2)))

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr("os.fdatasync", full)
        for _ in range(3):
            with pytest.raises(OSError, match="No space"):
                house.lander.turn()
    house.turns()
    assert house.books.accounts() == {"gateway": Account(received=4, stored=4)}


def test_a_plan_without_a_release_is_released_at_the_next_start(house: House) -> None:
    house.receive(kept(keys(2)))
    segment = list_segments(house.folder / "spool")[0]
    saved = segment.read_bytes()
    house.turns()
    segment.write_bytes(saved)
    house.restart()
    assert list_segments(house.folder / "spool") == []
    house.turns()
    assert house.books.accounts() == {"gateway": Account(received=2, stored=2)}


def works(*stands: tuple[bool, float]) -> Sequence[Work]:
    horizon = Horizon(horizon_s=1, keys_max=1)
    (batch,) = plan_segment(1, content(kept(keys(1))), horizon, spool_id="a", expected={}).batches
    return [Work(OpenBatch(batch, attempt=n), aside=aside, due=due) for n, (aside, due) in enumerate(stands)]


@pytest.mark.parametrize(
    ("stands", "aside_first", "chosen"),
    [
        ((), False, None),
        (((False, 0), (False, 0)), False, 0),
        (((True, 0), (False, 0)), False, 1),
        (((True, 0), (False, 0)), True, 0),
        (((True, 0), (True, 0)), False, 1),
        (((True, 9), (False, 0)), True, 1),
        (((True, 9),), False, None),
    ],
)
def test_the_oldest_fresh_batch_goes_first_and_of_those_set_aside_the_newest(
    stands: tuple[tuple[bool, float], ...], aside_first: bool, chosen: int | None
) -> None:
    work = next_work(works(*stands), 5.0, aside_first=aside_first)
    assert (work.open.attempt if work else None) == chosen
