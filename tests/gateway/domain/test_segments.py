"""A segment keeps whole records and tells what it could not keep."""

import os
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.segments import HEADER, Record, SegmentWriter, read_records, record_start


def written(path: Path, *payloads: bytes) -> Path:
    writer = SegmentWriter(path)
    for kind, payload in enumerate(payloads):
        writer.append(kind, payload)
    writer.close()
    return path


def test_records_come_back_as_they_were_written(tmp_path: Path) -> None:
    found = read_records(written(tmp_path / "s", b"one", b"", b"three"))
    assert [(record.kind, record.payload) for record in found.records] == [(0, b"one"), (1, b""), (2, b"three")]
    assert (found.corrupt, found.torn_bytes) == ([], 0)


def test_a_torn_tail_is_cut_wherever_it_tears(tmp_path: Path) -> None:
    whole = written(tmp_path / "s", b"kept", b"torn away").read_bytes()
    first = HEADER.size + len(b"kept")
    for end in range(first, len(whole)):
        (tmp_path / "t").write_bytes(whole[:end])
        found = read_records(tmp_path / "t")
        assert found.records == [Record(0, b"kept", 0)]
        assert found.torn_bytes == end - first


PAYLOADS = st.lists(st.binary(max_size=40), min_size=1, max_size=6)


@settings(max_examples=400)
@given(payloads=PAYLOADS, where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_one_flipped_bit_anywhere_costs_its_own_record_alone(
    tmp_path_factory: pytest.TempPathFactory, payloads: list[bytes], where: float, bit: int
) -> None:
    path = written(tmp_path_factory.mktemp("seg") / "s", *payloads)
    whole = read_records(path).records
    data = bytearray(path.read_bytes())
    at = int(where * len(data))
    data[at] ^= 1 << bit
    path.write_bytes(data)
    hit = max(record.offset for record in whole if record.offset <= at)
    found = read_records(path)
    assert found.records == [record for record in whole if record.offset != hit]
    (damage,) = found.corrupt
    assert damage.offset == hit
    assert at < damage.offset + damage.length
    assert damage.reason
    assert found.torn_bytes == 0


@given(payloads=PAYLOADS, end=st.floats(0, 1))
def test_a_segment_cut_anywhere_is_its_whole_records_and_a_torn_tail(
    tmp_path_factory: pytest.TempPathFactory, payloads: list[bytes], end: float
) -> None:
    path = written(tmp_path_factory.mktemp("seg") / "s", *payloads)
    whole = read_records(path).records
    data = path.read_bytes()[: int(end * path.stat().st_size)]
    path.write_bytes(data)
    kept = [record for record in whole if record.offset + HEADER.size + len(record.payload) <= len(data)]
    found = read_records(path)
    assert (found.records, found.corrupt) == (kept, [])
    assert found.torn_bytes == len(data) - sum(HEADER.size + len(record.payload) for record in kept)


def test_a_damaged_length_is_reported_not_followed_and_a_large_record_is_searched_by_what_starts_one(
    tmp_path: Path,
) -> None:
    path = written(tmp_path / "s", random.Random(5).randbytes(4 * 1024 * 1024), b"behind")
    data = bytearray(path.read_bytes())
    data[3] = 0xFF
    path.write_bytes(data)
    start = record_start((1,), rb"beh")
    assert [match.start() for match in start.finditer(data)] == [len(data) - HEADER.size - len(b"behind")]
    found = read_records(path, start)
    assert [record.payload for record in found.records] == [b"behind"]
    assert "a length of" in found.corrupt[0].reason


def test_an_open_segment_goes_on_where_it_ended(tmp_path: Path) -> None:
    written(tmp_path / "s", b"first")
    writer = SegmentWriter(tmp_path / "s")
    assert writer.append(9, b"second") == HEADER.size + len(b"first")
    writer.sync()
    writer.close()
    writer.close()
    assert [record.payload for record in read_records(tmp_path / "s").records] == [b"first", b"second"]


def test_a_record_in_pieces_is_the_same_record_though_the_disk_takes_it_bit_by_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    monkeypatch.setattr(os, "writev", lambda fd, pieces: write(fd, b"".join(pieces)[:11]))
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:3]))
    writer = SegmentWriter(tmp_path / "a")
    writer.append(1, b"head", b"", b"the body of it")
    assert writer.append(2, b"next") == writer.size - HEADER.size - len(b"next")
    writer.close()
    found = read_records(tmp_path / "a")
    assert [(record.kind, record.payload) for record in found.records] == [(1, b"headthe body of it"), (2, b"next")]
    assert (found.corrupt, found.torn_bytes) == ([], 0)
