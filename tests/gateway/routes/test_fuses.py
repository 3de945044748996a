"""Session fuses over real sockets: what trips them, what the refusal says, and what it leaves alone."""

import json
from typing import Any

import httpx
import openai
import pytest

from gateway.domain.attempt import Outcome
from tests.gateway.fakes import DONE, ROLE, ScriptedUpstream, answer, chat, chunk, event, stream, usage_chunk
from tests.gateway.serving import ACME, GLOBEX, NO_TLS, Gateway, chat_request, gateway, routing, until

ARGUMENTS = '{"q": "x"}'


def fused(url: str, *more: str, **fuse: Any) -> Any:
    return routing(url, *more, tiers={"interactive": {"fuse": {"window_s": 600, **fuse}}})


def calling(arguments: str = ARGUMENTS) -> dict[str, Any]:
    """An answer that calls a tool."""
    call = {"id": "call_1", "type": "function", "function": {"name": "search", "arguments": arguments}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    return chat(choices=[{"index": 0, "message": message, "finish_reason": "tool_calls"}])


def streaming(*pieces: str) -> list[bytes]:
    """The same, streamed, its arguments in pieces."""
    deltas: list[dict[str, Any]] = [{"index": 0, "id": "call_1", "function": {"name": "search", "arguments": ""}}]
    deltas += [{"index": 0, "function": {"arguments": piece}} for piece in pieces]
    choices = [{"index": 0, "delta": {"tool_calls": [delta]}, "finish_reason": None} for delta in deltas]
    body = [event({**chunk(), "choices": [choice]}) for choice in choices]
    return [ROLE, *body, event(chunk(finish="tool_calls")), event(usage_chunk()), DONE]


async def ask(served: Gateway, session: str | None = "s1", key: str = ACME, **changes: Any) -> httpx.Response:
    headers = {"x-tollway-session": session} if session else {}
    async with served.client(key) as client:
        return await client.post("/v1/chat/completions", json=chat_request(**changes), headers=headers)


def words(got: httpx.Response) -> tuple[int, str, str]:
    error = got.json()["error"]
    return got.status_code, error["code"], error["param"]


async def test_the_same_tool_call_too_often_is_refused_with_the_tool_and_the_count(upstream: ScriptedUpstream) -> None:
    upstream.always = answer(calling())
    async with gateway(fused(upstream.url, same_tool_calls=3)) as served:
        assert [(await ask(served)).status_code for _ in range(3)] == [200] * 3
        got = await ask(served)
        operation = served.books.operations[-1]
        async with served.client() as client:
            metrics = (await client.get("/metrics")).text
    assert words(got) == (403, "fuse_tripped", "same_tool_calls")
    assert "'search' was called 3 times with the same arguments in 600 s" in got.json()["error"]["message"]
    assert "It resets in 6" in got.json()["error"]["message"]
    assert got.headers["x-should-retry"] == "false"
    assert len(upstream.received) == 3
    assert (operation.outcome, operation.error_type, operation.attempts) == (Outcome.REFUSED, "fuse_tripped", 0)
    assert operation.http_status == 403
    assert 'tollway_fuse_trips_total{bound="same_tool_calls",tier="interactive"} 1.0' in metrics


async def test_a_streamed_tool_call_counts_as_a_whole_one(upstream: ScriptedUpstream) -> None:
    upstream.script.extend([stream(*streaming('{"q"', ':"x"}')), answer(calling())])
    async with gateway(fused(upstream.url, same_tool_calls=2)) as served:
        assert (await ask(served, stream=True)).text.endswith("[DONE]\n\n")
        assert (await ask(served)).status_code == 200
        assert words(await ask(served))[2] == "same_tool_calls"


@pytest.mark.parametrize("streams", [False, True])
async def test_a_tool_call_that_the_cache_answers_counts_too(upstream: ScriptedUpstream, streams: bool) -> None:
    upstream.always = stream(*streaming(ARGUMENTS)) if streams else answer(calling())
    tiers = {"interactive": {"fuse": {"same_tool_calls": 3}}}
    async with gateway(routing(upstream.url, tiers=tiers, cache={"mode": "exact"})) as served:
        got = [(await ask(served, temperature=0, stream=streams)).status_code for _ in range(4)]
    assert got == [200, 200, 200, 403]
    assert len(upstream.received) == 1


async def test_a_call_that_comes_back_in_the_history_is_not_counted_again(upstream: ScriptedUpstream) -> None:
    upstream.always = answer(calling())
    messages: list[dict[str, Any]] = [{"role": "user", "content": "Go"}]
    statuses = []
    async with gateway(fused(upstream.url, same_tool_calls=3)) as served:
        for _ in range(4):
            got = await ask(served, messages=messages)
            statuses.append(got.status_code)
            if got.status_code == 200:
                messages.append(got.json()["choices"][0]["message"])
                messages.append({"role": "tool", "tool_call_id": "call_1", "content": "nothing"})
    assert statuses == [200, 200, 200, 403]


async def test_a_history_alone_trips_a_gateway_that_saw_none_of_it(upstream: ScriptedUpstream) -> None:
    call = calling()["choices"][0]["message"]
    async with gateway(fused(upstream.url, same_tool_calls=3)) as served:
        got = await ask(served, messages=[{"role": "user", "content": "Go"}, *[call] * 3])
    assert words(got) == (403, "fuse_tripped", "same_tool_calls")
    assert upstream.received == []


async def test_too_many_requests_trip(upstream: ScriptedUpstream) -> None:
    async with gateway(fused(upstream.url, calls=2)) as served:
        assert [(await ask(served)).status_code for _ in range(2)] == [200] * 2
        got = await ask(served)
    assert words(got) == (403, "fuse_tripped", "calls")
    assert "it made 2 requests in 600 s; the bound is 2" in got.json()["error"]["message"]


async def test_tokens_of_all_attempts_trip_and_estimated_ones_count(upstream: ScriptedUpstream) -> None:
    broken = [ROLE, event({**chunk("Hi"), "usage": {"prompt_tokens": 10, "completion_tokens": 1}})]
    upstream.script.append(stream(*broken, end="cut"))
    async with gateway(fused(upstream.url, tokens=11)) as served:
        await ask(served, stream=True)
        assert [attempt.completeness for attempt in served.books.attempts] == ["estimated"]
        assert words(await ask(served)) == (403, "fuse_tripped", "tokens")


async def test_dollars_by_the_card_trip(upstream: ScriptedUpstream) -> None:
    usage = {"prompt_tokens": 1_000_000, "completion_tokens": 500_000}
    upstream.always = answer(chat(usage=usage))
    async with gateway(fused(upstream.url, usd="2")) as served:
        assert (await ask(served)).status_code == 200
        got = await ask(served)
    assert words(got) == (403, "fuse_tripped", "usd")
    assert "it spent 2.0000 dollars in 600 s; the bound is 2." in got.json()["error"]["message"]


async def test_another_session_another_tenant_and_no_session_are_left_alone(upstream: ScriptedUpstream) -> None:
    async with gateway(fused(upstream.url, calls=1)) as served:
        assert [(await ask(served)).status_code for _ in range(2)] == [200, 403]
        assert (await ask(served, session="s2")).status_code == 200
        assert (await ask(served, key=GLOBEX)).status_code == 200
        assert [(await ask(served, session=None)).status_code for _ in range(3)] == [200] * 3


async def test_openais_client_does_not_repeat_what_a_fuse_refused(upstream: ScriptedUpstream) -> None:
    async with gateway(fused(upstream.url, calls=1)) as served:
        asked = 0

        async def count(request: httpx.Request) -> None:
            nonlocal asked
            asked += 1

        hooks = {"request": [count]}
        headers = {"x-tollway-session": "s1"}
        async with httpx.AsyncClient(trust_env=False, verify=NO_TLS, event_hooks=hooks) as http:
            url = f"{served.url}/v1"
            ai = openai.AsyncOpenAI(
                api_key=ACME, base_url=url, http_client=http, max_retries=3, default_headers=headers
            )
            await ai.chat.completions.create(model="fast", messages=[{"role": "user", "content": "Hi"}])
            with pytest.raises(openai.PermissionDeniedError, match="fuse of this session tripped"):
                await ai.chat.completions.create(model="fast", messages=[{"role": "user", "content": "Hi"}])
    assert asked == 2


@pytest.mark.parametrize("end", ["cut", "clean"])
async def test_after_a_tool_call_delta_nothing_is_retried_or_moved(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream, end: str
) -> None:
    upstream.always = stream(*streaming('{"q"')[:2], end=end)
    tiers = {"interactive": {"retries": 2, "fuse": {"same_tool_calls": 2}}}
    async with gateway(routing(upstream.url, alternate.url, tiers=tiers)) as served:
        got = await ask(served, stream=True)
        await until(lambda: served.books.operations)
    assert '"code":"stream_broken"' in got.text
    assert "[DONE]" not in got.text
    assert (len(upstream.received), len(alternate.received)) == (1, 0)
    assert json.loads(got.text.split("data: ")[2])["choices"][0]["delta"]["tool_calls"][0]["id"] == "call_1"
