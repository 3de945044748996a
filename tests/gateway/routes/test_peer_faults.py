"""What was measured to go wrong in other gateways, done to this one. Each test names the gateway and its version; the
measurements are in the pages and threads that deploy/docs/peer-faults.md cites."""

import asyncio
from typing import Any

import httpx
import pytest

from gateway.domain import clock
from gateway.domain.attempt import Outcome
from gateway.domain.reasons import Reason
from gateway.domain.usage import Usage
from tests.gateway.dialects import response, response_events
from tests.gateway.fakes import (
    DONE,
    ROLE,
    ScriptedUpstream,
    answer,
    chat,
    chunk,
    error,
    event,
    events,
    silence,
    stream,
    usage_chunk,
)
from tests.gateway.serving import Gateway, chat_request, gateway, post, routing, until

SHAPE = {
    "messages": [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "Hi"}],
    "n": 2,
    "logprobs": True,
    "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}},
    "service_tier": "flex",
    "prompt_cache_retention": "24h",
    "metadata": {"team": "billing"},
    "reasoning_effort": "low",
    "verbosity": "low",
    "a_field_of_next_year": {"deep": [1, None, "\u00e9"]},
}


async def ask(served: Gateway, headers: dict[str, str] | None = None, **changes: Any) -> httpx.Response:
    async with served.client() as client:
        return await client.post("/v1/chat/completions", json=chat_request(**changes), headers=headers or {})


def two_aliases(url: str) -> dict[str, Any]:
    target = [{"upstream": "u0", "model": "m0"}]
    return {"aliases": {"other": {"tier": "interactive", "targets": target}}}


async def test_fields_are_not_dropped_and_roles_not_rewritten(upstream: ScriptedUpstream) -> None:
    """LiteLLM 1.106.2 drops metadata and prompt_cache_retention, turns developer into system, refuses verbosity for
    models it does not know; Portkey 1.15.2 drops what it does not know."""
    async with gateway(routing(upstream.url)) as served:
        got = await ask(served, **SHAPE)
    assert got.status_code == 200
    assert upstream.received[0].json == {**chat_request(**SHAPE), "model": "m0"}


async def test_the_answers_fields_are_not_dropped(upstream: ScriptedUpstream) -> None:
    """TensorZero 2026.6.0 drops system_fingerprint and service_tier; LiteLLM drops null finish_reason and logprobs."""
    whole = chat(system_fingerprint="fp_1", service_tier="default")
    upstream.script.append(answer(whole))
    async with gateway(routing(upstream.url)) as served:
        assert (await ask(served)).json() == whole


async def test_the_usage_chunk_keeps_its_empty_choices(upstream: ScriptedUpstream) -> None:
    """LiteLLM 1.106.2's final usage chunk has a choice in it."""
    pieces = events("Hi")
    upstream.script.append(stream(*pieces))
    async with gateway(routing(upstream.url)) as served:
        got = await ask(served, stream=True, stream_options={"include_usage": True})
    assert got.content == b"".join(pieces)
    assert event(usage_chunk(completion=1)) in got.content


