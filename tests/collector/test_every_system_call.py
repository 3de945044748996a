"""The collector dies before, within and after each system call that writes: what was acknowledged lands, once."""

import os
from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from collector.keeping import list_kept
from collector.otlp import read_spans, split_keys
from collector.records import SpoolRecord
from collector.sealed import list_segments, read_segment
from collector.spool import KEPT
from tests.collector.emitting import keys
from tests.collector.house import House
from tests.collector.pretend_store import Fault, PretendStore
from tests.collector.spooled import kept, resent

CALLS = ("write", "writev", "fdatasync", "fsync", "unlink", "rename", "truncate", "ftruncate", "link")
WRITES = ("write", "writev")
WRITE = os.write
SYNCS = ("fdatasync", "fsync")


class Killed(BaseException):
    """The process ends here: nothing that catches errors sees it."""


class Reaper:
    """Stands before the system calls, and kills at the numbers it is given."""

    def __init__(self, deaths: tuple[int, ...], moment: str) -> None:
        self.calls = 0
        self._deaths = deaths
        self._moment = moment

    def before(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """The call, or the end."""

        def reaped(*args: Any, **kwargs: Any) -> Any:
            self.calls += 1
            dies = self.calls in self._deaths
            if dies and self._moment == "within" and name in WRITES:
                data = args[1] if name == "write" else b"".join(args[1])
                WRITE(args[0], data[: len(data) // 2])
            if dies and self._moment != "after":
                raise Killed
            # A sync is what outlives the machine; a process that is killed leaves all it wrote, synced or not.
            done = None if name in SYNCS else call(*args, **kwargs)
            if dies:
                raise Killed
            return done

        return reaped


def tell(house: House, bodies: list[SpoolRecord], acknowledged: list[SpoolRecord]) -> None:
    """Send what is not acknowledged yet, and land all."""
    while len(acknowledged) < len(bodies):
        house.receive(bodies[len(acknowledged)])
        acknowledged.append(bodies[len(acknowledged)])
        house.turn()
    for _ in range(100):
        house.turn()
        if not house.pending:
            break
    house.store.finish()
    house.time.s += house.limits.tell_s
    while house.ledger.state.untold:
        house.turn()


def lived_through(folder: Path, reaper: Reaper, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the story ended before the last of the reaper's deaths; what is then there is checked."""
    a, b, c, d, poison = keys(5)
    bodies = [kept([a, b]), kept([b, c, poison]), resent(2), kept([d], sender="app", tenant="t")]
    faults = deque([Fault.TOKEN_BURNT, Fault.NO_ANSWER_STORED, Fault.NONE, Fault.NO_ANSWER_LOST])
    store = PretendStore(faults=faults, refuses=lambda one: one == poison)
    acknowledged: list[SpoolRecord] = []
    deaths = 0
    with monkeypatch.context() as reaped:
        for name in CALLS:
            reaped.setattr(os, name, reaper.before(name, getattr(os, name)))
        house = None
        while True:
            try:
                if house is None:
                    house = House(folder, store)
                else:
                    house.restart()
                tell(house, bodies, acknowledged)
                break
            except Killed:
                deaths += 1
    assert store.landed() == Counter([a, b, c, d])
    account = house.books.accounts()["gateway"]
    assert (account.stored, account.parked, account.pending, account.drift) == (3, 1, 0, 0)
    assert account.received >= 7
    (why,) = (folder / "parked").glob("*.json")
    assert poison in split_keys(read_spans(why.with_suffix(".otlp").read_bytes()).keys)
    assert list_segments(folder / "spool") == []
    replayable = [batch for one in list_kept(folder / "spool" / KEPT) for batch in read_segment(one.path).landed or ()]
    assert len({batch.batch_id for batch in replayable}) == len(replayable)
    assert {batch.batch_id: batch.rows for batch in replayable} == {
        name: len(rows) for name, rows in store.rows.items()
    }
    assert house.books.accounts()["app"].stored == 1
    rows = [row for row in store.told.values() if row.sender == "gateway"]
    fates = (sum(row.received for row in rows), sum(sum(row.stored.values()) for row in rows))
    others = tuple(sum(getattr(row, name) for row in rows) for name in ("duplicate", "parked", "pending"))
    assert (*fates, *others) == (account.received, 3, account.duplicate, 1, 0), "the table says what the books say"
    return deaths == 0


@pytest.mark.parametrize("moment", ["before", "within", "after"])
@pytest.mark.parametrize("again_after", [0, 1, 2, 5])
def test_a_death_at_any_system_call_loses_nothing_and_doubles_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str, again_after: int
) -> None:
    monkeypatch.setattr("collector.lander.TAKE_S", 0.0)
    number = 0
    survived = False
    while not survived:
        number += 1
        deaths = (number, number + again_after)
        survived = lived_through(tmp_path / str(number), Reaper(deaths, moment), monkeypatch)
    assert number > 40, "the story has at least that many system calls"
