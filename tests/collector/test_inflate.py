import asyncio
import gzip
import os
import threading
import zlib
from collections.abc import Callable

import pytest

from collector.inflate import ENCODINGS, INLINE_BYTES, MEMBERS_MAX, STEP, inflate, inflate_beside, zstd
from collector.inflight import Inflight
from collector.refusals import BadRequest, Busy, Gone, TooLarge, TooMany

MIB = 1024 * 1024


COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zstd": zstd.compress,
    "deflate": zlib.compress,
}
every_encoding = pytest.mark.parametrize("encoding", ENCODINGS)


def inflated(data: bytes, encoding: str = "gzip", *, bytes_max: int = 8 * MIB, inflight_max: int = 64 * MIB) -> bytes:
    with Inflight(inflight_max, retry_after_s=1).share() as share:
        return inflate(data, encoding, bytes_max=bytes_max, share=share)


@pytest.mark.parametrize("size", [0, 1, STEP - 1, STEP, STEP + 1, 3 * STEP])
@every_encoding
def test_what_was_compressed_comes_out_again(size: int, encoding: str) -> None:
    data = bytes(range(256)) * (size // 256 + 1)
    assert inflated(COMPRESS[encoding](data[:size]), encoding) == data[:size]


@every_encoding
def test_what_hardly_compresses_comes_out_again(encoding: str) -> None:
    data = os.urandom(3 * STEP)
    assert inflated(COMPRESS[encoding](data), encoding) == data


def test_many_small_members_hold_no_more_than_what_they_inflate_to() -> None:
    assert inflated(gzip.compress(b"x") * 100, inflight_max=100) == b"x" * 100


def test_members_one_behind_the_other_are_one_body() -> None:
    assert inflated(gzip.compress(b"one ") + gzip.compress(b"body")) == b"one body"


def test_frames_of_zstd_one_behind_the_other_are_one_body() -> None:
    assert inflated(zstd.compress(b"one ") + zstd.compress(b"body"), "zstd") == b"one body"


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_a_body_of_countless_empty_members_is_refused(encoding: str) -> None:
    assert inflated(COMPRESS[encoding](b"") * MEMBERS_MAX, encoding) == b""
    with pytest.raises(TooLarge, match="members"):
        inflated(COMPRESS[encoding](b"") * (MEMBERS_MAX + 1), encoding)


@every_encoding
@pytest.mark.parametrize(("size", "taken"), [(MIB, True), (MIB + 1, False)])
def test_a_body_may_inflate_to_the_limit_and_not_a_byte_further(size: int, taken: bool, encoding: str) -> None:
    data = COMPRESS[encoding](bytes(size))
    if taken:
        assert len(inflated(data, encoding, bytes_max=MIB)) == size
    else:
        with pytest.raises(TooLarge):
            inflated(data, encoding, bytes_max=MIB)


@every_encoding
def test_a_bomb_is_caught_before_it_holds_more_than_the_limit_and_one_step(encoding: str) -> None:
    bomb = COMPRESS[encoding](bytes(200 * MIB))
    inflight = Inflight(64 * MIB, retry_after_s=1)
    with inflight.share() as share:
        with pytest.raises(TooLarge):
            inflate(bomb, encoding, bytes_max=4 * MIB, share=share)
        assert inflight.bytes <= 5 * MIB
    assert inflight.bytes == 0


def test_a_zstd_window_above_what_http_allows_is_refused_and_no_memory_is_taken_for_it() -> None:
    options = {zstd.CompressionParameter.window_log: 27, zstd.CompressionParameter.enable_long_distance_matching: 1}
    compressor = zstd.ZstdCompressor(options=options)
    with pytest.raises(BadRequest, match="too much memory"):
        inflated(compressor.compress(bytes(16 * MIB)) + compressor.flush(), "zstd", bytes_max=64 * MIB)


@every_encoding
def test_what_is_cut_short_or_followed_by_something_else_is_a_bad_request(encoding: str) -> None:
    whole = COMPRESS[encoding](b"cut short")
    for data in (b"not that", whole[:-4], whole + b"tail"):
        with pytest.raises(BadRequest, match=encoding):
            inflated(data, encoding)


@every_encoding
async def test_a_large_body_is_inflated_beside_the_loop_and_a_small_one_on_it(
    encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside: list[object] = []
    to_thread = asyncio.to_thread

    async def noted(*args: object) -> object:
        beside.append(args)
        return await to_thread(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(asyncio, "to_thread", noted)
    for size, threads in ((INLINE_BYTES - 1, 0), (4 * STEP, 1)):
        with Inflight(64 * MIB, retry_after_s=1).share() as share:
            data = COMPRESS[encoding](bytes(size))
            assert await inflate_beside(data, encoding, bytes_max=8 * MIB, share=share) == bytes(size)
        assert len(beside) == threads


def test_a_thread_at_the_body_of_a_sender_that_left_stops_and_leaves_nothing_counted() -> None:
    inflight = Inflight(64 * MIB, retry_after_s=1)
    share = inflight.share()
    with share:
        share.take(5)
    failed: list[Exception] = []

    def work() -> None:
        try:
            inflate(gzip.compress(bytes(8 * MIB)), "gzip", bytes_max=8 * MIB, share=share)
        except Gone as gone:
            failed.append(gone)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert failed
    assert inflight.bytes == 0


def test_one_sender_cannot_take_what_is_left_to_the_others() -> None:
    inflight = Inflight(100, retry_after_s=1, sender_bytes_max=60)
    with inflight.share("noisy") as noisy, inflight.share("quiet") as quiet:
        noisy.take(60)
        with pytest.raises(TooMany):
            noisy.take(1)
        with inflight.share("noisy") as another, pytest.raises(TooMany):
            another.take(1)
        quiet.take(40)
        with pytest.raises(Busy, match="in flight"):
            quiet.take(1)
    with inflight.share("noisy") as noisy:
        noisy.take(60)


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
