"""Hedges over real sockets: who wins, what becomes of the other, what is never hedged, and what the books say."""

import asyncio
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any, TypeVar

import httpx
import pytest
from sqlalchemy import Connection

from gateway.breakers.keeper import Key
from gateway.budgets.keeper import EXTRA
from gateway.config import RoutingConfig
from gateway.control.database import MEMORY, Database
from gateway.domain.attempt import Attempt, Intent, Outcome
from gateway.domain.usage import Completeness
from tests.gateway.dialects import embeddings, response
from tests.gateway.fakes import (
    ROLE,
    Line,
    Received,
    Reply,
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
from tests.gateway.serving import Gateway, chat_request, gateway, merged, post, routing, until

Result = TypeVar("Result")
SOON = 0.02
WHOLE = json.dumps(chat_request()).encode()
WORD = event(chunk("Hi"))
COST = Decimal("0.000016")
"""Of a fake's whole answer, at the prices of the tests' card."""


def hedged(*upstreams: ScriptedUpstream, **changes: Any) -> RoutingConfig:
    base = {"tiers": {"interactive": {"hedge_after_s": SOON}}}
    return routing(*(one.url for one in upstreams), **merged(base, changes))


async def ask(served: Gateway, **changes: Any) -> httpx.Response:
    async with served.client() as client:
        return await client.post("/v1/chat/completions", json=chat_request(**changes))


def ends(served: Gateway) -> list[tuple[str, str, int]]:
    return [(a.outcome.value, a.error_type, a.intent.fallback_depth) for a in served.books.attempts]


def results(served: Gateway) -> dict[str, int]:
    return {labels[2]: count for labels, count in served.plane.metrics.hedges.items()}


def held(served: Gateway) -> list[object]:
    """What is still held of slots, places, deadlines and money."""
    plane = served.plane
    limits = [plane.throttle.limits_of(name).inflight for name in plane.upstreams]
    lanes = [len(lane) for lane in plane.lanes._lanes.values()]
    reserved = [bound["reserved_usd"] for bound in plane.budgets.state() if bound["reserved_usd"] != "0"]
    counts = [pool.inflight for pool in plane.pools.values()] + limits + lanes
    return [*filter(None, counts), *plane.budgets.open, *reserved, *plane.exchanges]


LOST = ("cancelled", "hedge_lost")


# Who wins


async def test_a_late_first_call_loses_to_its_hedge_is_hung_up_on_at_once_and_stays_on_the_books(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    upstream.always = silence
    async with gateway(hedged(upstream, alternate, breaker={"consecutive_failures": 1})) as served:
        got = await ask(served)
        await asyncio.wait_for(upstream.received[0].gone.wait(), 2)
        assert held(served) == []
        assert results(served) == {"started": 1, "won": 1}
    assert served.books.transitions == [], "losing a hedge moves no breaker"
    assert (got.status_code, got.json()) == (200, chat())
    told = ("x-tollway-upstream", "x-tollway-fallback-depth", "x-tollway-fallback-reason")
    assert [got.headers[name] for name in told] == ["u1", "1", "hedge"]
    assert Decimal(got.headers["x-tollway-estimated-cost-usd"]) > 0
    assert sorted(ends(served)) == [(*LOST, 0), ("ok", "", 1)]
    lost = next(a for a in served.books.attempts if a.intent.fallback_depth == 0)
    assert lost.completeness is Completeness.UNKNOWN
    [operation] = served.books.operations
    assert (operation.outcome, operation.attempts, operation.fallback_depth) == (Outcome.OK, 2, 1)


async def test_the_hedges_stream_is_relayed_byte_for_byte_and_nothing_of_the_losers(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    upstream.always = stream(ROLE, ROLE, ROLE, end="hang")
    alternate.always = stream(*events("Hi", "you"))
    async with gateway(hedged(upstream, alternate)) as served:
        got = await ask(served, stream=True)
        await asyncio.wait_for(upstream.received[0].gone.wait(), 2)
    assert got.content == b"".join(events("Hi", "you", usage=False)), "the usage chunk was not asked for"
    assert sorted(ends(served)) == [(*LOST, 0), ("ok", "", 1)]


async def test_a_first_call_that_answers_before_its_hedge_wins_and_the_hedge_is_hung_up_on(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    gate = asyncio.Event()
    upstream.always = after(gate)
    alternate.always = silence
    async with gateway(hedged(upstream, alternate)) as served:
        asking = asyncio.ensure_future(ask(served))  # noqa: TID251
        await until(lambda: alternate.received)
        assert served.plane.pools["interactive"].inflight == 2, "a hedge takes a slot of its own"
        gate.set()
        got = await asking
        await asyncio.wait_for(alternate.received[0].gone.wait(), 2)
        assert (held(served), results(served)) == ([], {"started": 1, "lost": 1})
    assert (got.headers["x-tollway-upstream"], got.headers["x-tollway-fallback-depth"]) == ("u0", "0")
    assert sorted(ends(served)) == [(*LOST, 1), ("ok", "", 0)]
    assert len(upstream.received) == len(alternate.received) == 1, "one hedge at most"


async def test_what_answers_in_time_is_not_hedged(upstream: ScriptedUpstream, alternate: ScriptedUpstream) -> None:
    gate = asyncio.Event()
    upstream.script.extend([answer(chat()), stream(ROLE, WORD, gate, *events("you")[1:])])
    async with gateway(hedged(upstream, alternate)) as served:
        await ask(served)
        reader, _ = await served.raw(post(json.dumps(chat_request(stream=True)).encode()))
        await reader.readuntil(WORD)
        lane = served.plane.lanes.of(SOON)
        assert len(lane) == 0, "once a token was relayed nothing else is started"
        gate.set()
        await until(lambda: len(served.books.operations) == 2)
        assert results(served) == {}
    assert alternate.received == []


# When calls fail


@pytest.mark.parametrize("failing", [0, 1])
async def test_if_one_fails_the_other_goes_on_and_nothing_else_is_called(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream, failing: int
) -> None:
    both, gate = [upstream, alternate], asyncio.Event()
    fails, works = both[failing], both[1 - failing]
    works.always = after(gate)
    refused = asyncio.Event()

    async def fail_late(line: Line, request: Received) -> None:
        await until(lambda: upstream.received and alternate.received)
        await error(500)(line, request)
        refused.set()

    fails.always = fail_late
    async with gateway(hedged(upstream, alternate, tiers={"interactive": {"retries": 2}})) as served:
        asking = asyncio.ensure_future(ask(served))  # noqa: TID251
        await refused.wait()
        await until(lambda: served.books.attempts)
        assert served.plane.pools["interactive"].inflight == 1, "the second slot is given back at once"
        gate.set()
        got = await asking
        assert (held(served), results(served)["started"]) == ([], 1)
    assert (got.status_code, got.headers["x-tollway-fallback-depth"]) == (200, str(1 - failing))
    assert ends(served) == [("error", "server_error", failing), ("ok", "", 1 - failing)]
    assert len(upstream.received) == len(alternate.received) == 1


async def test_if_both_fail_the_ladder_goes_on_below_them(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream, start_upstream: Any
) -> None:
    third = await start_upstream()

    async def fail_together(line: Line, request: Received) -> None:
        await until(lambda: upstream.received and alternate.received)
        await error(500)(line, request)

    upstream.always = alternate.always = fail_together
    async with gateway(hedged(upstream, alternate, third)) as served:
        got = await ask(served)
        assert held(served) == []
    assert (got.status_code, got.headers["x-tollway-fallback-reason"]) == (200, "server_error")
    assert sorted(ends(served)[:2]) == [("error", "server_error", 0), ("error", "server_error", 1)]
    assert ends(served)[2:] == [("ok", "", 2)]


async def test_of_two_failures_the_one_that_blames_the_request_is_the_last_word(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream, start_upstream: Any
) -> None:
    third = await start_upstream()

    async def fail_last(line: Line, request: Received) -> None:
        await until(lambda: served.books.attempts)
        await error(500, message="Mine.")(line, request)

    upstream.always = fail_last
    alternate.always = error(400, message="Yours.")
    async with gateway(hedged(upstream, alternate, third)) as served:
        got = await ask(served)
    assert (got.status_code, got.json()["error"]["message"]) == (400, "Yours.")
    assert third.received == []


# What keeps a hedge from being started


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "budget": ({"fallback": {"max_extra_spend_usd": "0.0001"}}, "budget_exhausted"),
    "month": ({"tenants": {"acme": {"budget": {"extra_month_usd": "0.0001"}}}}, "budget_exhausted"),
    "residency": (
        {"tiers": {"interactive": {"residency": ["eu"]}}, "upstreams": {"u0": {"region": "eu"}}},
        "residency",
    ),
    "authority": ({"upstreams": {"u1": {"tenant": "globex"}}}, "not_authorized"),
}


@pytest.mark.parametrize("why", REFUSED)
async def test_what_keeps_a_fallback_off_keeps_a_hedge_off_and_is_on_the_books(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream, why: str
) -> None:
    changes, reason = REFUSED[why]
    gate = asyncio.Event()
    upstream.always = after(gate)
    async with gateway(hedged(upstream, alternate, **changes)) as served:
        asking = asyncio.ensure_future(ask(served, max_tokens=500))  # noqa: TID251
        await until(lambda: served.books.attempts)
        gate.set()
        assert (await asking).headers["x-tollway-upstream"] == "u0"
        assert (held(served), results(served)) == ([], {"refused": 1})
    assert ends(served) == [("refused", reason, 1), ("ok", "", 0)]
    assert served.books.attempts[0].intent.fallback_reason == "hedge"
    assert alternate.received == []


async def test_no_hedge_goes_to_an_upstream_whose_breaker_is_open_and_the_rung_below_is_taken(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream, start_upstream: Any
) -> None:
    third = await start_upstream()
    upstream.script.append(error(400, "context_length_exceeded"))
    upstream.always = silence
    alternate.always = error(500)
    async with gateway(hedged(upstream, alternate, third, breaker={"consecutive_failures": 1})) as served:
        await ask(served)
        [opened] = served.books.transitions
        assert (opened.upstream, opened.after) == ("u1", "open")
        got = await ask(served)
        assert held(served) == []
    assert got.headers["x-tollway-upstream"] == "u2"
    assert ("refused", "breaker_open", 1) in ends(served)
    assert len(alternate.received) == 1


@pytest.mark.parametrize("full", ["tier", "upstream"])
async def test_without_a_slot_or_room_upstream_to_spare_nothing_is_hedged(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream, full: str
) -> None:
    gate = asyncio.Event()
    upstream.always = after(gate)
    bounds: dict[str, Any] = {
        "tier": {"tiers": {"interactive": {"max_inflight": 1}}},
        "upstream": {"upstreams": {"u1": {"requests_per_minute": 1}}},
    }
    async with gateway(hedged(upstream, alternate, **bounds[full])) as served:
        served.plane.throttle.limits_of("u1").begin(0, served.plane.loop.time())
        asking = asyncio.ensure_future(ask(served))  # noqa: TID251
        await until(lambda: results(served))
        gate.set()
        assert (await asking).status_code == 200
        assert results(served) == {"refused": 1}
    assert alternate.received == []


async def test_a_hedge_counts_among_the_requests_attempts(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    gate = asyncio.Event()
    upstream.always = after(gate)
    async with gateway(hedged(upstream, alternate, tiers={"interactive": {"max_attempts": 1}})) as served:
        asking = asyncio.ensure_future(ask(served))  # noqa: TID251
        await until(lambda: results(served))
        gate.set()
        await asking
    assert alternate.received == []


NEVER: dict[str, tuple[str, dict[str, Any], Reply]] = {
    "responses": ("responses", {"model": "fast", "input": "Hi"}, answer(response("completed", id="resp_1"))),
    "stored": ("chat/completions", chat_request(store=True), answer(chat())),
}


@pytest.mark.parametrize("what", NEVER)
async def test_what_the_vendor_stores_is_never_hedged(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream, what: str
) -> None:
    path, body, reply = NEVER[what]
    late = asyncio.Event()

    async def answer_late(line: Line, request: Received) -> None:
        served.plane.loop.call_later(3 * SOON, late.set)
        await late.wait()
        await reply(line, request)

    upstream.always = answer_late
    async with gateway(hedged(upstream, alternate)) as served, served.client() as client:
        assert (await client.post(f"/v1/{path}", json=body)).status_code == 200
        assert results(served) == {}
    assert alternate.received == []


async def test_a_micro_batch_is_never_hedged(upstream: ScriptedUpstream, alternate: ScriptedUpstream) -> None:
    gate = asyncio.Event()

    async def both(line: Line, request: Received) -> None:
        served.plane.loop.call_later(3 * SOON, gate.set)
        await gate.wait()
        await answer(embeddings(2))(line, request)

    upstream.always = both
    batch = {"hedge_after_s": SOON, "micro_batch_ms": 20}
    aliases = {"bulk": {"fallback": [{"upstream": "u1", "model": "m1"}]}}
    async with gateway(hedged(upstream, alternate, tiers={"batch": batch}, aliases=aliases)) as served:
        async with served.client() as client:
            body = {"model": "bulk", "input": "Hi"}
            got = await asyncio.gather(*(client.post("/v1/embeddings", json=body) for _ in range(2)))
        assert results(served) == {}
    assert [one.status_code for one in got] == [200, 200]
    assert (len(upstream.received), alternate.received) == (1, [])


# The books


async def test_a_hedges_intent_is_on_the_disk_with_its_reason_and_its_worst_case_reserved_before_it_is_called(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    upstream.always = silence
    async with gateway(hedged(upstream, alternate)) as served:
        served.books.disk.clear()
        asking = asyncio.ensure_future(ask(served, max_tokens=500))  # noqa: TID251
        await until(lambda: len(served.books.intents) == 2)
        [hold] = served.plane.budgets.open.values()
        assert hold.usd > Decimal("0.001")
        assert alternate.received == [], "journal first, call second"
        served.books.disk.set()
        await asking
    [synced] = served.books.synced
    assert (synced.fallback_reason, synced.fallback_depth, synced.attempt_index) == ("hedge", 1, 1)
    assert synced.estimated_cost_usd is not None
    order = [type(fact) for fact in served.books.told]
    assert order == [Intent, Intent, Attempt, Attempt, type(served.books.operations[0])]


async def test_a_first_call_that_answers_while_the_hedges_intent_is_written_leaves_it_uncalled(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    gate = asyncio.Event()
    upstream.always = after(gate)
    async with gateway(hedged(upstream, alternate)) as served:
        served.books.disk.clear()
        asking = asyncio.ensure_future(ask(served))  # noqa: TID251
        await until(lambda: len(served.books.intents) == 2)
        gate.set()
        await asking
        served.books.disk.set()
        await until(lambda: served.books.synced)
        assert held(served) == []
    assert sorted(ends(served)) == [("ok", "", 0), ("refused", "hedge_lost", 1)]
    assert alternate.received == []


async def test_a_hedge_that_cannot_be_recorded_is_not_called_and_the_first_call_goes_on(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    gate = asyncio.Event()
    upstream.always = after(gate)
    async with gateway(hedged(upstream, alternate)) as served:
        asking = asyncio.ensure_future(ask(served))  # noqa: TID251
        await until(lambda: upstream.received)
        served.books.full = True
        await until(lambda: served.books.attempts)
        gate.set()
        assert (await asking).headers["x-tollway-upstream"] == "u0"
        assert held(served) == []
    assert ends(served) == [("refused", "journal_full", 1), ("ok", "", 0)]


@pytest.mark.parametrize("winner", ["first", "hedge"])
async def test_both_calls_are_in_the_months_budget_the_winner_at_its_cost_and_the_loser_at_its_worst(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream, winner: str
) -> None:
    gate = asyncio.Event()
    upstream.always = after(gate) if winner == "first" else silence
    alternate.always = silence if winner == "first" else after(gate)
    tenants = {"acme": {"budget": {"month_usd": "1", "extra_month_usd": "1"}}}
    async with gateway(hedged(upstream, alternate, tenants=tenants)) as served:
        asking = asyncio.ensure_future(ask(served, max_tokens=500))  # noqa: TID251
        await until(lambda: alternate.received)
        reserved = {bound["bound"]: Decimal(bound["reserved_usd"]) for bound in served.plane.budgets.state()}
        worst = reserved["tenant/acme/extra"]
        assert worst > Decimal("0.001")
        assert reserved["tenant/acme"] == 2 * worst, "the same prompt, at the same price"
        gate.set()
        assert (await asking).status_code == 200
        used = {bound["bound"]: Decimal(bound["used_usd"]) for bound in served.plane.budgets.state()}
        assert used["tenant/acme"] == worst + COST
        assert used["tenant/acme/extra"] == (worst if winner == "first" else COST)
        assert held(served) == []


class SlowDatabase(Database):
    """One whose work is done when the gate opens."""

    gate: asyncio.Event

    async def aside(self, work: Callable[[Connection], Result]) -> Result:
        await self.gate.wait()
        return await super().aside(work)


async def test_a_token_that_comes_while_the_hedges_budget_is_asked_leaves_it_unstarted(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    control, token, rest = SlowDatabase(MEMORY), asyncio.Event(), asyncio.Event()
    control.gate = asyncio.Event()
    upstream.always = stream(ROLE, token, WORD, rest, *events("you")[1:])
    config = hedged(upstream, alternate, fallback={"max_extra_month_usd": "1"})
    async with gateway(config, database=control) as served:
        reader, _ = await served.raw(post(json.dumps(chat_request(stream=True)).encode()))
        bound = served.plane.budgets.bound(EXTRA)
        await until(lambda: bound.asked_usd)
        token.set()
        await reader.readuntil(WORD)
        control.gate.set()
        await until(lambda: not bound.asked_usd)
        await until(lambda: not served.plane.tasks._running)
        assert results(served) == {}
        rest.set()
        await until(lambda: served.books.operations)
        assert held(served) == []
    assert alternate.received == []
    control.close()


async def test_a_hedge_waits_for_its_months_lease_and_is_then_started(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    upstream.always = silence
    async with gateway(hedged(upstream, alternate, fallback={"max_extra_month_usd": "1"})) as served:
        assert (await ask(served)).headers["x-tollway-fallback-reason"] == "hedge"
        assert Decimal(served.plane.budgets.state()[0]["used_usd"]) == COST
        assert held(served) == []


# Ends of the request


async def test_a_client_that_leaves_ends_both_calls_and_gives_everything_back(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    upstream.always = alternate.always = silence
    async with gateway(hedged(upstream, alternate)) as served:
        _, writer = await served.raw(post(WHOLE))
        await until(lambda: alternate.received)
        writer.close()
        await asyncio.wait_for(upstream.received[0].gone.wait(), 2)
        await asyncio.wait_for(alternate.received[0].gone.wait(), 2)
        await until(lambda: served.books.operations)
        assert (held(served), results(served)) == ([], {"started": 1})
    assert sorted(ends(served)) == [("cancelled", "client_cancelled", 0), ("cancelled", "client_cancelled", 1)]


async def test_the_total_timeout_and_a_shutdown_end_both_calls(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    upstream.always = alternate.always = silence
    async with gateway(hedged(upstream, alternate, tiers={"interactive": {"total_timeout_s": 0.15}})) as served:
        got = await ask(served)
        assert (got.status_code, got.json()["error"]["code"], held(served)) == (504, "timeout", [])
        assert sorted(ends(served)) == [("timeout", "timeout", 0), ("timeout", "timeout", 1)]
        await served.raw(post(WHOLE))
        await until(lambda: len(alternate.received) == 2)
        served.plane.stop()
        assert held(served) == []
    assert sorted(ends(served)[2:]) == [("cancelled", "gateway_shutdown", 0), ("cancelled", "gateway_shutdown", 1)]


async def test_a_probe_that_loses_a_hedge_leaves_its_breaker_to_the_next_caller(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    breaker = {"consecutive_failures": 1, "cooldown_s": 0.01, "jitter": 0, "ramp_s": 0}
    async with gateway(hedged(upstream, alternate, breaker=breaker)) as served:
        key = Key("fast", "acme", "u0")
        upstream.script.append(error(500))
        await ask(served)
        upstream.script.append(silence)
        await until(lambda: served.plane.breakers.retry_in_s([key], served.plane.loop.time()) == 0)
        assert (await ask(served)).headers["x-tollway-fallback-reason"] == "hedge"
        assert (await ask(served)).headers["x-tollway-upstream"] == "u0", "probed again at once, and closed"
    moved = [(t.before, t.after, t.cause) for t in served.books.transitions]
    assert ("half_open", "open", "hedge_lost") in moved
    assert moved[-1] == ("half_open", "closed", "answered")
