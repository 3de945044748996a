"""The ladder's promises over real sockets: retries, pauses, windows, canaries, and the faults measured in peers."""

import asyncio
from collections import Counter
from decimal import Decimal
from itertools import count
from typing import Any

import httpx
import pytest

from gateway.domain import clock
from gateway.domain.attempt import Outcome
from tests.gateway.fakes import ROLE, ScriptedUpstream, answer, chat, chunk, drop, error, event, events, silence, stream
from tests.gateway.serving import Gateway, chat_request, gateway, routing, until

PATIENT = {"interactive": {"retries": 2}}


async def ask(served: Gateway, **changes: Any) -> httpx.Response:
    async with served.client() as client:
        return await client.post("/v1/chat/completions", json=chat_request(**changes))


def ends(served: Gateway) -> list[tuple[str, str, int]]:
    return [(a.outcome.value, a.error_type, a.intent.fallback_depth) for a in served.books.attempts]


# Retries


async def test_a_failure_that_may_mend_itself_is_tried_again_on_the_same_rung(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    upstream.script.extend([error(500), error(503)])
    async with gateway(routing(upstream.url, alternate.url, tiers=PATIENT)) as served:
        got = await ask(served)
    assert (got.status_code, got.headers["x-tollway-upstream"]) == (200, "u0")
    assert ends(served) == [("error", "server_error", 0)] * 2 + [("ok", "", 0)]
    assert [a.intent.attempt_index for a in served.books.attempts] == [0, 1, 2]
    assert len({a.intent.attempt_id for a in served.books.attempts}) == 3
    assert alternate.received == []


async def test_after_its_retries_the_next_rung_is_called_with_its_own(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    upstream.always = error(500)
    alternate.script.append(error(500))
    async with gateway(routing(upstream.url, alternate.url, tiers={"interactive": {"retries": 1}})) as served:
        got = await ask(served)
    assert got.headers["x-tollway-upstream"] == "u1"
    assert ends(served) == [("error", "server_error", 0)] * 2 + [("error", "server_error", 1), ("ok", "", 1)]


async def test_nested_retries_do_not_multiply_beyond_the_tiers_bound(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    upstream.always = alternate.always = error(500, message="Mine.")
    tiers = {"interactive": {"retries": 2, "max_attempts": 4}}
    async with gateway(routing(upstream.url, alternate.url, tiers=tiers)) as served:
        got = await ask(served)
    assert (got.status_code, got.json()["error"]["message"]) == (500, "Mine.")
    assert (len(upstream.received), len(alternate.received)) == (3, 1)
    assert served.books.operations[0].attempts == 4, "each call is on the books"


async def test_a_stream_cut_before_a_token_is_tried_again_and_one_cut_after_it_never(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    upstream.script.extend([stream(ROLE, end="cut"), stream(ROLE, event(chunk("Hi")), end="cut")])
    async with gateway(routing(upstream.url, alternate.url, tiers=PATIENT)) as served:
        got = await ask(served, stream=True)
    assert got.headers["x-tollway-fallback-depth"] == "0"
    assert "stream_broken" in got.text
    assert "[DONE]" not in got.text
    assert ends(served) == [("error", "stream_broken", 0)] * 2
    assert alternate.received == []


TOOL = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "look", "arguments": ""}}


async def test_once_a_tool_calls_delta_reached_the_client_nothing_is_retried_or_moved(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    choice = {"index": 0, "delta": {"tool_calls": [TOOL]}, "finish_reason": None}
    upstream.script.append(stream(ROLE, event({**chunk(), "choices": [choice]}), end="cut"))
    async with gateway(routing(upstream.url, alternate.url, tiers=PATIENT)) as served:
        got = await ask(served, stream=True)
    assert "call_1" in got.text
    assert "stream_broken" in got.text
    assert (len(upstream.received), len(alternate.received)) == (1, 0)


@pytest.mark.parametrize("status", [400, 404, 422])
async def test_a_callers_fault_is_not_tried_again(upstream: ScriptedUpstream, status: int) -> None:
    upstream.always = error(status)
    async with gateway(routing(upstream.url, tiers=PATIENT)) as served:
        assert (await ask(served)).status_code == status
    assert len(upstream.received) == 1


async def test_a_vendor_that_says_not_to_retry_is_left_alone(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    upstream.always = error(503, x_should_retry="false")
    async with gateway(routing(upstream.url, alternate.url, tiers=PATIENT)) as served:
        assert (await ask(served)).headers["x-tollway-upstream"] == "u1"
    assert len(upstream.received) == 1


# The client is never held


async def test_a_429_with_a_long_retry_after_is_the_vendors_own_at_once_and_not_after_55_s(
    upstream: ScriptedUpstream,
) -> None:
    upstream.always = error(429, "rate_limit_exceeded", retry_after="17")
    began = clock.monotonic()
    async with gateway(routing(upstream.url, tiers=PATIENT)) as served:
        got = await ask(served)
    assert clock.monotonic() - began < 2
    assert (got.status_code, got.headers["retry-after"]) == (429, "17")
    assert len(upstream.received) == 1


async def test_a_429_moves_to_the_next_rung_at_once(upstream: ScriptedUpstream, alternate: ScriptedUpstream) -> None:
    upstream.always = error(429, retry_after="1")
    async with gateway(routing(upstream.url, alternate.url, tiers=PATIENT)) as served:
        got = await ask(served)
    assert (got.headers["x-tollway-upstream"], got.headers["x-tollway-fallback-reason"]) == ("u1", "rate_limited")
    assert len(upstream.received) == 1


async def test_a_429_with_a_short_retry_after_and_no_rung_left_is_waited_for(upstream: ScriptedUpstream) -> None:
    upstream.script.append(error(429, retry_after_ms="150", retry_after="1"))
    began = clock.monotonic()
    async with gateway(routing(upstream.url, tiers=PATIENT)) as served:
        got = await ask(served)
    assert got.status_code == 200
    assert 0.15 <= clock.monotonic() - began < 0.9
    assert ends(served) == [("error", "rate_limited", 0), ("ok", "", 0)]


async def test_a_pause_is_not_begun_that_would_end_after_the_deadline(upstream: ScriptedUpstream) -> None:
    upstream.always = error(429, "rate_limit_exceeded", retry_after="1")
    tiers = {"interactive": {"retries": 2, "total_timeout_s": 0.9}}
    async with gateway(routing(upstream.url, tiers=tiers)) as served:
        got = await ask(served)
    assert (got.status_code, len(upstream.received)) == (429, 1)


@pytest.mark.parametrize("how", ["hangs up", "is stopped"])
async def test_a_pause_ends_with_its_request(upstream: ScriptedUpstream, how: str) -> None:
    upstream.always = error(429, retry_after_ms="300")
    async with gateway(routing(upstream.url, tiers=PATIENT)) as served:
        asking = asyncio.get_running_loop().create_task(ask(served))
        await until(lambda: served.books.attempts)
        if how == "hangs up":
            asking.cancel()
            await until(lambda: served.books.operations)
        else:
            served.plane.stop()
            assert (await asking).json()["error"]["code"] == "shutting_down"
        later = clock.monotonic() + 0.5
        await until(lambda: clock.monotonic() > later)
    [operation] = served.books.operations
    assert (operation.outcome, operation.attempts) == (Outcome.CANCELLED, 1)
    assert len(upstream.received) == 1, "the pause would have ended by now"
    assert served.plane.pools["interactive"].inflight == 0


async def test_an_attempt_that_takes_too_long_for_a_whole_answer_is_hung_up_on_and_the_next_rung_answers(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    upstream.always = silence
    config = routing(upstream.url, alternate.url, tiers={"interactive": {"answer_timeout_s": 0.05}})
    async with gateway(config) as served:
        got = await ask(served)
        await asyncio.wait_for(upstream.received[0].gone.wait(), 2)
    assert (got.status_code, got.headers["x-tollway-fallback-reason"]) == (200, "answer_timeout")
    assert ends(served) == [("timeout", "answer_timeout", 0), ("ok", "", 1)]


async def test_the_patience_for_whole_answers_does_not_bind_streams(upstream: ScriptedUpstream) -> None:
    gate = asyncio.Event()
    sent = events("Hi", "there")
    upstream.script.append(stream(*sent[:2], gate, *sent[2:]))
    config = routing(upstream.url, tiers={"interactive": {"answer_timeout_s": 0.05}})
    async with gateway(config) as served:
        asking = asyncio.get_running_loop().create_task(ask(served, stream=True))
        await until(lambda: upstream.received)
        later = clock.monotonic() + 0.12
        await until(lambda: clock.monotonic() > later)
        gate.set()
        assert (await asking).text.endswith("data: [DONE]\n\n")
    assert ends(served) == [("ok", "", 0)]


# What an exhausted ladder says


async def test_an_exhausted_ladder_never_becomes_a_false_429(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    upstream.always = error(500, message="First.")
    alternate.always = error(429, retry_after="60")
    async with gateway(routing(upstream.url, alternate.url)) as served:
        kept = await ask(served)
        upstream.always = drop
        none = await ask(served)
    assert (kept.status_code, kept.json()["error"]["message"]) == (500, "First.")
    assert (none.status_code, none.json()["error"]["code"]) == (502, "ladder_exhausted")
    assert "retry-after" not in none.headers


async def test_where_all_who_were_called_are_overloaded_the_vendors_429_stands(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    upstream.always = alternate.always = error(429, "rate_limit_exceeded", retry_after="60")
    async with gateway(routing(upstream.url, alternate.url)) as served:
        got = await ask(served)
    assert (got.status_code, got.headers["retry-after"]) == (429, "60")


async def test_no_error_tells_of_the_ladder(upstream: ScriptedUpstream, alternate: ScriptedUpstream) -> None:
    upstream.always = alternate.always = drop
    aliases = {"fast": {"targets": [{"upstream": "u0", "model": "m0", "context_tokens": 5}]}}
    breaker = {"consecutive_failures": 1, "cooldown_s": 60}
    config = routing(upstream.url, alternate.url, tiers=PATIENT, aliases=aliases, breaker=breaker)
    async with gateway(config) as served:
        texts = [(await ask(served)).text for _ in range(3)]
    for text in texts:
        for secret in ("u0", "u1", "m0", "m1", "acct", "openai", "globex", "bulk"):
            assert secret not in text


# Context windows


def windows(first: int | None, second: int | None) -> dict[str, Any]:
    def target(name: str, model: str, size: int | None) -> dict[str, Any]:
        return {"upstream": name, "model": model, **({"context_tokens": size} if size else {})}

    return {"fast": {"targets": [target("u0", "m0", first)], "fallback": [target("u1", "m1", second)]}}


LONG = [{"role": "user", "content": "word " * 1000}]


async def test_a_prompt_that_does_not_fit_goes_to_a_larger_window_and_touches_no_breaker(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    breaker = {"consecutive_failures": 1, "cooldown_s": 60}
    config = routing(upstream.url, alternate.url, aliases=windows(1000, 2000), breaker=breaker)
    async with gateway(config) as served:
        got = await ask(served, messages=LONG)
        assert (await ask(served)).headers["x-tollway-upstream"] == "u0"
    assert (got.headers["x-tollway-upstream"], got.headers["x-tollway-fallback-reason"]) == ("u1", "context_too_long")
    assert ends(served)[:2] == [("refused", "context_too_long", 0), ("ok", "", 1)]


async def test_after_a_vendors_context_error_only_larger_windows_are_tried_and_its_own_words_stand(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    upstream.always = error(400, "context_length_exceeded", "Too long.")
    breaker = {"consecutive_failures": 1, "cooldown_s": 60}
    async with gateway(routing(upstream.url, alternate.url, aliases=windows(8000, 8000), breaker=breaker)) as served:
        for _ in range(2):
            got = await ask(served)
            assert (got.status_code, got.json()["error"]["message"]) == (400, "Too long.")
    assert ends(served) == [("error", "context_too_long", 0), ("refused", "context_too_long", 1)] * 2
    assert alternate.received == []


async def test_a_prompt_that_fits_no_window_is_told_the_sizes(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    async with gateway(routing(upstream.url, alternate.url, aliases=windows(500, 1000))) as served:
        got = await ask(served, messages=LONG)
    assert (got.status_code, got.json()["error"]["code"]) == (400, "context_too_long")
    assert "at most 1000" in got.json()["error"]["message"]
    assert served.books.operations[0].outcome is Outcome.REFUSED
    assert (len(upstream.received), len(alternate.received)) == (0, 0)


async def test_a_picture_is_not_taken_for_text(upstream: ScriptedUpstream, alternate: ScriptedUpstream) -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 50_000}}
    async with gateway(routing(upstream.url, alternate.url, aliases=windows(1000, None))) as served:
        got = await ask(served, messages=[{"role": "user", "content": [picture]}])
    assert got.headers["x-tollway-upstream"] == "u0"


# Canaries, and tables of their own


async def test_canaries_share_first_choices_by_weight_and_fall_back_on_each_other(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    targets = [{"upstream": "u0", "model": "m0", "weight": 3}, {"upstream": "u1", "model": "m1", "weight": 1}]
    config = routing(upstream.url, alternate.url, aliases={"fast": {"targets": targets, "fallback": []}})
    drawn = 0.0
    async with gateway(config, draw=lambda: drawn) as served:
        firsts = Counter[str]()
        for i in range(8):
            drawn = i / 8
            firsts[(await ask(served)).headers["x-tollway-upstream"]] += 1
        assert firsts == {"u0": 6, "u1": 2}
        alternate.script.append(error(500))
        moved = await ask(served)
    assert (moved.headers["x-tollway-upstream"], moved.headers["x-tollway-fallback-depth"]) == ("u0", "1")
    assert served.books.attempts[-2].intent.upstream == "u1"
    assert served.books.attempts[-2].intent.fallback_depth == 0


async def test_a_session_stays_with_the_first_choice_that_was_drawn_for_it(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    targets = [{"upstream": "u0", "model": "m0", "weight": 1}, {"upstream": "u1", "model": "m1", "weight": 1}]
    config = routing(upstream.url, alternate.url, aliases={"fast": {"targets": targets, "fallback": []}})
    draws = count()
    found: dict[str, set[str]] = {}
    async with gateway(config, draw=lambda: next(draws) % 2 / 2) as served, served.client() as client:
        for session in [f"conversation-{i}" for i in range(12)] * 3:
            headers = {"x-tollway-session": session}
            got = await client.post("/v1/chat/completions", json=chat_request(), headers=headers)
            found.setdefault(session, set()).add(got.headers["x-tollway-upstream"])
    assert [len(seen) for seen in found.values()] == [1] * 12
    assert set().union(*found.values()) == {"u0", "u1"}


async def test_targets_and_retries_differ_by_tier(upstream: ScriptedUpstream, alternate: ScriptedUpstream) -> None:
    own = {"targets": [{"upstream": "u1", "model": "int4"}], "fallback": [], "retries": 1}
    config = routing(upstream.url, alternate.url, aliases={"fast": {"tiers": {"batch": own}}})
    alternate.script.extend([error(500)])
    async with gateway(config) as served:
        async with served.client() as client:
            headers = {"x-tollway-tier": "batch"}
            got = await client.post("/v1/chat/completions", json=chat_request(), headers=headers)
        assert (await ask(served)).headers["x-tollway-upstream"] == "u0"
    assert (got.status_code, got.headers["x-tollway-upstream"]) == (200, "u1")
    assert [request.json["model"] for request in alternate.received] == ["int4", "int4"]


async def test_a_fallback_never_goes_back_to_the_primary(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    upstream.always = error(500)
    alternate.always = answer(chat("From the alternate."))
    async with gateway(routing(upstream.url, alternate.url)) as served:
        got = await ask(served)
    assert got.json()["choices"][0]["message"]["content"] == "From the alternate."
    assert (len(upstream.received), len(alternate.received)) == (1, 1)
    assert Decimal(got.headers["x-tollway-estimated-cost-usd"]) > 0
