"""Requests and tokens per minute of tenants, and what an upstream's key may carry, over real sockets."""

import asyncio
import json
from typing import Any

import httpx
import pytest
import yaml

from gateway.config import RoutingFile, load_text
from gateway.domain import clock
from gateway.domain.attempt import Outcome
from gateway.flow.reload import Reread
from tests.gateway.fakes import (
    ROLE,
    Reply,
    ScriptedUpstream,
    after,
    answer,
    chat,
    chunk,
    drop,
    error,
    event,
    events,
    silence,
    stream,
)
from tests.gateway.serving import ACME, GLOBEX, Gateway, chat_request, gateway, post, routing, settings, until

BODY = json.dumps(chat_request()).encode()
STREAMED = json.dumps(chat_request(stream=True)).encode()


async def ask(served: Gateway, key: str = ACME, **changes: Any) -> httpx.Response:
    async with served.client(key) as client:
        return await client.post("/v1/chat/completions", json=chat_request(**changes))


def code(got: httpx.Response) -> tuple[int, str]:
    return got.status_code, got.json()["error"]["code"]


def breakers_closed(served: Gateway) -> bool:
    return not any(served.plane.breakers.open_by_upstream().values())


# Tenants


async def test_a_tenants_requests_per_minute_hold_on_every_connection_and_concern_nobody_else(
    upstream: ScriptedUpstream,
) -> None:
    async with gateway(routing(upstream.url, tenants={"acme": {"requests_per_minute": 3}})) as served:
        async with served.client() as client:
            got = [await client.post("/v1/chat/completions", json=chat_request()) for _ in range(4)]
        got.append(await ask(served))
        theirs = await ask(served, GLOBEX)
        metrics = (await ask_metrics(served)).splitlines()
    assert [one.status_code for one in got] == [200, 200, 200, 429, 429]
    assert code(got[3]) == (429, "quota_exhausted")
    assert 15 <= int(got[3].headers["retry-after"]) <= 20
    assert theirs.status_code == 200
    refused = served.books.operations[3]
    assert (refused.outcome, refused.error_type, refused.attempts) == (Outcome.REFUSED, "quota_exhausted", 0)
    assert 'tollway_quota_refusals_total{kind="requests"} 2.0' in metrics
    assert 'tollway_refused_total{cause="quota_exhausted",tier="interactive"} 2.0' in metrics
    assert not [line for line in metrics if "acme" in line]


async def ask_metrics(served: Gateway) -> str:
    async with served.client() as client:
        return (await client.get("/metrics")).text


async def test_tokens_are_estimated_before_and_trued_up_after(upstream: ScriptedUpstream) -> None:
    large = chat(usage={"prompt_tokens": 1500, "completion_tokens": 500, "total_tokens": 2000})
    upstream.script.extend([answer(chat())] * 9 + [answer(large)])
    async with gateway(routing(upstream.url, tenants={"acme": {"tokens_per_minute": 1000}})) as served:
        answers = [await ask(served, max_tokens=200) for _ in range(10)]
        refused = await ask(served, max_tokens=200)
    # Ten estimates of 200 would not have passed; ten answers of 13 tokens do, and then one of 2000 has to be made up.
    assert [one.status_code for one in answers] == [200] * 10
    assert code(refused) == (429, "quota_exhausted")
    assert int(refused.headers["retry-after"]) >= 60


async def test_tokens_under_way_count_before_they_are_known(upstream: ScriptedUpstream) -> None:
    upstream.always = silence
    async with gateway(routing(upstream.url, tenants={"acme": {"tokens_per_minute": 500}})) as served:
        _, writer = await served.raw(post(BODY))
        await until(lambda: upstream.received)
        refused = await ask(served)
        writer.close()
        await until(lambda: len(served.books.operations) == 2)
    assert code(refused) == (429, "quota_exhausted")


@pytest.mark.parametrize(("reply", "passed"), [(error(500), 5), (error(400), 5), (drop, 2)])
async def test_a_call_that_its_vendor_refused_costs_nothing_and_one_that_broke_off_what_was_expected(
    upstream: ScriptedUpstream, reply: Reply, passed: int
) -> None:
    upstream.always = reply
    config = routing(upstream.url, tenants={"acme": {"tokens_per_minute": 600}}, breaker={"consecutive_failures": 99})
    async with gateway(config) as served:
        got = [await ask(served) for _ in range(5)]
    assert [one.status_code == 429 for one in got] == [False] * passed + [True] * (5 - passed)


