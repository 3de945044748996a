"""Small pieces gathered into larger ones."""

import asyncio

from gateway.relay.coalesce import GATHER_S, Coalescer
from tests.gateway.serving import until


async def test_a_size_of_nothing_gathers_nothing() -> None:
    out: list[bytes] = []
    gathering = Coalescer(out.append, 0, asyncio.get_running_loop())
    gathering.add(b"a")
    gathering.add(b"b")
    assert out == [b"a", b"b"]


async def test_pieces_go_on_once_there_are_enough() -> None:
    out: list[bytes] = []
    gathering = Coalescer(out.append, 4, asyncio.get_running_loop())
    for piece in (b"ab", b"c", b"de", b"f"):
        gathering.add(piece)
    assert out == [b"abcde"]
    gathering.flush()
    assert out == [b"abcde", b"f"]


async def test_what_is_not_enough_goes_on_after_a_while() -> None:
    out: list[bytes] = []
    loop = asyncio.get_running_loop()
    gathering = Coalescer(out.append, 100, loop)
    began = loop.time()
    gathering.add(b"ab")
    gathering.add(b"c")
    await until(lambda: out)
    assert out == [b"abc"]
    assert loop.time() - began >= GATHER_S * 0.9


async def test_what_is_dropped_never_goes_on() -> None:
    out: list[bytes] = []
    gathering = Coalescer(out.append, 100, asyncio.get_running_loop())
    gathering.add(b"ab")
    gathering.drop()
    gathering.flush()
    assert out == []
