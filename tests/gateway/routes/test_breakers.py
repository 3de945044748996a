"""Breakers and brownouts as clients, the books and /metrics see them."""

import asyncio
from dataclasses import replace
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.breakers.breaker import Open
from gateway.breakers.rules import rules_of
from gateway.config import RoutingConfig
from gateway.domain import clock
from gateway.domain.attempt import Transition
from gateway.domain.ids import TenantId
from gateway.domain.reasons import Reason
from tests.gateway.fakes import (
    ROLE,
    ScriptedUpstream,
    after,
    answer,
    chat,
    chunk,
    drop,
    error,
    event,
    silence,
    stream,
)
from tests.gateway.serving import ACME, Gateway, chat_request, gateway, routing, until

KEYS = {name: f"{name}-key-0123456789" for name in ("acme", "globex", "initech", "umbrella")}
REST = {"consecutive_failures": 2, "cooldown_s": 60, "jitter": 0, "ramp_s": 0}
SHORT = {**REST, "cooldown_s": 0.05}
CONTEXT = "context_length_exceeded"


async def ask(served: Gateway, key: str = ACME, **changes: Any) -> httpx.Response:
    async with served.client(key) as client:
        return await client.post("/v1/chat/completions", json=chat_request(**changes))


async def rested(served: Gateway, **key: str) -> None:
    """Return once no breaker rests."""
    loop, breakers = served.plane.loop, served.plane.breakers
    await until(lambda: all(breakers.retry_in_s([each], loop.time()) == 0 for each in breakers.states()))


def moves(served: Gateway, scope: str = "breaker") -> list[tuple[str, str, str, int]]:
    """From, to, cause and failures of each transition."""
    told = [moved for moved in served.books.transitions if moved.scope == scope]
    return [(moved.before, moved.after, moved.cause, moved.failures) for moved in told]


async def test_each_transition_is_on_the_books_in_the_trace_of_the_request_that_made_it(
    upstream: ScriptedUpstream,
) -> None:
    upstream.script.extend([error(500), error(503), error(502), answer(chat())])
    async with gateway(routing(upstream.url, breaker=SHORT)) as served:
        for _ in range(4):
            await rested(served)
            await ask(served)
    assert moves(served) == [
        ("closed", "open", "server_error", 2),
        ("open", "half_open", "cooldown_over", 2),
        ("half_open", "open", "server_error", 3),
        ("open", "half_open", "cooldown_over", 3),
        ("half_open", "closed", "answered", 3),
    ]
    movers = [served.books.attempts[index].intent for index in (1, 2, 2, 3, 3)]
    for moved, mover in zip(served.books.transitions, movers, strict=True):
        assert (moved.trace_id, moved.parent_span_id) == (mover.trace_id, mover.parent_span_id)
        assert (moved.tenant, moved.alias, moved.tier, moved.upstream) == ("acme", "fast", "interactive", "u0")
    assert [moved.open_seconds is not None for moved in served.books.transitions] == [False] * 4 + [True]


async def test_one_probe_goes_and_everyone_else_waits_for_its_answer(upstream: ScriptedUpstream) -> None:
    gate = asyncio.Event()
    upstream.script.extend([error(500), error(500), after(gate)])
    async with gateway(routing(upstream.url, breaker=SHORT)) as served:
        for _ in range(2):
            await ask(served)
        await rested(served)
        async with asyncio.TaskGroup() as group:
            probe = group.create_task(ask(served))
            await until(lambda: len(upstream.received) == 3)
            others = [group.create_task(ask(served)) for _ in range(4)]
            await until(lambda: all(other.done() for other in others))
            gate.set()
        assert probe.result().status_code == 200
        assert {other.result().json()["error"]["code"] for other in others} == {"breaker_open"}
        assert (await ask(served)).status_code == 200
    assert len(upstream.received) == 4


@pytest.mark.parametrize("end", ["cut", "clean"])
async def test_a_stream_that_only_opened_is_no_success(upstream: ScriptedUpstream, end: str) -> None:
    """ferro-labs/ai-gateway#136: success recorded when the stream opens, so that a breaker never opens for streams."""
    upstream.always = stream(ROLE, end=end)
    async with gateway(routing(upstream.url, breaker=SHORT)) as served:
        for _ in range(2):
            await ask(served, stream=True)
        await rested(served)
        await ask(served, stream=True)
    assert [(before, after_) for before, after_, _, _ in moves(served)] == [
        ("closed", "open"),
        ("open", "half_open"),
        ("half_open", "open"),
    ]


