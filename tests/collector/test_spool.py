import os
from pathlib import Path

import pytest

from collector.records import Kind, SpoolRecord, decode, encode
from collector.sealed import Segment, cut_torn_tail, list_segments, read_segment
from collector.settings import Limits
from collector.spool import Spool, should_seal
from gateway.domain.segments import HEADER
from tests.collector.spooled import no_file_above

ROOMY = Limits(free_bytes_min=0)


def record(number: int = 0, *, sender: str = "gateway", spans: int = 2, kind: Kind = Kind.BODY) -> SpoolRecord:
    body = b"body-%d" % number if kind is Kind.BODY else b""
    return SpoolRecord(
        kind=kind,
        sender=sender,
        tenant=None,
        received_ms=1_700_000_000_000 + number,
        digest=b"%016d" % number,
        spans=spans,
        keys=bytes([number % 256]) * 24 * spans if kind is Kind.BODY else b"",
        body=body,
    )


def sealed(folder: Path, *records: SpoolRecord) -> Segment:
    spool = Spool(folder, ROOMY)
    spool.append(records, now=0.0, now_ms=5)
    spool.seal_if_due(10.0)
    segment = spool.take(0.0)
    assert segment
    return segment


def offsets(path: Path) -> list[int]:
    return list(read_segment(path).records)


def flip(path: Path, offset: int) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 0xFF
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("one", [record(), record(3, kind=Kind.RESENT), record(1, spans=0)])
def test_a_record_is_read_as_it_was_written(one: SpoolRecord) -> None:
    assert decode(one.kind, b"".join(encode(one))) == one


WHOLE, TOO_FEW_KEYS = b"".join(encode(record())), b"".join(encode(record(spans=9)))


@pytest.mark.parametrize("payload", [b"", b"\x02", b"\x02\x00{}", WHOLE[:20], TOO_FEW_KEYS[:110]])
def test_a_payload_that_is_no_record_is_told_as_such(payload: bytes) -> None:
    with pytest.raises(ValueError, match=r"record|span count"):
        decode(Kind.BODY, payload)


def test_what_was_appended_is_read_from_the_sealed_segment(tmp_path: Path) -> None:
    segment = sealed(tmp_path, record(1), record(2, sender="app", spans=3), record(1, kind=Kind.RESENT))
    content = read_segment(segment.path)
    assert list(content.records.values()) == [record(1), record(2, sender="app", spans=3), record(1, kind=Kind.RESENT)]
    assert content.damage == ()
    assert segment.spans == content.spans() == {"gateway": 4, "app": 3}


@pytest.mark.parametrize(
    ("rows", "size", "age_s", "waiting", "sealed"),
    [
        (0, 0, 99.0, 0, False),
        (1, 10, 0.49, 0, False),
        (1, 10, 0.50, 0, True),
        (1, 10, 9.0, 1, False),
        (20_000, 10, 0.0, 5, True),
        (19_999, 16 * 1024 * 1024 - 1, 0.0, 5, False),
        (1, 16 * 1024 * 1024, 0.0, 5, True),
    ],
)
def test_a_segment_is_sealed_when_full_or_when_old_and_nothing_waits_before_it(
    rows: int, size: int, age_s: float, waiting: int, sealed: bool
) -> None:
    assert should_seal(rows=rows, size=size, age_s=age_s, waiting=waiting, limits=Limits()) is sealed


def test_segments_are_taken_in_their_order_and_kept_until_released(tmp_path: Path) -> None:
    spool = Spool(tmp_path, Limits(free_bytes_min=0, segment_rows_max=1))
    for number in (1, 2):
        spool.append([record(number)], now=0.0, now_ms=5)
        spool.seal_if_due(0.0)
    first, second = spool.take(0.0), spool.take(0.0)
    assert first
    assert second
    assert first.number < second.number
    assert spool.bytes == first.size + second.size
    spool.release(first, now_ms=6)
    assert spool.bytes == second.size
    assert list_segments(tmp_path) == [second.path]
    assert spool.take(0.0) is None


def test_a_segment_number_is_never_used_again_though_the_clock_goes_back(tmp_path: Path) -> None:
    first = sealed(tmp_path, record(1))
    spool = Spool(tmp_path, ROOMY, waiting=[first])
    spool.append([record(2)], now=0.0, now_ms=first.number - 1000)
    assert [int(path.stem) for path in list_segments(tmp_path)] == [first.number, first.number + 1]


