"""Kept segments land again in the place of the rows they made at first: as many, once each, whatever dies."""

import os
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from collector import replay_plan
from collector.batches import Batch
from collector.keeping import list_kept
from collector.replay import Replay, ReplayStopped, Told, alone, shelf
from collector.replay_plan import Choice, Swap, generation, origin, portions, swap
from collector.spool import KEPT
from collector.store import StoreDown
from tests.collector.emitting import keys
from tests.collector.house import House
from tests.collector.pretend_store import Fault, PretendStore
from tests.collector.spooled import DAY_MS, NOON_MS, kept

ALL = Choice()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collector.lander.TAKE_S", 0.0)


@dataclass
class Landed:
    """What landed by one mapping, and is to be landed again by another."""

    house: House
    sent: list[bytes]

    @property
    def store(self) -> PretendStore:
        return self.house.store

    def replay(self, mapping: str = "mended") -> Replay:
        folder = self.house.folder / "replays"
        folder.mkdir(exist_ok=True)
        return Replay(folder, self.house.folder / "spool", self.store, mapping=mapping, now_ms=1, pause=lambda _: None)

    def run(self, choice: Choice = ALL, mapping: str = "mended") -> list[Told]:
        """What the command does."""
        replay = self.replay(mapping)
        try:
            told = replay.finish()
            found = shelf(self.house.folder / "spool").batches
            return told + list(replay.run(replay.plan(found, choice)[0], found))
        finally:
            replay.close()

    @property
    def names(self) -> list[str]:
        return sorted(name for name, rows in self.store.rows.items() if rows)


def landed(folder: Path) -> Landed:
    """Three batches of two senders over two segments, one span of which came twice."""
    house = House(folder)
    a, b, c, d, e = keys(5)
    house.receive(kept([a, b]), kept([b, c]))
    house.receive(kept([d, e], sender="app", tenant="acme"))
    house.turns()
    assert house.store.landed() == Counter([a, b, c, d, e])
    return Landed(house, [a, b, c, d, e])


def batch(name: str, *, day: int = 0, rows: int = 1, segment: int = 1) -> Batch:
    return Batch(
        batch_id=name, segment=segment, sender="s", tenant=None, received_ms=day * DAY_MS + 5, offsets=(0,), rows=rows
    )


def test_a_name_says_what_it_landed_under_at_first_and_is_never_used_again() -> None:
    first = swap(batch("ab-1-0.a"), "1-2.segment", "m", current={}, used={})
    assert (first.old, first.batch.batch_id, first.origin) == ("ab-1-0.a", "ab-1-0.a~1", "ab-1-0.a")
    again = swap(batch("ab-1-0.a"), "", "m", current={"ab-1-0.a": "ab-1-0.a~1"}, used={"ab-1-0.a": 4})
    assert (again.old, again.batch.batch_id) == ("ab-1-0.a~1", "ab-1-0.a~5")
    assert (origin("x~12"), generation("x~12"), generation("x")) == ("x", 12, 0)


def test_a_portion_is_of_one_day_and_bounded_in_rows_and_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay_plan, "PORTION_ROWS", 10)
    monkeypatch.setattr(replay_plan, "PORTION_BATCHES", 3)
    sizes = [
        ("a", 0, 4),
        ("b", 0, 6),
        ("c", 0, 1),
        ("d", 1, 1),
        ("e", 2, 99),
        ("f", 2, 1),
        ("g", 2, 1),
        ("h", 2, 1),
        ("i", 2, 1),
    ]
    swaps = [Swap(name, batch(name, day=day, rows=rows), "", "m") for name, day, rows in sizes]
    made = ["".join(one.old for one in portion) for portion in portions(reversed(swaps))]
    assert made == ["ab", "c", "d", "e", "fgh", "i"]
    assert list(portions([])) == []


@pytest.mark.parametrize(
    ("choice", "taken"),
    [
        (ALL, True),
        (Choice(since_ms=DAY_MS + 5), True),
        (Choice(since_ms=DAY_MS + 6), False),
        (Choice(until_ms=DAY_MS + 5), False),
        (Choice(until_ms=DAY_MS + 6), True),
        (Choice(origins=frozenset({"b"})), True),
        (Choice(origins=frozenset({"c"})), False),
    ],
)
def test_batches_are_chosen_by_name_and_by_when_they_were_received(choice: Choice, taken: bool) -> None:
    assert choice.takes(batch("b", day=1)) is taken


def test_what_landed_lands_again_in_its_place_and_the_books_do_not_move(tmp_path: Path) -> None:
    was = landed(tmp_path)
    before, books = was.names, was.house.books.accounts()
    told = was.run()
    assert was.store.landed() == Counter(was.sent)
    assert was.names == [f"{name}~1" for name in before]
    assert was.store.replaced == {f"{name}~1": name for name in before}
    assert sorted(one.swap.batch.batch_id for one in told) == was.names
    assert not any(one.why for one in told)
    was.house.restart()
    assert was.house.books.accounts() == books
    assert len(list_kept(tmp_path / "spool" / KEPT)) == 3, "it may be landed again"
    assert sorted(path.suffix for path in (tmp_path / "replays").iterdir()) == [".replay"], "nothing is held any more"


def test_it_is_landed_again_once_by_each_mapping(tmp_path: Path) -> None:
    was = landed(tmp_path)
    before = was.names
    assert len(was.run()) == 3
    assert was.run() == []
    assert len(was.run(mapping="better still")) == 3
    assert was.names == [f"{name}~2" for name in before]
    assert was.store.landed() == Counter(was.sent)


