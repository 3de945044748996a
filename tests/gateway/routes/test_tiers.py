"""Tiers as pools: slots, queues, patience, and nobody else's slots."""

import asyncio
import json

import httpx

from gateway.domain.attempt import Outcome
from tests.gateway.fakes import ScriptedUpstream, after, answer, chat, error, events, silence, stream
from tests.gateway.serving import GLOBEX, Gateway, chat_request, gateway, post, routing, until

BODY = json.dumps(chat_request()).encode()


async def ask(served: Gateway, key: str | None = None, model: str = "fast", **headers: str) -> httpx.Response:
    async with served.client(*([key] if key else [])) as client:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await client.post("/v1/chat/completions", json=chat_request(model=model), headers=named)


async def test_who_waits_is_served_when_a_slot_is_free_and_its_wait_is_measured(upstream: ScriptedUpstream) -> None:
    gate = asyncio.Event()
    upstream.always = after(gate)
    config = routing(upstream.url, tiers={"interactive": {"max_inflight": 1}})
    async with gateway(config) as served, asyncio.TaskGroup() as asking:
        first = asking.create_task(ask(served))
        await until(lambda: upstream.received)
        second = asking.create_task(ask(served))
        await until(lambda: served.plane.pools["interactive"].queued == 1)
        gate.set()
    assert first.result().headers["x-tollway-queue-seconds"] == "0"
    waited = float(second.result().headers["x-tollway-queue-seconds"])
    assert 0 < waited < 5
    assert abs(served.books.attempts[1].intent.queue_seconds - waited) < 1e-5
    assert abs(served.books.operations[1].queue_seconds - waited) < 1e-5


async def test_a_full_queue_is_a_429_with_a_time_to_come_back(upstream: ScriptedUpstream) -> None:
    upstream.always = silence
    async with gateway(routing(upstream.url, tiers={"interactive": {"max_inflight": 1, "max_queue": 0}})) as served:
        _, writer = await served.raw(post(BODY))
        await until(lambda: upstream.received)
        got = await ask(served)
        writer.close()
        await until(lambda: len(served.books.operations) == 2)
    assert (got.status_code, got.json()["error"]["code"]) == (429, "tier_queue_full")
    assert int(got.headers["retry-after"]) >= 1
    refused = served.books.operations[0]
    assert (refused.outcome, refused.error_type, refused.attempts) == (Outcome.REFUSED, "queue_overflow", 0)


async def test_patience_that_ends_is_a_503_with_a_time_to_come_back(upstream: ScriptedUpstream) -> None:
    upstream.always = silence
    tiers = {"interactive": {"max_inflight": 1, "max_queue_seconds": 0.05}}
    async with gateway(routing(upstream.url, tiers=tiers)) as served:
        _, writer = await served.raw(post(BODY))
        await until(lambda: upstream.received)
        got = await ask(served)
        writer.close()
        await until(lambda: len(served.books.operations) == 2)
    assert (got.status_code, got.json()["error"]["code"]) == (503, "tier_queue_timeout")
    assert int(got.headers["retry-after"]) >= 1
    assert served.books.operations[0].error_type == "queue_timeout"
    assert served.books.operations[0].queue_seconds >= 0.04


async def test_the_time_limit_of_a_request_holds_in_the_queue_too(upstream: ScriptedUpstream) -> None:
    upstream.always = silence
    tiers = {"interactive": {"max_inflight": 1, "total_timeout_s": 0.1}}
    async with gateway(routing(upstream.url, tiers=tiers)) as served:
        async with asyncio.TaskGroup() as asking:
            tasks = [asking.create_task(ask(served)) for _ in range(2)]
        pool = served.plane.pools["interactive"]
        assert (pool.inflight, pool.queued) == (0, 0)
    assert [task.result().status_code for task in tasks] == [504, 504]


async def test_one_tier_never_uses_anothers_slots(upstream: ScriptedUpstream) -> None:
    upstream.always = silence
    async with gateway(routing(upstream.url)) as served:
        writers = [(await served.raw(post(BODY.replace(b"fast", b"bulk"))))[1] for _ in range(4)]
        await until(lambda: served.plane.pools["batch"].queued == 2)
        assert served.plane.pools["batch"].inflight == 2
        upstream.always = answer(chat())
        got = await ask(served)
        assert (got.status_code, got.headers["x-tollway-queue-seconds"]) == (200, "0")
        for writer in writers:
            writer.close()
        await until(lambda: served.plane.pools["batch"].inflight == 0)


