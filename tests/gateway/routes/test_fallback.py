"""The ladder at work: when another upstream is called, what is recorded first, and what is left if none answers."""

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import httpx
import pytest

from gateway.domain.attempt import Attempt, Intent, Outcome
from gateway.domain.reasons import Reason
from gateway.domain.usage import Completeness
from tests.gateway.fakes import (
    DONE,
    ROLE,
    FakeBooks,
    Line,
    Received,
    Reply,
    ScriptedUpstream,
    StartUpstream,
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
from tests.gateway.serving import Gateway, chat_request, gateway, routing, until

Ask = Callable[..., Awaitable[httpx.Response]]


async def ask(served: Gateway, **changes: Any) -> httpx.Response:
    async with served.client() as client:
        return await client.post("/v1/chat/completions", json=chat_request(**changes))


def outcomes(books: FakeBooks) -> list[tuple[str, str, int]]:
    return [(a.outcome.value, a.error_type, a.intent.fallback_depth) for a in books.attempts]


WHOLE = {
    "it fails": (error(503), Reason.SERVER_ERROR),
    "it is overloaded": (error(429, retry_after="17"), Reason.RATE_LIMITED),
    "it refuses our key": (error(401), Reason.UPSTREAM_AUTH),
    "it hangs up": (drop, Reason.CONNECTION_LOST),
    "it answers in HTML": (answer(b"<html>", content_type="text/html"), Reason.BAD_RESPONSE),
    "it redirects": (answer(b"", 302, location="http://elsewhere"), Reason.BAD_RESPONSE),
    "it sends an error under status 200": (answer({"error": {"message": "x"}}), Reason.BAD_RESPONSE),
    "it compresses unasked": (answer(chat(), content_encoding="gzip"), Reason.BAD_RESPONSE),
    "the prompt is too long for it": (error(400, "context_length_exceeded"), Reason.CONTEXT_TOO_LONG),
    "it filters the content": (error(400, "content_filter"), Reason.CONTENT_FILTER),
}


@pytest.mark.parametrize("case", WHOLE)
async def test_the_next_rung_answers_if(upstream: ScriptedUpstream, alternate: ScriptedUpstream, case: str) -> None:
    reply, reason = WHOLE[case]
    upstream.script.append(reply)
    async with gateway(routing(upstream.url, alternate.url)) as served:
        got = await ask(served)
    assert (got.status_code, got.json()) == (200, chat())
    assert got.headers["x-tollway-upstream"] == "u1"
    assert got.headers["x-tollway-fallback-depth"] == "1"
    assert got.headers["x-tollway-fallback-reason"] == reason
    assert Decimal(got.headers["x-tollway-estimated-cost-usd"]) > 0
    assert outcomes(served.books) == [("error", reason, 0), ("ok", "", 1)]
    [operation] = served.books.operations
    assert (operation.outcome, operation.attempts, operation.fallback_depth) == (Outcome.OK, 2, 1)
    assert alternate.received[0].json["model"] == "m1"
    assert upstream.received[0].headers["x-client-request-id"] != alternate.received[0].headers["x-client-request-id"]


STREAMED = {
    "it answers 503": (error(503), Reason.SERVER_ERROR),
    "it is cut before a token": (stream(ROLE, end="cut"), Reason.STREAM_BROKEN),
    "it ends before a token": (stream(ROLE), Reason.STREAM_BROKEN),
    "it says it is done without a token": (stream(ROLE, DONE), Reason.BAD_RESPONSE),
    "it errs in band before a token": (stream(ROLE, event({"error": {"message": "x"}})), Reason.STREAM_BROKEN),
    "it is overloaded in band": (stream(event({"error": {"message": "x", "code": 429}})), Reason.RATE_LIMITED),
}


@pytest.mark.parametrize("case", STREAMED)
async def test_a_stream_is_taken_over_before_its_first_token_if(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream, case: str
) -> None:
    reply, reason = STREAMED[case]
    upstream.script.append(reply)
    sent = events("Hi")
    alternate.script.append(stream(*sent))
    async with gateway(routing(upstream.url, alternate.url)) as served:
        got = await ask(served, stream=True)
    assert got.content == b"".join([*sent[:-2], DONE])
    assert got.headers["x-tollway-fallback-reason"] == reason
    assert outcomes(served.books) == [("error", reason, 0), ("ok", "", 1)]


async def test_a_stream_without_a_token_in_time_is_taken_over(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    upstream.script.append(stream(ROLE, end="hang"))
    alternate.script.append(stream(*events("Hi")))
    config = routing(upstream.url, alternate.url, tiers={"interactive": {"first_token_timeout_s": 0.05}})
    async with gateway(config) as served:
        got = await ask(served, stream=True)
        await asyncio.wait_for(upstream.received[0].gone.wait(), 2)
    assert got.headers["x-tollway-fallback-reason"] == "first_token_timeout"
    assert outcomes(served.books) == [("timeout", "first_token_timeout", 0), ("ok", "", 1)]


async def test_where_nobody_listens_nothing_was_sent(upstream: ScriptedUpstream, alternate: ScriptedUpstream) -> None:
    url = upstream.url
    await upstream.stop()
    async with gateway(routing(url, alternate.url)) as served:
        assert (await ask(served)).status_code == 200
    assert outcomes(served.books) == [("refused", "connect_error", 0), ("ok", "", 1)]


async def test_the_reason_and_the_estimate_are_on_disk_before_the_alternate_is_called(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    upstream.always = error(500)
    async with gateway(routing(upstream.url, alternate.url)) as served:
        served.books.disk.clear()
        asking = asyncio.get_running_loop().create_task(ask(served, max_tokens=100))
        await until(lambda: len(served.books.intents) == 2)
        assert not served.books.synced
        assert not alternate.received
        served.books.disk.set()
        assert (await asking).status_code == 200
    [intent] = served.books.synced
    assert (intent.fallback_reason, intent.fallback_depth) == ("server_error", 1)
    assert intent.estimated_cost_usd is not None
    assert intent.estimated_cost_usd > Decimal("0.0002")


async def test_a_fallbacks_estimate_follows_how_long_its_aliass_answers_were_lately(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    """Nothing was measured before the first; its answer of few tokens is what the second is expected to be like."""
    upstream.always = error(500)
    async with gateway(routing(upstream.url, alternate.url)) as served:
        costs = [(await ask(served, max_tokens=1000)).headers["x-tollway-estimated-cost-usd"] for _ in range(2)]
    assert Decimal(costs[1]) < Decimal(costs[0]) / 10


async def test_the_first_choice_does_not_wait_for_the_disk(upstream: ScriptedUpstream) -> None:
    async with gateway(routing(upstream.url)) as served:
        served.books.disk.clear()
        assert (await ask(served)).status_code == 200
    assert served.books.attempts[0].intent.estimated_cost_usd is None


CALLERS = [400, 404, 409, 422]


@pytest.mark.parametrize("status", CALLERS)
async def test_a_callers_own_fault_is_answered_as_the_vendor_put_it_and_calls_nobody_else(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream, status: int
) -> None:
    upstream.script.append(error(status, "unsupported_value", "Bad temperature."))
    async with gateway(routing(upstream.url, alternate.url)) as served:
        got = await ask(served)
    assert got.status_code == status
    assert got.json()["error"] == {
        "message": "Bad temperature.",
        "type": "t",
        "param": None,
        "code": "unsupported_value",
    }
    assert alternate.received == []
    assert outcomes(served.books) == [("error", "caller_error", 0)]


async def test_a_429_without_a_rung_left_is_the_vendors_own_at_once(upstream: ScriptedUpstream) -> None:
    hints = {"retry_after": "17", "retry_after_ms": "17000", "x_should_retry": "false", "x_ratelimit_limit_tokens": "5"}
    upstream.script.append(error(429, "rate_limit_exceeded", "Slow down.", openai_organization="ours", **hints))
    async with gateway(routing(upstream.url)) as served:
        got = await ask(served)
    assert (got.status_code, got.json()["error"]["code"]) == (429, "rate_limit_exceeded")
    for name, value in hints.items():
        assert got.headers[name.replace("_", "-")] == value
    assert "openai-organization" not in got.headers
    assert got.headers["x-tollway-upstream"] == "u0"
    assert len(upstream.received) == 1


async def test_an_exhausted_ladder_gives_the_last_answer_a_vendor_gave(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    upstream.script.append(error(503, "overloaded", "First."))
    alternate.script.append(drop)
    async with gateway(routing(upstream.url, alternate.url)) as served:
        got = await ask(served)
    assert (got.status_code, got.json()["error"]["message"]) == (503, "First.")
    assert got.headers["x-tollway-upstream"] == "u0"
    [operation] = served.books.operations
    assert (operation.outcome, operation.http_status, operation.attempts) == (Outcome.ERROR, 503, 2)


@pytest.mark.parametrize("reply", [drop, error(401, "invalid_api_key", "Incorrect API key: sk-vendor-secret")])
async def test_an_exhausted_ladder_without_a_vendors_answer_is_a_502_that_tells_nothing_of_it(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream, reply: Reply
) -> None:
    upstream.always = alternate.always = reply
    async with gateway(routing(upstream.url, alternate.url)) as served:
        got = await ask(served)
    assert (got.status_code, got.json()["error"]["code"]) == (502, "ladder_exhausted")
    for secret in ("u0", "u1", "m0", "m1", "acme", "openai", "sk-vendor", "acct"):
        assert secret not in got.text
    assert served.books.operations[0].error_type in ("connection_lost", "upstream_auth")


async def test_an_error_under_status_200_becomes_one(upstream: ScriptedUpstream) -> None:
    upstream.script.append(answer({"error": {"message": "Busy.", "code": 429}}))
    upstream.script.append(stream(event({"error": {"message": "Busy.", "code": "server_error"}})))
    async with gateway(routing(upstream.url)) as served:
        whole, streamed = await ask(served), await ask(served, stream=True)
    assert (whole.status_code, whole.json()["error"]["message"]) == (429, "Busy.")
    assert (streamed.status_code, streamed.json()["error"]["message"]) == (502, "Busy.")
    assert streamed.headers["content-type"] == "application/json"


async def test_a_rung_whose_worst_case_is_not_covered_is_refused_on_the_books(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    upstream.script.append(error(500, message="First."))
    config = routing(upstream.url, alternate.url, fallback={"max_extra_spend_usd": "0.0001"})
    async with gateway(config) as served:
        got = await ask(served, max_tokens=100)
    assert (got.status_code, got.json()["error"]["message"]) == (500, "First.")
    assert outcomes(served.books) == [("error", "server_error", 0), ("refused", "budget_exhausted", 1)]
    refused = served.books.attempts[1]
    assert refused.intent not in served.books.intents, "what is refused holds no intent"
    assert refused.intent.estimated_cost_usd is not None
    assert alternate.received == []


async def test_extra_spend_adds_up_over_rungs_but_for_what_was_not_billed(start_upstream: StartUpstream) -> None:
    upstreams = [await start_upstream() for _ in range(4)]
    upstreams[0].always = error(500)
    upstreams[1].always = error(500)
    upstreams[2].always = stream(ROLE, end="cut")
    # The worst case of a rung is about 0.0002 dollars: 100 tokens at 2 dollars a million. There is money for one.
    config = routing(*(scripted.url for scripted in upstreams), fallback={"max_extra_spend_usd": "0.0003"})
    async with gateway(config) as served:
        await ask(served, max_tokens=100, stream=True)
    assert outcomes(served.books) == [
        ("error", "server_error", 0),
        ("error", "server_error", 1),
        ("error", "stream_broken", 2),
        ("refused", "budget_exhausted", 3),
    ]


async def test_an_open_breaker_is_skipped_on_the_books_and_is_nobody_elses(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    upstream.always = error(500)
    config = routing(upstream.url, alternate.url, breaker={"consecutive_failures": 2, "cooldown_s": 60})
    async with gateway(config) as served:
        for _ in range(3):
            assert (await ask(served)).status_code == 200
        async with served.client("globex-key-0123456789") as globex:
            await globex.post("/v1/chat/completions", json=chat_request())
    assert outcomes(served.books)[4:] == [
        ("refused", "breaker_open", 0),
        ("ok", "", 1),
        ("error", "server_error", 0),
        ("ok", "", 1),
    ]
    assert served.books.attempts[2].breaker_transition == ("closed", "open", "server_error")
    assert served.books.attempts[5].intent.fallback_reason == "breaker_open"


async def test_when_every_upstream_rests_the_client_is_told_when_to_come_back(upstream: ScriptedUpstream) -> None:
    upstream.always = drop
    config = routing(upstream.url, breaker={"consecutive_failures": 1, "cooldown_s": 42})
    async with gateway(config) as served:
        await ask(served)
        got = await ask(served)
    assert (got.status_code, got.json()["error"]["code"], got.headers["retry-after"]) == (503, "breaker_open", "42")
    assert served.books.operations[1].outcome is Outcome.REFUSED


async def test_a_callers_faults_never_open_a_breaker(upstream: ScriptedUpstream) -> None:
    upstream.always = error(400)
    config = routing(upstream.url, breaker={"consecutive_failures": 2, "cooldown_s": 60})
    async with gateway(config) as served:
        statuses = [(await ask(served)).status_code for _ in range(14)]
    assert statuses == [400] * 14


async def test_a_probe_that_streams_closes_the_breaker_at_its_first_token(upstream: ScriptedUpstream) -> None:
    config = routing(upstream.url, breaker={"consecutive_failures": 1, "cooldown_s": 0.01})
    upstream.script.append(error(500))
    upstream.script.append(stream(*events("Hi")))
    async with gateway(config) as served:
        await ask(served)
        await until(
            lambda: served.plane.breakers.retry_in_s([*served.plane.breakers.states()], served.plane.loop.time()) == 0
        )
        assert (await ask(served, stream=True)).status_code == 200
    assert served.books.attempts[1].breaker_transition == ("half_open", "closed", "first_token")


async def test_a_stale_connection_costs_a_new_attempt_on_the_same_rung(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    breaker = {"consecutive_failures": 1, "cooldown_s": 60}
    async with gateway(routing(upstream.url, alternate.url, breaker=breaker)) as served:
        await ask(served)
        upstream.script.append(drop)
        assert (await ask(served)).headers["x-tollway-upstream"] == "u0"
    assert [(a.outcome.value, a.error_type, a.intent.attempt_index) for a in served.books.attempts[1:]] == [
        ("error", "connection_lost", 0),
        ("ok", "", 1),
    ]
    assert len({a.intent.attempt_id for a in served.books.attempts}) == 3
    assert served.books.intents[2].fallback_reason == ""
    assert alternate.received == []


async def test_an_alias_on_the_ladder_needs_the_tenants_leave(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    upstream.always = error(500)
    aliases = {"fast": {"fallback": [{"alias": "bulk"}]}, "bulk": {"targets": [{"upstream": "u1", "model": "m1"}]}}
    async with gateway(routing(upstream.url, alternate.url, aliases=aliases)) as served:
        assert (await ask(served)).headers["x-tollway-upstream"] == "u1"
        async with served.client("globex-key-0123456789") as globex:
            got = await globex.post("/v1/chat/completions", json=chat_request())
    assert got.status_code == 500
    assert outcomes(served.books)[2:] == [("error", "server_error", 0), ("refused", "not_authorized", 1)]
    assert served.books.attempts[1].intent.alias == "fast"


async def test_a_journal_that_cannot_record_means_that_nothing_is_sent(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    async with gateway(routing(upstream.url, alternate.url)) as served:
        served.books.full = True
        got = await ask(served)
        assert (got.status_code, got.json()["error"]["code"]) == (503, "journal_unavailable")
        assert got.headers["retry-after"]
        served.books.full = False
        assert (await ask(served)).status_code == 200
    assert outcomes(served.books)[0] == ("refused", "journal_full", 0)
    assert len(upstream.received) == 1


async def test_a_journal_that_cannot_record_the_fallback_ends_the_request(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    async def fill(line: Line, request: Received) -> None:
        served.books.full = True
        await error(500)(line, request)

    upstream.script.append(fill)
    async with gateway(routing(upstream.url, alternate.url)) as served:
        got = await ask(served)
    assert (got.status_code, got.json()["error"]["code"]) == (503, "journal_unavailable")
    assert alternate.received == []
    assert outcomes(served.books) == [("error", "server_error", 0), ("refused", "journal_full", 1)]


async def test_the_whole_request_has_one_time_limit_over_all_its_rungs(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    upstream.always = alternate.always = silence
    config = routing(upstream.url, alternate.url, tiers={"interactive": {"total_timeout_s": 0.1}})
    async with gateway(config) as served:
        got = await ask(served)
        await asyncio.wait_for(upstream.received[0].gone.wait(), 2)
    assert (got.status_code, got.json()["error"]["code"]) == (504, "timeout")
    assert outcomes(served.books) == [("timeout", "timeout", 0)]
    assert served.books.attempts[0].completeness is Completeness.UNKNOWN
    assert served.books.operations[0].outcome is Outcome.TIMEOUT


async def test_every_intent_has_exactly_one_end_and_the_operation_comes_last(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    upstream.always = stream(ROLE, event(chunk("Hi")), end="cut")
    async with gateway(routing(upstream.url, alternate.url)) as served:
        for _ in range(3):
            await ask(served, stream=True)
    kinds = [type(fact) for fact in served.books.told]
    assert kinds == [Intent, Attempt, type(served.books.operations[0])] * 3
    assert [a.intent for a in served.books.attempts] == served.books.intents
