"""Landed segments are kept for a time and no longer, and never at the cost of room that senders need."""

import os
from pathlib import Path

import pytest

from collector.batches import Batch
from collector.keeping import Bounds, Cause, Keeping, Kept, leaving, list_kept
from collector.sealed import list_segments, read_segment, segment_number
from collector.settings import Limits
from collector.spool import KEPT
from tests.collector.emitting import keys
from tests.collector.house import House
from tests.collector.spooled import kept, no_file_above, sealed

HOUR = Bounds(keep_s=3600, bytes_max=100)
NONE, AGE, BYTES, DISK = "", Cause.AGE, Cause.BYTES, Cause.DISK


def segments(*landed_s: float, size: int = 40) -> list[Kept]:
    return [Kept(Path(f"{n}"), n, int(at * 1000), size) for n, at in enumerate(landed_s)]


@pytest.mark.parametrize(
    ("landed_s", "now_s", "lacking", "causes"),
    [
        ((), 0, 1000, []),
        ((0, 1), 3599, 0, []),
        ((0, 1), 3600, 0, [AGE]),
        ((0, 1), 3601, 0, [AGE, AGE]),
        ((0, 1, 2), 3, 0, [BYTES]),
        ((0, 1, 2), 3601, 0, [AGE, AGE]),
        ((0, 1), 3, 0, []),
        ((0, 1), 3, 1, [DISK]),
        ((0, 1), 3, 40, [DISK]),
        ((0, 1), 3, 41, [DISK, DISK]),
        ((0, 1), 3, 10_000, [DISK, DISK]),
        ((0, 1, 2), 3, 41, [BYTES, DISK]),
    ],
)
def test_the_oldest_go_first_for_their_age_their_bytes_or_the_disk(
    landed_s: tuple[float, ...], now_s: float, lacking: int, causes: list[Cause]
) -> None:
    given = segments(*landed_s)
    going = leaving(given, HOUR, now_ms=int(now_s * 1000), bytes_kept=40 * len(given), bytes_lacking=lacking)
    assert going == list(zip(given, causes, strict=False))


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    monkeypatch.setattr("collector.lander.TAKE_S", 0.0)
    return House(tmp_path)


def kept_in(house: House) -> list[Kept]:
    return list_kept(house.folder / "spool" / KEPT)


def test_a_landed_segment_is_kept_with_its_records_and_the_batches_that_landed_for_its_time(house: House) -> None:
    sent = kept(keys(3))
    house.receive(sent)
    house.turns()
    (one,) = kept_in(house)
    content = read_segment(one.path)
    assert list(content.records.values()) == [sent]
    assert content.damage == ()
    assert content.landed
    assert {batch.batch_id: batch.rows for batch in content.landed} == {next(iter(house.store.rows)): 3}
    assert (house.spool.bytes, house.spool.kept.bytes) == (0, one.size)
    house.restart()
    house.time.s += house.limits.keep_s - 1
    house.turn()
    assert kept_in(house) == [one]
    house.time.s += 2
    house.turn()
    assert kept_in(house) == []
    assert (house.spool.kept.bytes, house.spool.kept.gone) == (0, {AGE: 1})


def test_a_number_of_a_kept_segment_is_not_used_again_though_the_clock_goes_back(house: House) -> None:
    house.receive(kept(keys(1)))
    house.turns()
    (one,) = kept_in(house)
    house.restart()
    house.time.s = -3600.0
    house.receive(kept(keys(1)))
    (path,) = list_segments(house.folder / "spool")
    assert segment_number(path) > one.number


def test_a_segment_of_which_nothing_landed_is_not_kept(house: House) -> None:
    poison = keys(1)
    house.store.refuses = lambda one: one in poison
    house.receive(kept(poison))
    house.turns()
    assert house.books.accounts()["gateway"].parked == 1
    assert kept_in(house) == []


def test_halves_that_landed_are_kept_by_their_own_names_and_the_parked_span_is_not_among_them(house: House) -> None:
    sent = keys(4)
    house.store.refuses = lambda one: one == sent[2]
    house.receive(kept(sent))
    house.turns()
    (one,) = kept_in(house)
    landed = read_segment(one.path).landed or ()
    assert {batch.batch_id: batch.rows for batch in landed} == {n: len(rows) for n, rows in house.store.rows.items()}
    assert sum(batch.rows for batch in landed) == 3


def test_with_no_time_to_keep_segments_are_deleted_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collector.lander.TAKE_S", 0.0)
    house = House(tmp_path, limits=Limits(free_bytes_min=0, segment_rows_max=1, keep_s=0))
    house.receive(kept(keys(1)))
    house.turns()
    assert kept_in(house) == list_segments(tmp_path / "spool") == []


def test_kept_segments_go_before_the_disk_is_too_full_for_senders(house: House) -> None:
    for _ in range(3):
        house.receive(kept(keys(1)))
    house.turns()
    assert len(kept_in(house)) == 3
    disk = os.statvfs(house.folder)
    house.spool._limits = Limits(free_bytes_min=disk.f_bavail * disk.f_frsize)
    house.turn()
    assert kept_in(house) == []
    assert house.spool.kept.gone == {DISK: 3}


def test_a_disk_that_does_not_take_what_keeping_needs_has_the_segment_deleted(tmp_path: Path) -> None:
    keeping = Keeping(tmp_path / KEPT, HOUR)
    segment = sealed(tmp_path, kept(keys(1)))
    landed = Batch(
        batch_id="b", segment=segment.number, sender="gateway", tenant=None, received_ms=5, offsets=(0,), rows=1
    )
    with no_file_above(segment.size + 5):
        keeping.keep(segment, [landed], now_ms=5)
    assert not segment.path.exists()
    assert (len(keeping), keeping.gone) == (0, {DISK: 1})