async def test_tenants_take_turns_in_a_tiers_queue(upstream: ScriptedUpstream) -> None:
    gate = asyncio.Event()
    upstream.always = after(gate)
    async with gateway(routing(upstream.url, tiers={"interactive": {"max_inflight": 1}})) as served:
        pool = served.plane.pools["interactive"]
        async with asyncio.TaskGroup() as asking:
            asking.create_task(ask(served))
            await until(lambda: upstream.received)
            for count in (1, 2, 3):
                asking.create_task(ask(served))
                await until(lambda count=count: pool.queued == count)
            asking.create_task(ask(served, GLOBEX))
            await until(lambda: pool.queued == 4)
            gate.set()
    assert [a.intent.tenant for a in served.books.attempts] == ["acme", "acme", "globex", "acme", "acme"]


async def test_a_displaced_request_is_told_that_the_queue_is_full(upstream: ScriptedUpstream) -> None:
    upstream.always = silence
    tiers = {"interactive": {"max_inflight": 1, "max_queue": 2}}
    async with gateway(routing(upstream.url, tiers=tiers)) as served:
        pool = served.plane.pools["interactive"]
        lines = []
        for count in (0, 1, 2):
            lines.append(await served.raw(post(BODY)))
            await until(lambda count=count: (pool.inflight, pool.queued) == (1, count))
        lines.append(await served.raw(post(BODY, key=GLOBEX)))
        assert b" 429 " in await asyncio.wait_for(lines[2][0].readline(), 2)
        assert pool.queued == 2
        for _, writer in lines:
            writer.close()
        await until(lambda: (pool.inflight, pool.queued) == (0, 0))


async def test_the_tier_asked_for_is_used_where_the_tenant_may(upstream: ScriptedUpstream) -> None:
    async with gateway(routing(upstream.url)) as served:
        mine = await ask(served, x_tollway_tier="batch")
        theirs = await ask(served, GLOBEX, x_tollway_tier="batch")
    assert mine.headers["x-tollway-tier"] == "batch"
    assert served.books.attempts[0].intent.tier == "batch"
    assert (theirs.status_code, theirs.json()["error"]["code"]) == (403, "tier_not_allowed")


async def test_an_alias_of_a_tier_that_is_not_ones_own_does_not_exist(upstream: ScriptedUpstream) -> None:
    async with gateway(routing(upstream.url)) as served:
        got = await ask(served, GLOBEX, "bulk")
    assert (got.status_code, got.json()["error"]["code"]) == (404, "model_not_found")
    assert served.books.told == []


async def test_metrics_tell_what_a_tier_promises_and_how_often_it_was_missed(upstream: ScriptedUpstream) -> None:
    sla = {"max_queue_seconds": 0.5, "error_budget": 0.01, "p95_first_token_s": 1e-9, "recovery_s": 60}
    upstream.script.extend([error(500), answer(chat()), stream(*events("Hi"))])
    tiers = {"interactive": {"sla": sla}}
    config = routing(upstream.url, tiers=tiers, gateway={"admin_key": "operator-key-0123456789"})
    async with gateway(config) as served, served.client() as client:
        for fields in ({}, {}, {"stream": True}):
            await client.post("/v1/chat/completions", json=chat_request(**fields))
        lines = (await client.get("/metrics")).text.splitlines()
        state = await client.get("/admin/state", headers={"authorization": "Bearer operator-key-0123456789"})
    told = {line.partition("{")[2] for line in lines if line.startswith("tollway_sla_promised{")}
    assert told == {f'promise="{name}",tier="interactive"}} {float(value)}' for name, value in sla.items()}
    assert sorted(line for line in lines if line.startswith("tollway_sla_missed_total{")) == [
        'tollway_sla_missed_total{promise="error_budget",tier="interactive"} 1.0',
        'tollway_sla_missed_total{promise="p95_first_token_s",tier="interactive"} 1.0',
    ]
    assert state.json()["pools"]["interactive"]["sla"] == sla
    assert state.json()["pools"]["batch"]["sla"] == {}