async def test_the_queue_and_the_quota_are_two_things(upstream: ScriptedUpstream) -> None:
    tiers = {"interactive": {"max_inflight": 1, "max_queue": 0}}
    upstream.always = silence
    config = routing(upstream.url, tiers=tiers, tenants={"acme": {"tokens_per_minute": 600}})
    async with gateway(config) as served:
        _, writer = await served.raw(post(BODY, key=GLOBEX))
        await until(lambda: upstream.received)
        full = [await ask(served) for _ in range(9)]
        writer.close()
        await until(lambda: not served.plane.pools["interactive"].inflight)
        upstream.always = answer(chat())
        assert (await ask(served)).status_code == 200, "what was never sent has used no tokens"
    assert {code(one) for one in full} == {(429, "tier_queue_full")}


# Upstreams


async def test_an_upstream_with_as_many_calls_as_it_may_have_is_passed_over(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    upstream.always = silence
    config = routing(upstream.url, alternate.url, upstreams={"u0": {"max_inflight": 1}})
    async with gateway(config) as served:
        _, writer = await served.raw(post(BODY))
        await until(lambda: upstream.received)
        got = await ask(served)
        assert 'tollway_upstream_inflight{upstream="u0"} 1.0' in await ask_metrics(served)
        writer.close()
        await until(lambda: len(served.books.operations) == 2)
        assert 'tollway_upstream_inflight{upstream="u0"} 0.0' in await ask_metrics(served)
        assert breakers_closed(served)
    assert (got.status_code, got.headers["x-tollway-fallback-reason"]) == (200, "upstream_busy")
    assert len(upstream.received) == 1
    refused = next(a for a in served.books.attempts if a.outcome is Outcome.REFUSED)
    assert (refused.intent.upstream, refused.error_type) == ("u0", "upstream_busy")


async def test_when_every_upstream_is_busy_the_client_is_told_when_to_come_back(upstream: ScriptedUpstream) -> None:
    upstream.always = silence
    async with gateway(routing(upstream.url, upstreams={"u0": {"max_inflight": 1}})) as served:
        _, writer = await served.raw(post(BODY))
        await until(lambda: upstream.received)
        got = await ask(served)
        writer.close()
        await until(lambda: len(served.books.operations) == 2)
        assert breakers_closed(served)
    assert code(got) == (503, "upstream_busy")
    assert int(got.headers["retry-after"]) >= 1
    assert "u0" not in got.text


WORD = event(chunk("Hi"))


@pytest.mark.parametrize(
    "reply",
    [answer(chat()), stream(*events("Hi")), error(500), error(400), drop, stream(ROLE, WORD, end="cut"),
     stream(ROLE), answer(b"no JSON")],
)  # fmt: skip
@pytest.mark.parametrize("body", [BODY, STREAMED])
async def test_however_a_call_ends_its_place_at_the_upstream_is_free(
    upstream: ScriptedUpstream, reply: Reply, body: bytes
) -> None:
    upstream.always = reply
    async with gateway(routing(upstream.url, upstreams={"u0": {"max_inflight": 1}})) as served:
        await served.raw(post(body))
        await until(lambda: served.books.operations)
        assert served.plane.throttle.limits_of("u0").inflight == 0


@pytest.mark.parametrize("reply", [silence, stream(ROLE, WORD, end="hang")])
async def test_a_client_that_hangs_up_frees_its_place_at_the_upstream(upstream: ScriptedUpstream, reply: Reply) -> None:
    upstream.always = reply
    async with gateway(routing(upstream.url, upstreams={"u0": {"max_inflight": 1}})) as served:
        _, writer = await served.raw(post(STREAMED))
        await until(lambda: upstream.received)
        assert served.plane.throttle.limits_of("u0").inflight == 1
        writer.close()
        await until(lambda: served.books.operations)
        assert served.plane.throttle.limits_of("u0").inflight == 0


async def test_a_call_that_the_journal_cannot_record_frees_its_place(upstream: ScriptedUpstream) -> None:
    async with gateway(routing(upstream.url, upstreams={"u0": {"max_inflight": 1}})) as served:
        served.books.full = True
        assert code(await ask(served)) == (503, "journal_unavailable")
        assert served.plane.throttle.limits_of("u0").inflight == 0


async def test_an_alternate_counts_from_the_decision_on_so_its_bound_holds_while_the_disk_is_slow(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    upstream.always = error(500)
    gate = asyncio.Event()
    alternate.always = after(gate)
    config = routing(upstream.url, alternate.url, upstreams={"u1": {"max_inflight": 1}})
    async with gateway(config) as served:
        served.books.disk.clear()
        async with asyncio.TaskGroup() as asking:
            first = asking.create_task(ask(served))
            await until(lambda: served.plane.throttle.limits_of("u1").inflight == 1)
            second = await ask(served)
            served.books.disk.set()
            gate.set()
    assert (first.result().status_code, second.status_code) == (200, 500)
    assert len(alternate.received) == 1


async def test_an_upstreams_requests_per_minute_are_never_passed(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    config = routing(upstream.url, alternate.url, upstreams={"u0": {"requests_per_minute": 2}})
    async with gateway(config) as served:
        got = [await ask(served) for _ in range(4)]
    assert [one.headers["x-tollway-upstream"] for one in got] == ["u0", "u0", "u1", "u1"]
    assert got[3].headers["x-tollway-fallback-reason"] == "upstream_busy"


async def test_an_upstreams_tokens_per_minute_are_counted_as_its_vendor_counts_them(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    used = {"prompt_tokens": 200, "completion_tokens": 700, "total_tokens": 900}
    upstream.always = answer(chat(usage=used))
    config = routing(upstream.url, alternate.url, upstreams={"u0": {"tokens_per_minute": 1000}})
    async with gateway(config) as served:
        got = [await ask(served) for _ in range(2)]
    assert [one.headers["x-tollway-upstream"] for one in got] == ["u0", "u1"]
    assert got[1].headers["x-tollway-fallback-reason"] == "upstream_busy"


@pytest.mark.parametrize("status", [200, 429])
async def test_a_vendors_word_that_nothing_is_left_is_heeded_until_its_reset(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream, status: int
) -> None:
    headers = {"x_ratelimit_remaining_requests": "0", "x_ratelimit_reset_requests": "6m0s"}
    upstream.script.append(answer(chat(), status, **headers))
    async with gateway(routing(upstream.url, alternate.url)) as served:
        await ask(served)
        got = await ask(served)
        assert (got.status_code, got.headers["x-tollway-fallback-reason"]) == (200, "upstream_busy")
        assert len(upstream.received) == 1


async def test_a_reset_that_has_come_lets_calls_through(upstream: ScriptedUpstream) -> None:
    headers = {"x_ratelimit_remaining_tokens": "0", "x_ratelimit_reset_tokens": "80ms"}
    upstream.script.append(answer(chat(), **headers))
    async with gateway(routing(upstream.url)) as served:
        assert (await ask(served)).status_code == 200
        limits = served.plane.throttle.limits_of("u0")
        assert limits.busy_s("m0", lambda: 0, 0.0) is not None, "at an instant before its reset"
        await until(lambda: limits.busy_s("m0", lambda: 0, clock.monotonic()) is None)
        assert (await ask(served)).status_code == 200


async def test_a_reload_forgets_neither_what_was_taken_nor_what_is_under_way(upstream: ScriptedUpstream) -> None:
    upstream.always = silence
    bounds = {"upstreams": {"u0": {"max_inflight": 1}}, "tenants": {"globex": {"requests_per_minute": 1}}}
    again = routing(upstream.url, **bounds, cache={"policy_epoch": "2"})
    async with gateway(routing(upstream.url, **bounds), read_again=lambda: Reread(again)) as served:
        _, writer = await served.raw(post(BODY, key=GLOBEX))
        await until(lambda: upstream.received)
        before = served.plane
        await served.serving.reload()
        assert served.plane is not before
        assert code(await ask(served)) == (503, "upstream_busy")
        assert code(await ask(served, GLOBEX)) == (429, "quota_exhausted")
        writer.close()
        await until(lambda: served.plane.throttle.limits_of("u0").inflight == 0)


async def test_a_call_to_an_upstream_that_a_reload_took_out_ends_as_it_should(upstream: ScriptedUpstream) -> None:
    upstream.always = silence
    before = routing(upstream.url, upstreams={"u0": {"max_inflight": 1}})
    renamed = yaml.safe_dump(settings(upstream.url)).replace("u0", "w0")
    config = load_text(renamed, RoutingFile, env={}).routing()
    async with gateway(before, read_again=lambda: Reread(config)) as served:
        _, writer = await served.raw(post(BODY))
        await until(lambda: upstream.received)
        await served.serving.reload()
        limits = served.plane.throttle.limits_of("u0")
        assert limits.inflight == 1
        writer.close()
        await until(lambda: limits.inflight == 0)
