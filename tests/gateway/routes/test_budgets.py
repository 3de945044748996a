"""Budgets over real sockets: what is reserved before a call, what is settled after it, and who is refused."""

import asyncio
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Connection

from gateway.control.database import MEMORY, Database, Result
from gateway.domain.attempt import Outcome
from tests.gateway.fakes import (
    ROLE,
    Line,
    Received,
    ScriptedUpstream,
    after,
    answer,
    chat,
    chunk,
    drop,
    error,
    event,
    stream,
)
from tests.gateway.serving import CARD, GLOBEX, Gateway, chat_request, gateway, routing, until

WORST = Decimal("0.00104")
"""Of a request with max_tokens 500 and 80 bytes of body: 500 tokens at two dollars a million, and 40 at one."""


async def ask(served: Gateway, **changes: Any) -> httpx.Response:
    async with served.client() as client:
        return await client.post("/v1/chat/completions", json=chat_request(**{"max_tokens": 500, **changes}))


def budget(**bounds: str) -> dict[str, Any]:
    return {"tenants": {"acme": {"budget": bounds}}}


def ends(served: Gateway) -> list[tuple[str, str, int]]:
    return [(a.outcome.value, a.error_type, a.intent.fallback_depth) for a in served.books.attempts]


def state(served: Gateway, bound: str = "tenant/acme") -> dict[str, str]:
    return next(row for row in served.plane.budgets.state() if row["bound"] == bound)