async def test_streams_that_always_break_after_a_token_open_it(upstream: ScriptedUpstream) -> None:
    upstream.always = stream(ROLE, event(chunk("Hel")), end="cut")
    async with gateway(routing(upstream.url, breaker=REST)) as served:
        for _ in range(3):
            await ask(served, stream=True)
    assert moves(served) == [("closed", "open", "stream_broken", 2)]
    assert len(upstream.received) == 2


async def test_another_alias_and_another_tenant_on_the_upstream_never_notice(upstream: ScriptedUpstream) -> None:
    """SMG 1.13 and vllm-router 0.1.17: 14 times 500 on one alias, and another alias on the worker was answered 503."""
    upstream.always = error(500)
    target = [{"upstream": "u0", "model": "m0"}]
    aliases = {"other": {"tier": "interactive", "targets": target}}
    async with gateway(routing(upstream.url, aliases=aliases, breaker=REST)) as served:
        for _ in range(14):
            await ask(served)
        assert len(upstream.received) == 2
        upstream.always = answer(chat())
        assert (await ask(served, model="other")).status_code == 200
        assert (await ask(served, KEYS["globex"])).status_code == 200


async def test_a_sole_tenants_other_alias_in_the_region_never_notices_either(upstream: ScriptedUpstream) -> None:
    upstream.script.extend([error(500), error(500)])
    target = [{"upstream": "u0", "model": "m0"}]
    config = regional([upstream], aliases={"other": {"tier": "interactive", "targets": target}}, tenants=["acme"])
    async with gateway(config) as served:
        assert (await ask(served)).status_code == 500
        assert (await ask(served)).status_code == 500
        assert (await ask(served)).json()["error"]["code"] == "breaker_open"
        assert (await ask(served, model="other")).status_code == 200


@pytest.mark.parametrize(("status", "code"), [(400, "x"), (404, "x"), (422, "x"), (400, CONTEXT)])
async def test_fourteen_faults_of_the_callers_own_move_nothing(
    upstream: ScriptedUpstream, status: int, code: str
) -> None:
    """sgl-project/sglang#25811, vllm-project/router#60, SMG 0.3.2: client errors opened the breaker for everybody."""
    upstream.always = error(status, code)
    async with gateway(routing(upstream.url, breaker=REST)) as served:
        for _ in range(14):
            await ask(served)
        assert served.books.transitions == []
    assert len(upstream.received) == 14


async def test_a_callers_own_short_timeout_moves_nothing(upstream: ScriptedUpstream) -> None:
    upstream.always = silence
    async with gateway(routing(upstream.url, breaker={**REST, "consecutive_failures": 1})) as served:
        for _ in range(3):
            async with served.client() as client:
                with pytest.raises(httpx.ReadTimeout):
                    await client.post("/v1/chat/completions", json=chat_request(), timeout=0.05)
            await until(lambda: not served.plane.exchanges)
        assert {attempt.error_type for attempt in served.books.attempts} == {Reason.CLIENT_CANCELLED}
        assert served.books.transitions == []


async def test_an_abandoned_probe_leaves_the_next_caller_to_probe(upstream: ScriptedUpstream) -> None:
    upstream.script.extend([error(500), error(500), silence])
    async with gateway(routing(upstream.url, breaker=SHORT)) as served:
        for _ in range(2):
            await ask(served)
        await rested(served)
        async with served.client() as client:
            with pytest.raises(httpx.ReadTimeout):
                await client.post("/v1/chat/completions", json=chat_request(), timeout=0.05)
        await until(lambda: len(served.books.operations) == 3)
        assert (await ask(served)).status_code == 200
    assert moves(served)[2] == ("half_open", "open", "client_cancelled", 2)


@pytest.mark.parametrize(
    ("headers", "rest_s"),
    [
        ({"retry_after": "120"}, "120"),
        ({"retry_after_ms": "90000", "retry_after": "1"}, "90"),
        ({"retry_after": "5"}, "60"),
        ({"retry_after": "86400"}, "600"),
    ],
    ids=str,
)
async def test_the_rest_is_at_least_the_upstreams_own_retry_after_within_the_bound(
    upstream: ScriptedUpstream, headers: dict[str, str], rest_s: str
) -> None:
    upstream.always = error(429, **headers)
    async with gateway(routing(upstream.url, breaker=REST)) as served:
        for _ in range(2):
            await ask(served)
        got = await ask(served)
    assert (got.status_code, got.headers["retry-after"]) == (503, rest_s)


