"""A request that has ended is gone: from memory, from the pools, from every timer."""

import asyncio
import gc
import json

from gateway.flow.exchange import Exchange
from gateway.flow.trial import Trial
from gateway.wire.reply import Reply
from tests.gateway.fakes import (
    ROLE,
    ScriptedUpstream,
    after,
    answer,
    chat,
    chunk,
    error,
    event,
    events,
    silence,
    stream,
)
from tests.gateway.serving import chat_request, gateway, post, routing, until

WHOLE = json.dumps(chat_request()).encode()
STREAMED = json.dumps(chat_request(stream=True)).encode()


def alive() -> int:
    return sum(isinstance(thing, Exchange | Trial | Reply) for thing in gc.get_objects())


async def test_requests_that_ended_in_any_way_leave_nothing_to_the_garbage_collector(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    word = event(chunk("Hi"))
    upstream.always = stream(ROLE, word, end="cut")
    alternate.always = answer(chat())
    upstream.script.extend([answer(chat()), stream(*events("Hi")), error(500), error(400), stream(ROLE)])
    async with gateway(routing(upstream.url, alternate.url)) as served, served.client() as client:
        await client.get("/healthz")
        gc.collect()
        before = alive()
        gc.disable()
        try:
            for wants_stream in (False, True, False, False, True, True):
                await client.post("/v1/chat/completions", json=chat_request(stream=wants_stream))
            upstream.always = silence
            _, writer = await served.raw(post(WHOLE))
            await until(lambda: len(upstream.received) == 7)
            writer.close()
            await until(lambda: len(served.books.operations) == 7)
            upstream.always = stream(ROLE, word, end="hang")
            reader, writer = await served.raw(post(STREAMED))
            await reader.readuntil(word)
            writer.close()
            await until(lambda: len(served.books.operations) == 8)
            await until(lambda: len(served.state.connections) == 1)
            # The last answer on a kept connection stays until the next request takes its place.
            await client.get("/healthz")
            await asyncio.sleep(0)
            assert alive() == before
        finally:
            gc.enable()
        plane = served.plane
        assert plane.exchanges == set()
        assert [pool.inflight for pool in plane.pools.values()] == [0, 0]
        assert [len(plane.lanes.of(seconds)) for seconds in (5.0, 600.0)] == [0, 0]


async def test_hedged_requests_that_were_won_lost_or_left_leave_nothing_either(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    gate = asyncio.Event()
    upstream.always = alternate.always = silence
    upstream.script.extend([silence, after(gate), stream(ROLE, end="hang")])
    alternate.script.extend([answer(chat()), silence, stream(*events("Hi"))])
    config = routing(upstream.url, alternate.url, tiers={"interactive": {"hedge_after_s": 0.02}})
    async with gateway(config) as served, served.client() as client:
        await client.get("/healthz")
        gc.collect()
        before = alive()
        gc.disable()
        try:
            await client.post("/v1/chat/completions", json=chat_request())
            losing = asyncio.ensure_future(client.post("/v1/chat/completions", json=chat_request()))  # noqa: TID251
            await until(lambda: len(alternate.received) == 2)
            gate.set()
            await losing
            await client.post("/v1/chat/completions", json=chat_request(stream=True))
            _, writer = await served.raw(post(WHOLE))
            await until(lambda: len(alternate.received) == 4)
            writer.close()
            await until(lambda: len(served.books.operations) == 4)
            await until(lambda: len(served.state.connections) == 1)
            await client.get("/healthz")
            await asyncio.sleep(0)
            assert alive() == before
        finally:
            gc.enable()
        assert [len(lane) for lane in served.plane.lanes._lanes.values()] == [0] * 3
    assert [a.error_type for a in served.books.attempts].count("hedge_lost") == 3