def test_only_what_is_chosen_is_touched(tmp_path: Path) -> None:
    was = landed(tmp_path)
    one, *others = was.names
    was.run(Choice(origins=frozenset({one})))
    assert was.names == sorted([f"{one}~1", *others])
    assert was.run(Choice(since_ms=NOON_MS + DAY_MS)) == []


def test_old_rows_stay_where_the_store_refuses_the_new_ones(tmp_path: Path) -> None:
    was = landed(tmp_path)
    before = was.names
    was.store.refuses = lambda one: one == was.sent[3]
    told = was.run()
    assert [one.why for one in told if one.why] == ["the store refuses it: cannot parse"]
    assert was.store.landed() == Counter(was.sent)
    assert len(set(was.names) & set(before)) == 1
    was.store.refuses = lambda _: False
    assert [one.swap.batch.batch_id for one in was.run()] == [f"{(set(was.names) - {n + '~1' for n in before}).pop()}"]


@pytest.mark.parametrize("change", ["gone", "rows nobody knows of"])
def test_a_batch_that_is_not_in_the_store_as_it_landed_is_left_and_told(tmp_path: Path, change: str) -> None:
    was = landed(tmp_path)
    name = was.names[0]
    if change == "gone":
        was.store.rows.pop(name)
    else:
        was.store.rows[f"{name}~1"] = keys(1)
    before = dict(was.store.rows)
    told = was.run(Choice(origins=frozenset({name})))
    assert len(told) == 1
    assert "the store has" in told[0].why
    assert was.store.rows == before


def test_a_kept_segment_that_rotted_is_left_and_told(tmp_path: Path) -> None:
    was = landed(tmp_path)
    first, second, third = list_kept(tmp_path / "spool" / KEPT)
    data = bytearray(first.path.read_bytes())
    data[60] ^= 1
    first.path.write_bytes(data)
    data = bytearray(second.path.read_bytes())
    data[-20] ^= 1
    second.path.write_bytes(data)
    told = was.run()
    assert sorted(one.why for one in told) == ["", "records of its segment cannot be read any more"]
    assert list(shelf(tmp_path / "spool").unreadable) == [second.path.name]
    assert was.store.landed() == Counter(was.sent)
    assert third.path.exists()


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault is not Fault.STILL_RUNNING])
def test_every_fault_of_an_insert_ends_with_each_span_there_once(tmp_path: Path, fault: Fault) -> None:
    was = landed(tmp_path)
    was.store.faults = deque([fault, Fault.NONE, fault])
    was.run()
    assert was.store.landed() == Counter(was.sent)


def test_a_store_that_is_away_stops_it_and_the_next_run_finishes(tmp_path: Path) -> None:
    was = landed(tmp_path)
    was.store.faults = deque([Fault.STILL_RUNNING])
    with pytest.raises(ReplayStopped, match="the next `tollway replay-spool` finishes"):
        was.run()
    assert was.replay().begun == 3
    was.store.finish()
    assert len(was.run()) == 3
    assert was.store.landed() == Counter(was.sent)
    assert was.replay().begun == 0


def test_two_replays_do_not_work_at_once(tmp_path: Path) -> None:
    with alone(tmp_path), pytest.raises(ReplayStopped, match="wait for its end"), alone(tmp_path):
        pass


def test_a_ledger_is_forgotten_once_none_of_its_batches_is_kept(tmp_path: Path) -> None:
    was = landed(tmp_path)
    was.run()
    assert len(list((tmp_path / "replays").glob("*.replay"))) == 1
    was.house.time.s += was.house.limits.keep_s + 1
    was.house.turn()
    assert was.run() == []
    assert list((tmp_path / "replays").glob("*.replay")) == []


class Killed(BaseException):
    """The process ends here."""


class Deaths:
    """Kills before, or after, the numbered call among those that change something on disk or in the store."""

    def __init__(self, number: int, *, after: bool) -> None:
        self.calls = 0
        self._number = number
        self._after = after

    def before(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def fatal(*args: Any, **kwargs: Any) -> Any:
            self.calls += 1
            dies = self.calls == self._number
            if dies and not self._after:
                raise Killed
            done = call(*args, **kwargs)
            if dies:
                raise Killed
            return done

        return fatal


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_death_at_any_step_leaves_each_span_seen_once_and_the_next_run_lands_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    number, survived = 0, False
    while not survived:
        number += 1
        was = landed(tmp_path / str(number))
        deaths = Deaths(number, after=after)
        with monkeypatch.context() as fatal:
            for name in ("write", "fdatasync", "fsync", "unlink", "link", "open"):
                fatal.setattr(os, name, deaths.before(getattr(os, name)))
            for name in ("insert", "swap_batches", "record_replaced"):
                fatal.setattr(was.store, name, deaths.before(getattr(was.store, name)))
            try:
                was.run()
                survived = True
            except Killed:
                pass
        assert was.store.landed() == Counter(was.sent), "nothing is ever missing, nor seen twice"
        was.run()
        assert was.store.landed() == Counter(was.sent)
        assert all(generation(name) for name in was.names), "all of it is as the new mapping makes it"
        assert was.store.replaced.keys() == was.store.rows.keys(), "whoever derives from the facts knows of each"
        assert was.replay().begun == 0
        assert not list((was.house.folder / "replays").glob("*.segment"))
    assert number > 15


def test_a_question_that_is_not_answered_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    was = landed(tmp_path)
    answers = iter([StoreDown("connection reset"), None])
    ask = was.store.count_batches

    def flaky(names: list[str]) -> dict[str, int]:
        if isinstance(error := next(answers, None), StoreDown):
            raise error
        return ask(names)

    monkeypatch.setattr(was.store, "count_batches", flaky)
    assert len(was.run()) == 3
    assert was.store.landed() == Counter(was.sent)
