import gzip

import pytest

from collector.inflate import STEP, gunzip
from collector.inflight import Inflight
from collector.refusals import BadRequest, Busy, TooLarge

MIB = 1024 * 1024


def inflated(data: bytes, *, bytes_max: int = 8 * MIB, inflight_max: int = 64 * MIB) -> bytes:
    with Inflight(inflight_max, retry_after_s=1).share() as share:
        return gunzip(data, bytes_max=bytes_max, share=share)


@pytest.mark.parametrize("size", [0, 1, STEP - 1, STEP, STEP + 1, 3 * STEP])
def test_what_was_zipped_comes_out_again(size: int) -> None:
    data = bytes(range(256)) * (size // 256 + 1)
    assert inflated(gzip.compress(data[:size])) == data[:size]


def test_many_small_members_hold_no_more_than_what_they_inflate_to() -> None:
    assert inflated(gzip.compress(b"x") * 100, inflight_max=100) == b"x" * 100


def test_members_one_behind_the_other_are_one_body() -> None:
    assert inflated(gzip.compress(b"one ") + gzip.compress(b"body")) == b"one body"


@pytest.mark.parametrize(("size", "taken"), [(MIB, True), (MIB + 1, False)])
def test_a_body_may_inflate_to_the_limit_and_not_a_byte_further(size: int, taken: bool) -> None:
    data = gzip.compress(bytes(size))
    if taken:
        assert len(inflated(data, bytes_max=MIB)) == size
    else:
        with pytest.raises(TooLarge):
            inflated(data, bytes_max=MIB)


def test_a_bomb_is_caught_before_it_holds_more_than_the_limit_and_one_step() -> None:
    bomb = gzip.compress(bytes(200 * MIB), compresslevel=9)
    inflight = Inflight(64 * MIB, retry_after_s=1)
    with inflight.share() as share:
        with pytest.raises(TooLarge):
            gunzip(bomb, bytes_max=4 * MIB, share=share)
        assert inflight.bytes <= 5 * MIB
    assert inflight.bytes == 0


@pytest.mark.parametrize("data", [b"not gzip", gzip.compress(b"cut short")[:-4], gzip.compress(b"x") + b"tail"])
def test_what_is_not_gzip_to_its_end_is_a_bad_request(data: bytes) -> None:
    with pytest.raises(BadRequest):
        inflated(data)


def test_inflating_counts_into_what_is_in_flight() -> None:
    with pytest.raises(Busy):
        inflated(gzip.compress(bytes(3 * MIB)), inflight_max=2 * MIB)


def test_what_a_request_held_is_given_back() -> None:
    inflight = Inflight(100, retry_after_s=1)
    with inflight.share() as share:
        share.take(60)
        with pytest.raises(Busy):
            share.take(41)
        share.take(40)
    assert inflight.bytes == 0
