"""Lines are cut from pieces of any size, and each knows its number and where it ends."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.stored.lines import Cutter, LineTooLong


def cut(pieces: list[bytes], line_max: int = 1000) -> list[tuple[int, int, bytes]]:
    cutter = Cutter(line_max)
    found = [(cutter.number, cutter.taken, line) for piece in pieces for line in cutter.feed(piece)]
    return found + [(cutter.number, cutter.taken, line) for line in cutter.end()]


@given(text=st.text(alphabet="ab \n", max_size=60), cuts=st.lists(st.integers(0, 60), max_size=6))
def test_however_the_bytes_arrive_the_same_lines_come_out(text: str, cuts: list[int]) -> None:
    raw = text.encode()
    marks = sorted({0, len(raw), *(mark for mark in cuts if mark <= len(raw))})
    pieces = [raw[a:b] for a, b in pairwise(marks)]
    expected, end = [], 0
    for number, line in enumerate(raw.split(b"\n"), 1):
        end = min(end + len(line) + 1, len(raw))
        if line.strip():
            expected.append((number, end, line))
    assert cut(pieces) == expected


@pytest.mark.parametrize("pieces", [[b"12345"], [b"123", b"45"], [b"1\n12345\n"], [b"1\n12345"]])
def test_a_line_longer_than_its_bound_is_refused_before_it_is_whole(pieces: list[bytes]) -> None:
    with pytest.raises(LineTooLong, match=f"Line {1 + pieces[0].count(b'1' + bytes((10,)))} is longer than 4 bytes"):
        cut(pieces, line_max=4)
    assert [line for *_, line in cut([b"1234\n1234"], line_max=4)] == [b"1234", b"1234"]