async def test_a_later_answer_lengthens_the_rest_and_never_shortens_it(upstream: ScriptedUpstream) -> None:
    """LiteLLM #40130: re-cooling keeps the shorter deadline."""
    gates = [asyncio.Event(), asyncio.Event()]

    def late(index: int, retry_after: str) -> Any:
        async def reply(line: Any, request: Any) -> None:
            await gates[index].wait()
            await error(429, retry_after=retry_after)(line, request)

        return reply

    upstream.script.extend([late(0, "200"), late(1, "1"), error(500), error(500)])
    async with gateway(routing(upstream.url, breaker=REST)) as served:
        async with asyncio.TaskGroup() as group:
            for _ in range(2):
                group.create_task(ask(served))
            await until(lambda: len(upstream.received) == 2)
            for _ in range(2):
                await ask(served)
            assert (await ask(served)).headers["retry-after"] == "60"
            for gate in gates:
                gate.set()
        assert (await ask(served)).headers["retry-after"] == "200"


async def test_rests_double_while_probes_fail(upstream: ScriptedUpstream) -> None:
    upstream.always = drop
    async with gateway(routing(upstream.url, breaker={**REST, "cooldown_s": 0.1, "consecutive_failures": 1})) as served:
        for rest_s in (0.1, 0.2, 0.4):
            await rested(served)
            before = clock.monotonic()
            await ask(served)
            (state,) = served.plane.breakers.states().values()
            assert isinstance(state, Open)
            assert before + rest_s <= state.until <= clock.monotonic() + rest_s


