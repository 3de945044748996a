"""A pool's caps over real sockets: who is held up, who is not, and whose noise reaches whom."""

import asyncio
import json
from typing import Any

import httpx
import pytest

from tests.gateway.fakes import Line, Received, ScriptedUpstream, answer, chat, silence
from tests.gateway.serving import ACME, GLOBEX, Gateway, chat_request, gateway, post, routing, until

SLOW = json.dumps(chat_request(model="slow")).encode()
FAST = json.dumps(chat_request()).encode()


def with_slow(url: str, **changes: Any) -> Any:
    """`fast` as ever, and beside it in the same tier `slow`, which may hold one slot."""
    alias = {"tier": "interactive", "targets": [{"upstream": "u0", "model": "m0"}], "max_inflight": 1}
    return routing(url, aliases={"slow": alias}, **changes)


async def ask(served: Gateway, key: str = ACME, body: dict[str, Any] | None = None, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with served.client(key) as client:
        return await client.post("/v1/chat/completions", json=body or chat_request(), headers=named)


class Paced:
    """An upstream that ends one answer for each step, the oldest first."""

    def __init__(self, upstream: ScriptedUpstream) -> None:
        self._steps = asyncio.Semaphore(0)
        upstream.always = self._reply

    def step(self, count: int = 1) -> None:
        for _ in range(count):
            self._steps.release()

    async def _reply(self, line: Line, request: Received) -> None:
        await self._steps.acquire()
        await answer(chat())(line, request)


async def test_a_noisy_tenant_adds_no_more_than_its_share_to_anothers_wait(upstream: ScriptedUpstream) -> None:
    upstream_is = Paced(upstream)
    tiers = {"interactive": {"max_inflight": 3, "max_queue": 40, "max_queue_seconds": 30}}
    async with gateway(routing(upstream.url, tiers=tiers)) as served:
        pool = served.plane.pools["interactive"]
        over = asyncio.Event()

        async def make_noise() -> None:
            async with served.client() as client:
                while not over.is_set():
                    await client.post("/v1/chat/completions", json=chat_request())

        async with asyncio.TaskGroup() as asking:
            for _ in range(23):
                asking.create_task(make_noise())
            try:
                for _ in range(8):
                    await until(lambda: (pool.inflight, pool.queued) == (3, 20))
                    quiet = asking.create_task(ask(served, GLOBEX))
                    await until(lambda: pool.queued == 21)
                    before = len(served.books.intents)
                    while served.books.intents[-1].tenant != "globex":
                        seen = len(served.books.intents)
                        assert seen - before <= 1, "the noisy one is served once, and then it is the quiet one's turn"
                        upstream_is.step()
                        await until(lambda seen=seen: len(served.books.intents) > seen)
                    upstream_is.step(3)
                    await quiet
            finally:
                over.set()
                upstream_is.step(99)
    assert pool.inflight == 0


async def test_a_slow_alias_fills_neither_its_tiers_slots_nor_its_queue(upstream: ScriptedUpstream) -> None:
    upstream.always = silence
    tiers = {"interactive": {"max_inflight": 2, "max_queue": 4}}
    async with gateway(with_slow(upstream.url, tiers=tiers)) as served:
        pool = served.plane.pools["interactive"]
        slow = []
        for count in range(5):
            slow.append(await served.raw(post(SLOW)))
            await until(lambda count=count: (pool.inflight, pool.queued) == (1, count))
        upstream.always = answer(chat())
        for _ in range(5):
            got = await ask(served)
            assert (got.status_code, got.headers["x-tollway-queue-seconds"]) == (200, "0")
        upstream.always = silence
        _, fast = await served.raw(post(FAST))
        await until(lambda: pool.inflight == 2)
        waiting, _ = await served.raw(post(FAST))
        assert b" 429 " in await asyncio.wait_for(slow[-1][0].readline(), 2), "the newest of the slow gives way"
        upstream.always = answer(chat())
        fast.close()
        assert b" 200 " in await asyncio.wait_for(waiting.readline(), 2)
        for _, writer in slow:
            writer.close()
        await until(lambda: (pool.inflight, pool.queued) == (0, 0))


@pytest.mark.parametrize("cap", ["max_inflight_per_tenant", "max_inflight_per_session"])
async def test_who_is_at_a_cap_of_its_own_waits_while_others_go(upstream: ScriptedUpstream, cap: str) -> None:
    upstream.always = silence
    async with gateway(routing(upstream.url, tiers={"interactive": {cap: 1}})) as served:
        pool = served.plane.pools["interactive"]
        _, first = await served.raw(post(FAST, "x-tollway-session: s"))
        await until(lambda: pool.inflight == 1)
        held_up, _ = await served.raw(post(FAST, "x-tollway-session: s"))
        await until(lambda: pool.queued == 1)
        upstream.always = answer(chat())
        got = await ask(served, GLOBEX, x_tollway_session="s")
        assert (got.status_code, got.headers["x-tollway-queue-seconds"]) == (200, "0")
        if cap == "max_inflight_per_session":
            got = await ask(served, x_tollway_session="t")
            assert (got.status_code, got.headers["x-tollway-queue-seconds"]) == (200, "0")
        assert pool.queued == 1
        first.close()
        assert b" 200 " in await asyncio.wait_for(held_up.readline(), 2)


async def test_tokens_in_flight_are_bounded_by_prompt_and_longest_answer(upstream: ScriptedUpstream) -> None:
    upstream.always = silence
    async with gateway(routing(upstream.url, tiers={"interactive": {"max_tokens_inflight": 1000}})) as served:
        pool = served.plane.pools["interactive"]
        long = json.dumps(chat_request(max_tokens=5000)).encode()
        _, first = await served.raw(post(long))
        await until(lambda: pool.inflight == 1)
        assert 5000 < pool.tokens < 5100
        short = json.dumps(chat_request(max_tokens=300)).encode()
        others = [await served.raw(post(short)) for _ in range(4)]
        await until(lambda: pool.queued == 4)
        first.close()
        await until(lambda: (pool.inflight, pool.queued) == (3, 1))
        for _, writer in others:
            writer.close()
        await until(lambda: (pool.inflight, pool.queued, pool.tokens) == (0, 0, 0))


async def test_reserved_slots_are_left_to_tenants_below_their_share(upstream: ScriptedUpstream) -> None:
    upstream.always = silence
    tiers = {"interactive": {"max_inflight": 4, "reserved_share": 0.5}}
    async with gateway(routing(upstream.url, tiers=tiers)) as served:
        pool = served.plane.pools["interactive"]
        noisy = [await served.raw(post(FAST)) for _ in range(5)]
        await until(lambda: (pool.inflight, pool.queued) == (2, 3))
        quiet = [await served.raw(post(FAST, key=GLOBEX)) for _ in range(2)]
        await until(lambda: (pool.inflight, pool.queued) == (4, 3))
        for _, writer in (*noisy, *quiet):
            writer.close()
        await until(lambda: (pool.inflight, pool.queued) == (0, 0))


async def test_a_queue_whose_requests_end_at_once_is_emptied_without_recursion(upstream: ScriptedUpstream) -> None:
    upstream.always = silence
    tiers = {"interactive": {"max_inflight": 1, "max_queue": 600}}
    async with gateway(routing(upstream.url, tiers=tiers)) as served:
        pool = served.plane.pools["interactive"]
        _, first = await served.raw(post(FAST))
        await until(lambda: pool.inflight == 1)
        waiting = [await served.raw(post(FAST)) for _ in range(400)]
        await until(lambda: pool.queued == 400)
        served.books.full = True
        first.close()
        answers = await asyncio.gather(*(reader.readline() for reader, _ in waiting))
        await until(lambda: (pool.inflight, pool.queued) == (0, 0))
    assert {line.split()[1] for line in answers} == {b"503"}


async def test_a_tier_that_takes_only_streams_says_so(upstream: ScriptedUpstream) -> None:
    async with gateway(routing(upstream.url, tiers={"interactive": {"streaming_required": True}})) as served:
        got = await ask(served)
        error = got.json()["error"]
        assert (got.status_code, error["code"], error["param"]) == (400, "streaming_required", "stream")
        assert upstream.received == []
        assert (await ask(served, body=chat_request(stream=True))).status_code == 200
        assert served.plane.pools["interactive"].turned_away["streaming_required"] == 1


async def test_when_to_come_back_is_reckoned_with_the_cap_that_holds_one_up(upstream: ScriptedUpstream) -> None:
    upstream.always = silence
    tiers = {"interactive": {"max_inflight": 8, "max_queue": 2, "max_inflight_per_tenant": 1}}
    async with gateway(routing(upstream.url, tiers=tiers)) as served:
        pool = served.plane.pools["interactive"]
        lines = [await served.raw(post(FAST)) for _ in range(3)]
        await until(lambda: (pool.inflight, pool.queued) == (1, 2))
        got = await ask(served)
        assert (got.status_code, got.json()["error"]["code"]) == (429, "tier_queue_full")
        assert got.headers["retry-after"] == "3", "two before it, one at a time, a second each"
        for _, writer in lines:
            writer.close()
        await until(lambda: (pool.inflight, pool.queued) == (0, 0))