async def test_a_dead_upstream_is_not_called_twelve_times_in_twelve(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    """LiteLLM 1.106.2 never cools a lone deployment down: 12 of 12 failing calls reached it."""
    upstream.always = error(500)
    async with gateway(routing(upstream.url, alternate.url)) as served:
        got = [await ask(served) for _ in range(12)]
    assert [one.status_code for one in got] == [200] * 12
    assert len(upstream.received) == 5


async def test_a_lone_dead_upstream_is_left_alone_too(upstream: ScriptedUpstream) -> None:
    """The same without a fallback: the client is told at once, and when to come back."""
    upstream.always = error(500)
    async with gateway(routing(upstream.url)) as served:
        got = [await ask(served) for _ in range(12)]
    assert len(upstream.received) == 5
    assert got[-1].json()["error"]["code"] == "breaker_open"
    assert int(got[-1].headers["retry-after"]) > 0


async def test_a_stream_cut_before_a_token_reaches_the_next_rung(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    """LiteLLM 1.106.2 gives the fallback no request when a stream is cut."""
    upstream.script.append(stream(ROLE, end="cut"))
    alternate.script.append(stream(*events("Hello")))
    async with gateway(routing(upstream.url, alternate.url)) as served:
        got = await ask(served, stream=True)
    assert got.content.endswith(DONE)
    assert len(alternate.received) == 1
    assert [a.error_type for a in served.books.attempts] == [Reason.STREAM_BROKEN, ""]


async def test_a_stream_cut_after_a_token_never_looks_whole(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    """Portkey ends a cut stream as a clean one; Envoy resets the client's connection."""
    upstream.script.append(stream(ROLE, event(chunk("Hel")), end="cut"))
    async with gateway(routing(upstream.url, alternate.url)) as served:
        got = await ask(served, stream=True)
    last = got.content.rstrip(b"\n").rpartition(b"\n\n")[2]
    assert last.startswith(b'data: {"error":')
    assert b"[DONE]" not in got.content
    assert alternate.received == []


async def test_a_429_with_a_long_retry_after_holds_nobody(upstream: ScriptedUpstream) -> None:
    """LiteLLM 1.106.2 made three calls and held the client for 55.6 s, then answered without a retry-after."""
    upstream.always = error(429, "rate_limit_exceeded", retry_after="17", retry_after_ms="17000")
    began = clock.monotonic()
    async with gateway(routing(upstream.url, tiers={"interactive": {"retries": 2}})) as served:
        got = await ask(served)
    assert clock.monotonic() - began < 5
    assert len(upstream.received) == 1
    assert (got.status_code, got.json()["error"]["code"]) == (429, "rate_limit_exceeded")
    assert (got.headers["retry-after"], got.headers["retry-after-ms"]) == ("17", "17000")


async def test_x_should_retry_false_is_heeded_and_forwarded(upstream: ScriptedUpstream) -> None:
    """SMG 1.13.0 made five attempts in 0.4 s on a 429, ignored Retry-After and x-should-retry, and stripped both."""
    upstream.always = error(503, "overloaded", x_should_retry="false", retry_after="1")
    async with gateway(routing(upstream.url, tiers={"interactive": {"retries": 3}})) as served:
        got = await ask(served)
    assert len(upstream.received) == 1
    assert (got.status_code, got.headers["x-should-retry"], got.headers["retry-after"]) == (503, "false", "1")


async def test_callers_faults_never_close_a_model(upstream: ScriptedUpstream) -> None:
    """sglang-router 0.3.2: after 14 answers of 400 a healthy model was 503."""
    upstream.script.extend(error(400, "invalid_value") for _ in range(14))
    async with gateway(routing(upstream.url)) as served:
        assert [(await ask(served)).status_code for _ in range(14)] == [400] * 14
        assert (await ask(served)).status_code == 200


async def test_one_aliass_failures_do_not_close_another_on_the_same_upstream(upstream: ScriptedUpstream) -> None:
    """SMG 1.13.0 and vllm-router 0.1.17: 14 answers of 500 on one alias made another on that worker 503."""
    upstream.always = error(500)
    async with gateway(routing(upstream.url, **two_aliases(upstream.url))) as served:
        for _ in range(14):
            await ask(served)
        upstream.always = answer(chat())
        assert (await ask(served)).status_code == 503
        assert (await ask(served, model="other")).status_code == 200


async def test_a_hang_up_reaches_the_upstream(upstream: ScriptedUpstream) -> None:
    """Portkey 1.15.2 let the upstream run to its end."""
    upstream.script.append(stream(ROLE, event(chunk("Hel")), end="hang"))
    async with gateway(routing(upstream.url)) as served:
        reader, writer = await served.raw(post(b'{"model":"fast","messages":[{"role":"user"}],"stream":true}'))
        await reader.readuntil(b"Hel")
        writer.transport.abort()
        await asyncio.wait_for(upstream.received[0].gone.wait(), 5)
        await until(lambda: served.books.operations)
    assert served.books.attempts[0].outcome is Outcome.CANCELLED


async def test_a_bad_key_is_a_401_that_says_so(upstream: ScriptedUpstream) -> None:
    """LiteLLM 1.106.2 without a database answers 400 "No connected db."."""
    async with gateway(routing(upstream.url)) as served, served.client("a-key-that-nobody-has") as client:
        got = await client.post("/v1/chat/completions", json=chat_request())
    assert (got.status_code, got.json()["error"]["code"]) == (401, "invalid_api_key")


async def test_a_vendors_error_arrives_in_its_own_words(upstream: ScriptedUpstream) -> None:
    """LiteLLM 1.106.2 turned the code rate_limit_exceeded into "429", the type into throttling_error, and put its own
    class names before the message."""
    told = {"error": {"message": "Slow down.", "type": "requests", "param": None, "code": "rate_limit_exceeded"}}
    upstream.script.append(answer(told, 429))
    async with gateway(routing(upstream.url)) as served:
        got = await ask(served)
    assert (got.status_code, got.json()) == (429, told)


@pytest.mark.parametrize("broken", [error(500), error(401, "invalid_api_key", "Incorrect API key provided: sk-abc.")])
async def test_no_error_names_a_ladder_an_upstream_or_a_key(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream, broken: Any
) -> None:
    """LiteLLM 1.106.2 told the tenant "Fallbacks are configured for: e500fb, cutfb"."""
    upstream.always = alternate.always = broken
    async with gateway(routing(upstream.url, alternate.url)) as served:
        got = await ask(served)
    shown = got.text + str(got.headers)
    assert not any(word in got.text for word in ("u0", "u1", "m0", "m1", "acct0", "allback", "ladder has"))
    assert "sk-" not in shown


async def test_an_exhausted_ladder_is_no_false_429(upstream: ScriptedUpstream, alternate: ScriptedUpstream) -> None:
    """freellmapi: a ladder that ended in anything at all was answered as 429."""
    upstream.script.append(error(429, retry_after="60"))
    alternate.script.append(silence)
    changes = {"tiers": {"interactive": {"first_token_timeout_s": 0.2}}}
    async with gateway(routing(upstream.url, alternate.url, **changes)) as served:
        got = await ask(served, stream=True)
    # One vendor's 429 is not the ladder's: the other was silent, and slowing down would not mend that.
    assert (got.status_code, got.json()["error"]["code"]) == (502, "ladder_exhausted")
    assert served.books.operations[0].error_type == Reason.FIRST_TOKEN_TIMEOUT


async def test_the_clients_request_id_comes_back(upstream: ScriptedUpstream) -> None:
    """LiteLLM renames it, most drop it."""
    async with gateway(routing(upstream.url)) as served:
        got = await ask(served, {"x-request-id": "mine-1"})
    assert got.headers["x-request-id"] == "mine-1"


async def test_trace_context_and_idempotency_key_reach_the_upstream(upstream: ScriptedUpstream) -> None:
    """Only vllm-router forwarded them."""
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    headers = {"traceparent": f"00-{trace}-00f067aa0ba902b7-00", "idempotency-key": "once-1"}
    async with gateway(routing(upstream.url)) as served:
        await ask(served, headers)
    sent = upstream.received[0].headers
    assert sent["traceparent"].split("-")[1] == trace
    assert sent["idempotency-key"]
    assert served.books.attempts[0].intent.trace_id == trace


@pytest.mark.parametrize("streamed", [False, True])
async def test_the_answers_model_is_the_vendors_own_whole_or_streamed(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream, streamed: bool
) -> None:
    """LiteLLM answers with the alias in streams and with the upstream's model in a whole fallback."""
    upstream.always = error(500)
    alternate.always = stream(*events("Hi")) if streamed else answer(chat())
    async with gateway(routing(upstream.url, alternate.url)) as served:
        got = await ask(served, stream=streamed)
    assert b"gpt-4o-mini-2024-07-18" in got.content
    assert b'"fast"' not in got.content
    assert got.headers["x-tollway-alias"] == "fast"


# What is on the books


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_response_is_one_attempt(upstream: ScriptedUpstream, streamed: bool) -> None:
    """BerriAI/litellm#15740: /v1/responses was logged twice."""
    upstream.always = stream(*response_events("Hi")) if streamed else answer(response())
    async with gateway(routing(upstream.url)) as served, served.client() as client:
        got = await client.post("/v1/responses", json={"model": "fast", "input": "Hi", "stream": streamed})
        assert got.status_code == 200
        await until(lambda: served.books.operations)
    assert [(a.completeness, a.response_id) for a in served.books.attempts] == [("measured", "resp_1")]
    assert len(served.books.operations) == 1


async def test_answers_that_share_an_id_are_attempts_of_their_own(upstream: ScriptedUpstream) -> None:
    """BerriAI/litellm#28376: the vendor's response id was the key, and answers of the same id were lost."""
    async with gateway(routing(upstream.url)) as served:
        for _ in range(3):
            await ask(served)
    assert {a.response_id for a in served.books.attempts} == {"chatcmpl-1"}
    assert len({a.intent.attempt_id for a in served.books.attempts}) == 3


async def test_each_call_is_an_attempt_with_the_card_of_its_own_model(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    """BerriAI/litellm PR #39294: a fallback was priced at the final model only; tya5/reyn#3047: of nine calls on the
    wire at most one had a cost."""
    upstream.always = error(500)
    async with gateway(routing(upstream.url, alternate.url, tiers={"interactive": {"retries": 2}})) as served:
        await ask(served)
    called = [request.headers["x-client-request-id"] for request in (*upstream.received, *alternate.received)]
    assert [a.intent.attempt_id for a in served.books.attempts] == called
    cards = [a.intent.rate_card.partition("@")[0] for a in served.books.attempts]
    assert cards == ["openai/m0", "openai/m0", "openai/m0", "openai/m1"]


async def test_cached_tokens_of_a_stream_are_metered_apart(upstream: ScriptedUpstream) -> None:
    """BerriAI/litellm#37485: streaming dropped cached_tokens, 7.4 times the price; #12313: three times the bill."""
    told = {"prompt_tokens": 1000, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 960}}
    tail = event({**usage_chunk(), "usage": told})
    upstream.script.append(stream(*events("Hi", usage=False)[:-1], tail, DONE))
    async with gateway(routing(upstream.url)) as served:
        await ask(served, stream=True)
    assert served.books.attempts[0].usage == Usage(input_uncached=40, cache_read=960, output=2)


async def test_a_stream_that_fails_midway_keeps_what_is_known_of_its_usage(upstream: ScriptedUpstream) -> None:
    """BerriAI/litellm#30667: failures in mid-stream logged no usage, so the biggest requests contributed nothing."""
    upstream.script.append(stream(ROLE, event(chunk("Hel", usage=usage_chunk(completion=1)["usage"])), end="cut"))
    async with gateway(routing(upstream.url)) as served:
        await ask(served, stream=True)
    [attempt] = served.books.attempts
    assert (attempt.outcome, attempt.completeness, attempt.usage.output) == (Outcome.ERROR, "estimated", 1)


# Fallbacks


async def test_a_failed_vendors_headers_are_not_in_the_alternates_answer(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    """maximhq/bifrost#6973: the first provider's headers leaked into the fallback's answer."""
    first = {"x_ratelimit_remaining_requests": "0", "openai_organization": "org-a", "retry_after": "99"}
    upstream.script.append(error(500, **first))
    alternate.script.append(answer(chat(), x_ratelimit_remaining_requests="7"))
    async with gateway(routing(upstream.url, alternate.url)) as served:
        got = await ask(served)
    assert (got.status_code, got.headers["x-ratelimit-remaining-requests"]) == (200, "7")
    assert not {"openai-organization", "retry-after"} & set(got.headers)


@pytest.mark.parametrize("broken", [b"data: {not json\n\n", b"data: []\n\n", b"<html>\n\n"])
async def test_a_malformed_stream_reaches_the_next_rung(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream, broken: bytes
) -> None:
    """BerriAI/litellm#40404: a cut, stalled or malformed stream gave the fallback no request."""
    upstream.script.append(stream(ROLE, broken))
    alternate.script.append(stream(*events("Hello")))
    async with gateway(routing(upstream.url, alternate.url)) as served:
        got = await ask(served, stream=True)
    assert got.content.endswith(DONE)
    assert broken not in got.content
    assert (got.headers["x-tollway-upstream"], len(alternate.received)) == ("u1", 1)


async def test_usage_is_not_shown_to_who_declined_it_and_metered_all_the_same(upstream: ScriptedUpstream) -> None:
    """An explicit include_usage: false is an answer too; clients choke on a chunk that they declined."""
    upstream.always = stream(*events("Hi"))
    async with gateway(routing(upstream.url)) as served:
        got = await ask(served, stream=True, stream_options={"include_usage": False})
    assert upstream.received[0].json["stream_options"]["include_usage"] is True
    assert b'"choices":[]' not in got.content
    assert served.books.attempts[0].completeness == "measured"


async def test_bulk_that_fills_its_tier_adds_nothing_to_interactive(upstream: ScriptedUpstream) -> None:
    """SMG 1.13.0 falls back to one line for all when reservations exceed its capacity: interactive waited 5.5 s."""
    gate = asyncio.Event()
    async with gateway(routing(upstream.url)) as served:
        upstream.always = stream(gate, *events("late"))
        bulk = [asyncio.ensure_future(ask(served, model="bulk", stream=True)) for _ in range(4)]  # noqa: TID251
        await until(lambda: len(upstream.received) == 2 and served.plane.pools["batch"].queued == 2)
        upstream.always = answer(chat())
        got = await ask(served)
        assert float(got.headers["x-tollway-queue-seconds"]) == 0
        gate.set()
        await asyncio.gather(*bulk)