def test_a_torn_tail_is_cut_and_the_rest_is_kept(tmp_path: Path) -> None:
    segment = sealed(tmp_path, record(1), record(2))
    with segment.path.open("ab") as file:
        file.write(HEADER.pack(1000, 1, Kind.BODY) + b"half a rec")
    assert cut_torn_tail(segment.path) == segment.size == segment.path.stat().st_size
    content = read_segment(segment.path)
    assert list(content.records.values()) == [record(1), record(2)]
    assert content.damage == ()


@pytest.mark.parametrize("where", range(HEADER.size), ids=lambda byte: f"header byte {byte}")
def test_a_flipped_header_costs_its_own_record_alone(tmp_path: Path, where: int) -> None:
    segment = sealed(tmp_path, record(1), record(2), record(3))
    flip(segment.path, offsets(segment.path)[1] + where)
    assert cut_torn_tail(segment.path) == segment.size
    content = read_segment(segment.path)
    assert list(content.records.values()) == [record(1), record(3)]
    assert content.damage


def test_a_flipped_payload_costs_its_own_record_alone(tmp_path: Path) -> None:
    segment = sealed(tmp_path, record(1), record(2), record(3))
    flip(segment.path, offsets(segment.path)[2] - 1)
    content = read_segment(segment.path)
    assert list(content.records.values()) == [record(1), record(3)]
    assert "checksum" in content.damage[0]


def test_a_segment_that_is_gone_is_damage_and_not_an_error(tmp_path: Path) -> None:
    assert read_segment(tmp_path / "1.segment").damage == ("the file is gone",)


def test_above_the_high_water_mark_nothing_is_taken_until_segments_are_released(tmp_path: Path) -> None:
    spool = Spool(tmp_path, Limits(free_bytes_min=0, spool_bytes_max=100, segment_rows_max=1))
    assert spool.refusing is None
    spool.append([record(1), record(2)], now=0.0, now_ms=5)
    assert "full" in str(spool.refusing)
    spool.seal_if_due(0.0)
    segment = spool.take(0.0)
    assert segment
    spool.release(segment, now_ms=6)
    assert spool.refusing is None


def test_a_disk_without_the_reserve_is_a_state_that_ends_by_itself(tmp_path: Path) -> None:
    disk = os.statvfs(tmp_path)
    spool = Spool(tmp_path, Limits(free_bytes_min=disk.f_bavail * disk.f_frsize * 2))
    with pytest.raises(OSError, match="must stay so"):
        spool.append([record(1)], now=0.0, now_ms=5)
    assert spool.refusing
    spool.recheck(10.0)
    assert spool.refusing
    spool._limits = ROOMY
    spool.recheck(10.9)
    assert spool.refusing, "it looks again once a second"
    spool.recheck(11.0)
    assert spool.refusing is None


def test_a_group_that_does_not_fit_leaves_nothing_and_the_next_goes_to_a_new_segment(tmp_path: Path) -> None:
    spool = Spool(tmp_path, ROOMY)
    spool.append([record(1)], now=0.0, now_ms=5)
    huge = SpoolRecord(
        kind=Kind.BODY, sender="app", tenant="a", received_ms=1, digest=b"", spans=0, body=bytes(2 * 1024 * 1024)
    )
    with no_file_above(1024 * 1024), pytest.raises(OSError, match="too large"):
        spool.append([record(3), huge], now=0.0, now_ms=6)
    assert "cannot be written" in str(spool.refusing)
    first = spool.take(0.0)
    assert first
    assert first.size == first.path.stat().st_size
    assert list(read_segment(first.path).records.values()) == [record(1)]
    spool.recheck(2.0)
    assert spool.refusing is None
    spool.append([record(4)], now=2.0, now_ms=7)
    spool.seal_if_due(5.0)
    second = spool.take(0.0)
    assert second
    assert list(read_segment(second.path).records.values()) == [record(4)]
    assert spool.bytes == first.size + second.size


def test_a_first_group_that_does_not_fit_leaves_no_file(tmp_path: Path) -> None:
    spool = Spool(tmp_path, ROOMY)
    with no_file_above(10), pytest.raises(OSError, match="too large"):
        spool.append([record(1)], now=0.0, now_ms=5)
    assert list_segments(tmp_path) == []
    assert spool.bytes == 0