async def test_fifty_at_once_admit_not_one_dollar_above_the_cap(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    """LiteLLM: four of five concurrent requests were admitted past a cap of $0.45."""
    gate = asyncio.Event()
    upstream.always = after(gate)
    cap = 10 * WORST
    control = Database.under(tmp_path)
    tiers = {"interactive": {"max_inflight": 64, "max_queue": 64}}
    config = routing(upstream.url, tiers=tiers, **budget(month_usd=str(cap)))
    async with gateway(config, database=control) as served:
        tasks = [asyncio.get_running_loop().create_task(ask(served)) for _ in range(50)]
        await until(lambda: len(upstream.received) + len(served.books.operations) == 50)
        reserved = Decimal(state(served)["reserved_usd"])
        worst = reserved / len(upstream.received)
        assert reserved <= cap < reserved + worst, "as many as the cap covers at their worst, and not one more"
        gate.set()
        statuses = sorted([(await task).status_code for task in tasks])
    assert statuses == [200] * len(upstream.received) + [402] * (50 - len(upstream.received))
    assert {request.json["max_tokens"] for request in upstream.received} == {500}
    control.close()


async def test_what_an_answer_cost_takes_the_place_of_its_worst_case(upstream: ScriptedUpstream) -> None:
    async with gateway(routing(upstream.url, **budget(month_usd="0.0015"))) as served:
        statuses = [(await ask(served)).status_code for _ in range(8)]
        assert statuses == [200] * 8, "each costs $0.000016, whatever it could have"
        assert Decimal(state(served)["used_usd"]) == 8 * Decimal("0.000016")
        assert state(served)["reserved_usd"] == "0"
    assert served.books.attempts[0].intent.estimated_cost_usd is not None


async def test_a_first_choice_beyond_the_budget_is_a_402_that_says_when_it_renews(upstream: ScriptedUpstream) -> None:
    async with gateway(routing(upstream.url, **budget(month_usd="0.0005"))) as served:
        got = await ask(served)
        assert (await ask(served, max_tokens=5)).status_code == 200, "a smaller one still fits"
    body = got.json()["error"]
    assert (got.status_code, body["code"], body["type"]) == (402, "budget_exhausted", "insufficient_quota")
    assert "$0.0005" in body["message"]
    assert "renews at 20" in body["message"]
    assert ends(served)[0] == ("refused", "budget_exhausted", 0)
    assert served.books.operations[0].outcome is Outcome.REFUSED
    assert len(upstream.received) == 1


async def test_the_openai_client_does_not_retry_a_402(upstream: ScriptedUpstream) -> None:
    import openai

    async with gateway(routing(upstream.url, **budget(month_usd="0"))) as served:
        client = openai.AsyncOpenAI(api_key="acme-key-0123456789", base_url=f"{served.url}/v1", max_retries=3)
        with pytest.raises(openai.APIStatusError) as caught:
            await client.chat.completions.create(model="fast", messages=[{"role": "user", "content": "Hi"}])
        await client.close()
    assert caught.value.code == "budget_exhausted"
    assert len(served.books.operations) == 1


async def test_a_model_without_a_price_is_refused_under_a_cap_and_not_free(upstream: ScriptedUpstream) -> None:
    async with gateway(routing(upstream.url, rate_cards=[], **budget(month_usd="100"))) as served:
        got = await ask(served)
        async with served.client(GLOBEX) as other:
            assert (await other.post("/v1/chat/completions", json=chat_request())).status_code == 200
    assert (got.status_code, got.json()["error"]["code"]) == (402, "budget_exhausted")
    assert "No price is known" in got.json()["error"]["message"]


async def test_a_free_alias_with_a_paid_fallback_stays_within_the_budget(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    """LiteLLM: the budget was checked for the free alias, and its paid fallback ran without."""
    upstream.always = error(500, message="Mine.")
    free = {"input": "0", "output": "0"}
    cards = [
        {"provider": "openai", "model": model, "currency": "USD", "effective_from": "2023-01-01T00:00:00Z",
         "per_million_tokens": prices}
        for model, prices in (("m0", free), ("m1", {"input": "1", "output": "2"}))
    ]  # fmt: skip
    config = routing(upstream.url, alternate.url, rate_cards=cards, **budget(month_usd="0.0005"))
    async with gateway(config) as served:
        got = await ask(served)
    assert (got.status_code, got.json()["error"]["message"]) == (500, "Mine.")
    assert ends(served) == [("error", "server_error", 0), ("refused", "budget_exhausted", 1)]
    assert alternate.received == []


@pytest.mark.parametrize("where", ["tenant", "all"])
async def test_a_months_bound_on_fallbacks_skips_the_rung_and_leaves_first_choices_alone(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream, where: str
) -> None:
    bounds = budget(extra_month_usd="0.0015") if where == "tenant" else {"fallback": {"max_extra_month_usd": "0.0015"}}
    upstream.always = error(500, message="Mine.")
    alternate.always = answer(chat(usage={"prompt_tokens": 10, "completion_tokens": 400, "total_tokens": 410}))
    async with gateway(routing(upstream.url, alternate.url, **bounds)) as served:
        statuses = [(await ask(served)).status_code for _ in range(3)]
        upstream.always = answer(chat())
        assert (await ask(served)).headers["x-tollway-upstream"] == "u0"
    assert statuses == [200, 500, 500], "the first cost $0.00081 of $0.0015, so the worst case fits no more"
    assert len(alternate.received) == 1


async def test_the_estimate_and_the_reservation_come_before_the_alternate_is_called(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    upstream.always = error(500)
    seen: list[str] = []

    async def look(line: Line, request: Received) -> None:
        seen.append(state(served)["reserved_usd"])
        await answer(chat())(line, request)

    alternate.always = look
    async with gateway(routing(upstream.url, alternate.url, **budget(month_usd="1"))) as served:
        await ask(served)
    assert Decimal(seen[0]) > Decimal("0.001")
    assert served.books.synced[0].estimated_cost_usd is not None


async def test_what_is_reserved_is_the_worst_case_however_short_the_answers_were_lately(
    upstream: ScriptedUpstream,
) -> None:
    seen: list[str] = []

    async def look(line: Line, request: Received) -> None:
        seen.append(state(served)["reserved_usd"])
        await answer(chat())(line, request)

    upstream.always = look
    async with gateway(routing(upstream.url, **budget(month_usd="1"))) as served:
        for _ in range(2):
            await ask(served)
    assert [Decimal(usd) >= WORST * 96 / 100 for usd in seen] == [True, True], "500 tokens of answer, each time"


async def test_a_retry_after_what_may_be_billed_is_extra_spend_and_one_after_a_refusal_is_not(
    upstream: ScriptedUpstream,
) -> None:
    tiers = {"interactive": {"retries": 1}}
    config = routing(upstream.url, tiers=tiers, fallback={"max_extra_spend_usd": "0.0005"})
    async with gateway(config) as served:
        upstream.script.append(error(500))
        assert (await ask(served)).status_code == 200
        upstream.script.append(stream(ROLE, end="cut"))
        cut = await ask(served, stream=True)
    assert cut.status_code == 502
    assert ends(served)[2:] == [("error", "stream_broken", 0), ("refused", "budget_exhausted", 0)]


@pytest.mark.parametrize("how", ["cancelled", "cut", "refused"])
async def test_the_worst_case_stays_with_the_month_unless_the_vendor_cannot_have_billed_it(
    upstream: ScriptedUpstream, how: str
) -> None:
    async with gateway(routing(upstream.url, **budget(month_usd="1"))) as served:
        if how == "cancelled":
            upstream.always = stream(ROLE, event(chunk("Hi")), end="hang")
            async with served.client() as client:
                request = chat_request(stream=True, max_tokens=500)
                async with client.stream("POST", "/v1/chat/completions", json=request) as got:
                    await anext(got.aiter_bytes())
            await until(lambda: served.books.operations)
        else:
            upstream.always = drop if how == "cut" else error(429)
            await ask(served)
        used = Decimal(state(served)["used_usd"])
    assert used > Decimal("0.001") if how != "refused" else used == 0


async def test_a_rung_whose_breaker_is_open_has_nothing_reserved(upstream: ScriptedUpstream) -> None:
    upstream.always = error(500)
    breaker = {"breaker": {"consecutive_failures": 1, "cooldown_s": 60}}
    async with gateway(routing(upstream.url, **budget(month_usd="1"), **breaker)) as served:
        for _ in range(3):
            await ask(served)
        assert state(served)["used_usd"] == "0"
    assert [end[1] for end in ends(served)] == ["server_error", "breaker_open", "breaker_open"]


class SlowDatabase(Database):
    """One whose work is done when the gate opens."""

    gate: asyncio.Event

    async def aside(self, work: Callable[[Connection], Result]) -> Result:
        await self.gate.wait()
        return await super().aside(work)


async def test_a_client_that_hangs_up_while_its_budget_is_asked_is_not_called_for(upstream: ScriptedUpstream) -> None:
    control = SlowDatabase(MEMORY)
    control.gate = asyncio.Event()
    async with gateway(routing(upstream.url, **budget(month_usd="1")), database=control) as served:
        asking = asyncio.get_running_loop().create_task(ask(served))
        await until(lambda: served.plane.pools["interactive"].inflight)
        asking.cancel()
        await until(lambda: served.books.operations)
        control.gate.set()
        assert (await ask(served)).status_code == 200
        assert state(served)["reserved_usd"] == "0"
    assert len(upstream.received) == 1
    assert [o.outcome for o in served.books.operations] == [Outcome.CANCELLED, Outcome.OK]
    control.close()


async def test_a_months_total_outlives_the_gateway(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    control = Database.under(tmp_path)
    usage = {"prompt_tokens": 0, "completion_tokens": 500, "total_tokens": 500}
    upstream.always = answer(chat(usage=usage))
    config = routing(upstream.url, **budget(month_usd="0.0025"))
    async with gateway(config, database=control) as served:
        assert (await ask(served)).status_code == 200
    async with gateway(config, database=control) as served:
        statuses = [(await ask(served)).status_code for _ in range(2)]
        assert state(served)["used_usd"] == "0.002"
    assert statuses == [200, 402]
    control.close()


async def test_budgets_are_in_metrics_by_kind_and_in_the_state_by_tenant(upstream: ScriptedUpstream) -> None:
    admin = {"gateway": {"admin_key": "operator-key-0123456789"}}
    async with gateway(routing(upstream.url, **budget(month_usd="1"), **admin)) as served:
        await ask(served)
        async with served.client("operator-key-0123456789") as client:
            metrics = (await client.get("/metrics")).text
            shown = (await client.get("/admin/state")).json()
    assert 'tollway_budget_limit_usd{bound="tenant"} 1.0' in metrics
    assert 'tollway_budget_used_usd{bound="tenant"} 1.6e-05' in metrics
    assert "acme" not in metrics
    assert "0.000016" in str(shown)
    assert "tenant/acme" in str(shown)


async def test_a_tenant_without_caps_has_nothing_reserved_and_its_request_no_estimate(
    upstream: ScriptedUpstream,
) -> None:
    async with gateway(routing(upstream.url, tenants={"globex": {"budget": {"month_usd": "1"}}})) as served:
        gate = asyncio.Event()
        upstream.always = after(gate)
        asking = asyncio.get_running_loop().create_task(ask(served))
        await until(lambda: upstream.received)
        assert served.plane.budgets.open == {}
        gate.set()
        got = await asking
    assert "x-tollway-estimated-cost-usd" not in got.headers


@pytest.mark.parametrize(
    ("service_tier", "limit_usd", "status"),
    [
        ("priority", 3 * WORST, 200),
        ("priority", 2 * WORST, 402),
        ("flex", WORST, 402),
        ("flex", 2 * WORST, 200),
        ("auto", 2 * WORST, 200),
        (None, 2 * WORST, 200),
    ],
)
async def test_a_request_reserves_what_the_processing_tier_that_it_names_could_cost(
    upstream: ScriptedUpstream, service_tier: str | None, limit_usd: Decimal, status: int
) -> None:
    """The body is longer by the name of its tier, so the limits are not WORST itself."""
    listed = {**CARD, "provider": "openai", "model": "m0"}
    prices = {"": ("1", "2"), "priority": ("2", "4"), "flex": ("0.5", "1")}
    cards = [
        {**listed, "per_million_tokens": {"input": put, "output": got}, "processing_tier": tier}
        for tier, (put, got) in prices.items()
    ]
    for card in cards:
        if not card["processing_tier"]:
            del card["processing_tier"]
    async with gateway(routing(upstream.url, rate_cards=cards, **budget(month_usd=str(limit_usd)))) as served:
        named = {} if service_tier is None else {"service_tier": service_tier}
        assert (await ask(served, **named)).status_code == status


@pytest.mark.parametrize(("service_tier", "status"), [("priority", 402), ("flex", 200)])
async def test_without_a_card_a_dearer_processing_tier_has_no_price_and_a_discount_the_default_one(
    upstream: ScriptedUpstream, service_tier: str, status: int
) -> None:
    async with gateway(routing(upstream.url, **budget(month_usd="1"))) as served:
        assert (await ask(served, service_tier=service_tier)).status_code == status
