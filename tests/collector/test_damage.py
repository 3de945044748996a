"""Bits that flip on the disk, and writes cut short: caught, set aside with a reason and a count; the rest lands."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.sealed import list_segments
from collector.settings import Limits
from collector.sharding import ONE_SERVER
from gateway.domain.segments import HEADER, Record, read_records
from tests.collector.emitting import keys
from tests.collector.house import House
from tests.collector.spooled import kept

ONE_SEGMENT = Limits(free_bytes_min=0, segment_rows_max=6)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collector.lander.TAKE_S", 0.0)


def filled(folder: Path, limits: Limits = ONE_SEGMENT) -> tuple[House, list[list[bytes]], Path, list[Record]]:
    """A collector with three bodies of two spans in one segment; the spans, the segment and its records."""
    house = House(folder, limits=limits)
    bodies = [keys(2) for _ in range(3)]
    for number, one in enumerate(bodies):
        house.spool.append([kept(one)], now=0.0, now_ms=house.time.now_ms() + number)
        house.books.received("gateway", 2)
    house.spool.seal_if_due(0.0)
    (path,) = list_segments(folder / "spool")
    return house, bodies, path, read_records(path).records


@settings(max_examples=25, deadline=None)
@given(where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_bit_flipped_anywhere_in_a_sealed_segment_parks_its_body_with_a_reason_and_the_rest_lands(
    tmp_path_factory: pytest.TempPathFactory, where: float, bit: int
) -> None:
    house, bodies, path, records = filled(tmp_path_factory.mktemp("collector"))
    flipped = bytearray(path.read_bytes())
    at = int(where * len(flipped))
    flipped[at] ^= 1 << bit
    path.write_bytes(flipped)
    hit = max(number for number, record in enumerate(records) if record.offset <= at)
    house.turns()
    sound = [key for number, body in enumerate(bodies) if number != hit for key in body]
    assert house.store.landed() == Counter(sound)
    account = house.books.accounts()["gateway"]
    assert (account.received, account.stored, account.parked, account.drift) == (6, 4, 2, 0)
    assert house.metric("damaged_segments_total") == 1
    aside = house.folder / "parked" / path.name
    assert aside.read_bytes() == flipped
    (reason,) = orjson.loads(aside.with_name(f"{path.name}.json").read_bytes())["damage"]
    assert f"at {records[hit].offset}: " in reason
    house.restart()
    assert house.books.accounts()["gateway"] == account


@settings(max_examples=15, deadline=None)
@given(where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_bit_flipped_in_a_segment_that_was_open_at_a_kill_costs_its_own_body_alone(
    tmp_path_factory: pytest.TempPathFactory, where: float, bit: int
) -> None:
    roomy = Limits(free_bytes_min=0)
    house, bodies, path, records = filled(tmp_path_factory.mktemp("collector"), roomy)
    flipped = bytearray(path.read_bytes())
    at = int(where * len(flipped))
    flipped[at] ^= 1 << bit
    path.write_bytes(flipped)
    hit = max(number for number, record in enumerate(records) if record.offset <= at)
    house.restart()
    house.turns()
    assert house.store.landed() == Counter(key for n, body in enumerate(bodies) if n != hit for key in body)
    assert house.metric("damaged_segments_total") == 1
    assert (house.folder / "parked" / path.name).read_bytes() == flipped


def test_a_write_cut_short_at_any_byte_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    house, bodies, path, records = filled(tmp_path / "whole")
    data, last = path.read_bytes(), records[-1].offset
    for end in (*range(last, last + HEADER.size + 2), *range(last + HEADER.size + 2, len(data), 17)):
        folder = tmp_path / str(end)
        (folder / "spool").mkdir(parents=True)
        (folder / "spool" / path.name).write_bytes(data[:end])
        house = House(folder)
        house.turns()
        assert house.store.landed() == Counter([*bodies[0], *bodies[1]])
        assert house.metric("damaged_segments_total") == 0
        assert house.books.accounts()["gateway"].drift == 0


@settings(max_examples=15, deadline=None)
@given(where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_bit_flipped_in_a_segment_whose_landing_was_planned_already_costs_its_own_body_alone(
    tmp_path_factory: pytest.TempPathFactory, where: float, bit: int
) -> None:
    house, bodies, path, records = filled(tmp_path_factory.mktemp("collector"))
    house.turn()
    assert house.ledger.state.open, "it is planned, and nothing was inserted yet"
    flipped = bytearray(path.read_bytes())
    at = int(where * len(flipped))
    flipped[at] ^= 1 << bit
    path.write_bytes(flipped)
    hit = max(number for number, record in enumerate(records) if record.offset <= at)
    house.restart()
    house.turns()
    assert house.store.landed() == Counter(key for n, body in enumerate(bodies) if n != hit for key in body)
    account = house.books.accounts()["gateway"]
    assert (account.received, account.stored, account.parked, account.pending) == (6, 4, 2, 0)
    assert house.metric("damaged_segments_total") == 1
    assert (house.folder / "parked" / path.name).read_bytes() == flipped


@pytest.mark.parametrize("again", [False, True], ids=["", "another restart"])
@pytest.mark.parametrize("shards", [(ONE_SERVER,), ("01", "02")], ids=["one server", "two shards"])
@pytest.mark.parametrize("hit", [0, 1, 2, 3])
def test_what_was_lost_of_a_planned_segment_lands_when_it_comes_again_and_nothing_of_the_rest_is_parked_or_doubled(
    tmp_path: Path, hit: int, shards: tuple[str, ...], again: bool
) -> None:
    house = House(tmp_path, limits=Limits(free_bytes_min=0, segment_rows_max=9), shards=shards)
    a, b, c, d, e, f = keys(6)
    records = [kept(body) for body in ([a, b], [b, c], [d, e, f], [a, f])]
    house.spool.append(records, now=0.0, now_ms=house.time.now_ms())
    house.books.received("gateway", 9)
    house.spool.seal_if_due(0.0)
    (path,) = list_segments(tmp_path / "spool")
    house.turn()
    assert house.ledger.state.open
    damaged = bytearray(path.read_bytes())
    damaged[read_records(path).records[hit].offset + 40] ^= 1
    path.write_bytes(damaged)
    house.restart()
    house.turns()
    lost = ({a, b}, {c}, {d, e, f}, set[bytes]())[hit]
    assert house.store.landed() == Counter({a, b, c, d, e, f} - lost)
    account = house.books.accounts()["gateway"]
    assert (account.stored, account.parked, account.duplicate, account.pending) == (6 - len(lost), len(lost), 3, 0)
    assert bool(lost) == (("gateway", records[hit].digest) in house.forgotten)
    if again:
        house.restart()
    house.time.s += 60.0
    for _ in range(2):
        house.receive(*records)
        house.turns()
    assert house.store.landed() == Counter([a, b, c, d, e, f])


def test_where_nobody_can_tell_which_body_was_lost_every_body_of_its_sender_is_new_when_it_comes_again(
    tmp_path: Path,
) -> None:
    house, bodies, path, records = filled(tmp_path)
    segment = house.spool.take(0.0)
    assert segment
    house.lander._taken = replace(segment, spans={"gateway": 6})
    flipped = bytearray(path.read_bytes())
    flipped[records[1].offset + 40] ^= 1
    path.write_bytes(flipped)
    house.turns()
    assert house.forgotten == [("gateway", None)]
    house.receive(*map(kept, bodies))
    house.turns()
    house.spool.seal_if_due(1e9)
    house.turns()
    assert house.store.landed() == Counter(key for body in bodies for key in body)