async def test_after_closing_calls_come_back_by_and_by_and_who_has_nowhere_else_to_go_passes(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    """Of calls drawn at the half, none passes before half of the ramp is over; a lone upstream takes all."""
    for others, then in (([alternate.url], "u1"), ([], "u0")):
        upstream.script.extend([error(500), error(500)])
        config = routing(upstream.url, *others, breaker={**SHORT, "ramp_s": 60})
        async with gateway(config, draw=lambda: 0.5) as served:
            for _ in range(2):
                await ask(served)
            await rested(served)
            probe, after_it = await ask(served), await ask(served)
        assert [got.headers["x-tollway-upstream"] for got in (probe, after_it)] == ["u0", then]


async def test_a_rest_is_lengthened_by_its_jitter(upstream: ScriptedUpstream) -> None:
    upstream.always = error(500)
    async with gateway(routing(upstream.url, breaker={**REST, "jitter": 0.5}), draw=lambda: 0.5) as served:
        for _ in range(2):
            await ask(served)
        assert (await ask(served)).headers["retry-after"] == "75"


async def test_a_tiers_own_promise_opens_the_breaker_sooner(upstream: ScriptedUpstream) -> None:
    upstream.always = error(500)
    tiers = {"batch": {"sla": {"consecutive_failures": 1}}}
    async with gateway(routing(upstream.url, tiers=tiers, breaker=REST)) as served:
        for alias in ("fast", "bulk"):
            await ask(served, model=alias)
    assert [moved.alias for moved in served.books.transitions] == ["bulk"]


# Health


WEIGHTS = {"timeouts": 0, "token_ceiling": 0.4, "memory_pressure": 0.2}
ILL = {**REST, "window_calls": 4, "unhealthy_at": 0.5, "health": WEIGHTS}


@pytest.mark.parametrize(
    ("asked", "level", "opens"),
    [({}, "critical", True), ({}, "normal", False), ({"max_tokens": 5}, "critical", False)],
    ids=["unasked under pressure", "unasked", "asked for"],
)
async def test_answers_cut_off_unasked_weigh_with_memory_pressure(
    upstream: ScriptedUpstream, asked: dict[str, Any], level: str, opens: bool
) -> None:
    cut = chat()
    cut["choices"][0]["finish_reason"] = "length"
    upstream.always = answer(cut)
    async with gateway(routing(upstream.url, breaker=ILL)) as served:
        served.plane.health.memory("u0", level)
        for _ in range(4):
            await ask(served, **asked)
    assert moves(served) == ([("closed", "open", "unhealthy", 0)] if opens else [])


async def test_prompts_too_long_weigh_as_ceilings_and_are_no_failures(upstream: ScriptedUpstream) -> None:
    upstream.always = error(400, CONTEXT)
    async with gateway(routing(upstream.url, breaker={**ILL, "health": {"token_ceiling": 0.5}})) as served:
        for _ in range(4):
            await ask(served)
    assert moves(served) == [("closed", "open", "unhealthy", 0)]


# Regions


def regional(upstreams: list[ScriptedUpstream], tenants: list[str] | None = None, **changes: Any) -> RoutingConfig:
    """The first upstream in one region, the others in another; four tenants, unless said otherwise."""
    places = {f"u{i}": {"region": "us-east-1" if i == 0 else "eu-west-1"} for i in range(len(upstreams))}
    names = tenants or list(KEYS)
    known = {name: {"keys": [KEYS[name]], "tiers": ["interactive"]} for name in names}
    given = {"breaker": REST, "tenants": known, "upstreams": places, **changes}
    given["aliases"] = {"bulk": {"tier": "interactive"}, **given.get("aliases", {})}
    config = routing(*(each.url for each in upstreams), **given)
    return replace(config, tenants={TenantId(name): config.tenants[TenantId(name)] for name in names})


async def test_a_region_that_fails_three_tenants_is_skipped_by_the_fourth_at_once(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    upstream.always = error(500)
    async with gateway(regional([upstream, alternate])) as served:
        for tenant in ("acme", "globex"):
            for _ in range(2):
                await ask(served, KEYS[tenant])
        assert (await ask(served, KEYS["umbrella"])).headers["x-tollway-fallback-reason"] == "server_error"
        for _ in range(2):
            await ask(served, KEYS["initech"])
        before = len(upstream.received)
        got = await ask(served, KEYS["umbrella"])
        metrics = await scraped(served)
    assert (got.status_code, got.headers["x-tollway-upstream"]) == (200, "u1")
    assert got.headers["x-tollway-fallback-reason"] == "region_brownout"
    assert len(upstream.received) == before
    refused = [a for a in served.books.attempts if a.error_type == Reason.REGION_BROWNOUT]
    assert [(a.outcome.value, a.intent.tenant) for a in refused] == [("refused", "umbrella")]
    assert moves(served, "region") == [("closed", "open", "server_error", 2)]
    (moved,) = [moved for moved in served.books.transitions if moved.scope == "region"]
    assert (moved.region, moved.provider) == ("us-east-1", "openai")
    assert (moved.tenant, moved.alias, moved.upstream) == ("", "", "")
    assert metrics["tollway_region_brownout", frozenset({"openai", "us-east-1"})] == 1
    assert metrics["tollway_region_brownout", frozenset({"openai", "eu-west-1"})] == 0


async def test_where_there_are_fewer_tenants_than_a_brownout_takes_all_of_them_make_one(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    upstream.always = error(500)
    async with gateway(regional([upstream, alternate], tenants=["acme", "globex"])) as served:
        for tenant in ("acme", "globex"):
            assert moves(served, "region") == []
            for _ in range(2):
                await ask(served, KEYS[tenant])
    assert moves(served, "region") == [("closed", "open", "server_error", 2)]


async def test_a_region_recovers_by_its_own_breakers_probes_and_its_recovery_time_is_recorded(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    upstream.always = error(500)
    promise = {"interactive": {"sla": {"recovery_s": 0.1}}}
    config = regional([upstream, alternate], breaker={**SHORT, "cooldown_s": 0.5}, tiers=promise)
    async with gateway(config) as served:
        for tenant in ("acme", "globex", "initech"):
            for _ in range(2):
                await ask(served, KEYS[tenant])
        assert (await ask(served, KEYS["umbrella"])).headers["x-tollway-upstream"] == "u1"
        upstream.always = answer(chat())
        await rested(served)
        for tenant in ("acme", "globex", "initech"):
            assert (await ask(served, KEYS[tenant])).headers["x-tollway-upstream"] == "u0"
        assert (await ask(served, KEYS["umbrella"])).headers["x-tollway-upstream"] == "u0"
        metrics = await scraped(served)
    assert moves(served, "region") == [
        ("closed", "open", "server_error", 2),
        ("open", "half_open", "answered", 0),
        ("half_open", "closed", "recovered", 0),
    ]
    recovered = served.books.transitions[-1]
    first = served.books.transitions[0]
    assert isinstance(recovered, Transition)
    assert recovered.open_seconds == pytest.approx((recovered.at - first.at) / 1e9, abs=0.05)
    place = frozenset({"openai", "us-east-1"})
    assert metrics["tollway_region_recovery_seconds", place] == recovered.open_seconds
    assert metrics["tollway_region_brownout", place] == 0
    assert metrics["tollway_region_brownouts_total", place] == 1
    assert metrics["tollway_region_recoveries_late_total", place | {"interactive"}] == 1


async def test_with_nowhere_else_to_go_a_client_is_told_when_to_come_back(upstream: ScriptedUpstream) -> None:
    upstream.always = error(500)
    async with gateway(regional([upstream], tenants=["acme", "globex", "initech"])) as served:
        for tenant in ("acme", "globex", "initech"):
            for _ in range(2):
                await ask(served, KEYS[tenant])
        got = await ask(served, model="bulk")
    error_ = got.json()["error"]
    assert (got.status_code, error_["code"], got.headers["retry-after"]) == (503, "breaker_open", "60")
    assert not any(word in got.text for word in ("u0", "us-east", "globex", "initech"))


async def scraped(served: Gateway) -> dict[tuple[str, frozenset[str]], float]:
    """Each sample by its name and its labels' values."""
    async with served.client() as client:
        text = (await client.get("/metrics")).text
    samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
    return {(sample.name, frozenset(sample.labels.values())): sample.value for sample in samples}


async def test_metrics_tell_states_and_moves_with_their_cause_and_no_tenant(upstream: ScriptedUpstream) -> None:
    upstream.script.extend([error(500), error(500)])
    async with gateway(routing(upstream.url, breaker=REST)) as served:
        for _ in range(2):
            await ask(served)
        await ask(served, KEYS["globex"])
        metrics = await scraped(served)
    assert metrics["tollway_breakers", frozenset({"fast", "u0", "open"})] == 1
    assert metrics["tollway_breakers", frozenset({"fast", "u0", "closed"})] == 1
    assert metrics["tollway_breakers", frozenset({"fast", "u0", "half_open"})] == 0
    assert metrics["tollway_breakers_not_closed", frozenset({"fast", "u0"})] == 1
    assert metrics["tollway_breaker_transitions_total", frozenset({"u0", "closed", "open", "server_error"})] == 1
    assert not any("acme" in values or "globex" in values for _, values in metrics)


async def test_an_upstream_that_just_came_back_is_called_where_nothing_below_it_may_be(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    upstream.script.extend([error(500), error(500)])
    changes: dict[str, Any] = {
        "breaker": {**SHORT, "ramp_s": 3600},
        "tiers": {"interactive": {"residency": ["eu"]}},
        "upstreams": {"u0": {"region": "eu"}, "u1": {"region": "us"}},
    }
    async with gateway(routing(upstream.url, alternate.url, **changes), draw=lambda: 0.9) as served:
        for _ in range(2):
            await ask(served)
        await rested(served)
        assert (await ask(served)).status_code == 200  # The probe.
        before = len(served.books.attempts)
        got = await ask(served)
    assert (got.status_code, got.headers["x-tollway-upstream"]) == (200, "u0")
    assert [(a.intent.upstream, a.error_type) for a in served.books.attempts[before:]] == [
        ("u0", Reason.BREAKER_OPEN),
        ("u1", Reason.RESIDENCY),
        ("u0", ""),
    ]
    assert alternate.received == []


async def test_a_probe_is_given_up_for_lost_only_after_its_tiers_total_timeout(upstream: ScriptedUpstream) -> None:
    tiers = {"interactive": {"total_timeout_s": 7, "first_token_timeout_s": 5}, "batch": {"total_timeout_s": 900}}
    async with gateway(routing(upstream.url, tiers=tiers)) as served:
        rules = rules_of(served.plane.config)
    assert {name: rules.policy_of(name).probe_s > tier["total_timeout_s"] for name, tier in tiers.items()} == {
        "interactive": True,
        "batch": True,
    }
    assert rules.policy_of("interactive").probe_s < 60
