"""A segment keeps whole records and tells what it could not keep."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.segments import HEADER, Record, SegmentWriter, read_records


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


@given(bit=st.integers(0, 8 * 4 - 1))
def test_a_flipped_bit_sets_one_record_aside_and_keeps_the_rest(
    tmp_path_factory: pytest.TempPathFactory, bit: int
) -> None:
    path = written(tmp_path_factory.mktemp("seg") / "s", b"good", b"evil", b"more")
    data = bytearray(path.read_bytes())
    start = HEADER.size + 4 + HEADER.size
    data[start + bit // 8] ^= 1 << (bit % 8)
    path.write_bytes(data)
    found = read_records(path)
    assert [record.payload for record in found.records] == [b"good", b"more"]
    assert [damage.reason for damage in found.corrupt] == ["the checksum does not hold"]


def test_a_damaged_length_is_reported_not_followed(tmp_path: Path) -> None:
    path = written(tmp_path / "s", b"good", b"lost")
    data = bytearray(path.read_bytes())
    data[HEADER.size + 4 + 3] = 0xFF
    path.write_bytes(data)
    found = read_records(path)
    assert [record.payload for record in found.records] == [b"good"]
    assert "a length of" in found.corrupt[0].reason


def test_an_open_segment_goes_on_where_it_ended(tmp_path: Path) -> None:
    written(tmp_path / "s", b"first")
    writer = SegmentWriter(tmp_path / "s")
    assert writer.append(9, b"second") == HEADER.size + len(b"first")
    writer.sync()
    writer.close()
    writer.close()
    assert [record.payload for record in read_records(tmp_path / "s").records] == [b"first", b"second"]
