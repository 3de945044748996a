"""The official `openai` client against the gateway: chat, stream, tools, and each of its error classes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import openai
import pytest
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam

from tests.gateway.fakes import (
    DONE,
    ROLE,
    ScriptedUpstream,
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
from tests.gateway.serving import ACME, GLOBEX, NO_TLS, Gateway, gateway, routing
from tests.gateway.wire_suite.vendor import TOOL_CALLS

HI: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hi"}]


@asynccontextmanager
async def client(served: Gateway, key: str = ACME, **options: Any) -> AsyncIterator[AsyncOpenAI]:
    async with httpx.AsyncClient(trust_env=False, verify=NO_TLS, **options) as http:
        yield AsyncOpenAI(base_url=f"{served.url}/v1", api_key=key, http_client=http, max_retries=0)


async def test_a_chat(upstream: ScriptedUpstream) -> None:
    async with gateway(routing(upstream.url)) as served, client(served) as ai:
        got = await ai.chat.completions.create(model="fast", messages=HI, temperature=0, seed=7)
    assert got.choices[0].message.content == "Hello."
    assert got.usage is not None
    assert got.usage.total_tokens == 13
    assert got.model == "gpt-4o-mini-2024-07-18"
    assert upstream.received[0].json["seed"] == 7


async def test_a_kept_answer_is_the_one_that_was_given_whole_and_streamed(upstream: ScriptedUpstream) -> None:
    call = {"name": "f", "arguments": '{"a": 1}'}
    delta = {"tool_calls": [{"index": 0, "id": "c1", "type": "function", "function": call}]}
    tool_call = {**chunk(), "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    pieces = [ROLE, event(chunk("Hel\u00e9")), event(tool_call), event(chunk(finish="tool_calls")), DONE]
    upstream.script.extend([answer(chat("Hi.")), stream(*pieces)])
    wanted: Any = {"model": "fast", "messages": HI, "temperature": 0}
    async with gateway(routing(upstream.url, cache={"mode": "exact"})) as served, client(served) as ai:
        whole = [await ai.chat.completions.create(**wanted) for _ in range(2)]
        streams = [[c async for c in await ai.chat.completions.create(**wanted, stream=True)] for _ in range(2)]
        statuses = [operation.cache_status for operation in served.books.operations]
    assert whole[0] == whole[1]
    assert streams[0] == streams[1]
    assert streams[1][2].choices[0].delta.tool_calls[0].function.arguments == '{"a": 1}'
    assert statuses == ["miss", "hit", "miss", "hit"]
    assert len(upstream.received) == 2


async def test_a_stream_with_and_without_its_usage(upstream: ScriptedUpstream) -> None:
    upstream.always = stream(*events("Hel", "lo"))
    async with gateway(routing(upstream.url)) as served, client(served) as ai:
        plain = [c async for c in await ai.chat.completions.create(model="fast", messages=HI, stream=True)]
        options: Any = {"include_usage": True}
        asked = [
            c
            async for c in await ai.chat.completions.create(
                model="fast", messages=HI, stream=True, stream_options=options
            )
        ]
    assert "".join(c.choices[0].delta.content or "" for c in plain) == "Hello"
    assert all(c.usage is None for c in plain)
    assert (asked[-1].choices, asked[-1].usage and asked[-1].usage.completion_tokens) == ([], 2)


TOOL: ChatCompletionToolParam = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}


async def test_interleaved_tool_calls(upstream: ScriptedUpstream) -> None:
    upstream.script.append(stream(*TOOL_CALLS))
    async with gateway(routing(upstream.url)) as served, client(served) as ai:
        calls: dict[int, str] = {}
        finish = None
        async for part in await ai.chat.completions.create(model="fast", messages=HI, tools=[TOOL], stream=True):
            finish = part.choices[0].finish_reason or finish
            for call in part.choices[0].delta.tool_calls or []:
                arguments = call.function.arguments if call.function else None
                calls[call.index] = calls.get(call.index, "") + (arguments or "")
    assert calls == {0: '{"city":"Oslo"}', 1: '{"city":"Rome"}'}
    assert finish == "tool_calls"
    assert upstream.received[0].json["tools"] == [TOOL]
    assert served.books.attempts[0].finish_reason == "tool_calls"


async def test_a_tool_call_in_a_whole_answer(upstream: ScriptedUpstream) -> None:
    call = {"id": "c0", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Oslo"}'}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    choices = [{"index": 0, "message": message, "finish_reason": "tool_calls", "logprobs": None}]
    upstream.script.append(answer(chat(choices=choices)))
    async with gateway(routing(upstream.url)) as served, client(served) as ai:
        got = await ai.chat.completions.create(model="fast", messages=HI, tools=[TOOL])
    calls = got.choices[0].message.tool_calls
    assert calls is not None
    assert calls[0].id == "c0"


async def test_n_choices_logprobs_and_fields_nobody_knows_arrive(upstream: ScriptedUpstream) -> None:
    text = {"role": "assistant", "content": "x", "from_the_future": {"a": 1.50}}
    logprobs = {"content": [{"token": "x", "logprob": -0.1, "bytes": None, "top_logprobs": []}], "refusal": None}
    choices = [{"index": i, "message": text, "finish_reason": "stop", "logprobs": logprobs} for i in range(2)]
    upstream.script.append(answer(chat(choices=choices, service_tier="flex", system_fingerprint="fp")))
    async with gateway(routing(upstream.url)) as served, client(served) as ai:
        got = await ai.chat.completions.create(
            model="fast", messages=[{"role": "developer", "content": "Be brief."}], n=2, logprobs=True,
            service_tier="flex", metadata={"k": "v"}, extra_body={"from_the_future": [1]},
        )  # fmt: skip
    assert len(got.choices) == 2
    assert got.choices[1].logprobs is not None
    assert (got.service_tier, got.system_fingerprint) == ("flex", "fp")
    sent = upstream.received[0].json
    assert (sent["messages"][0]["role"], sent["n"], sent["service_tier"]) == ("developer", 2, "flex")
    assert (sent["metadata"], sent["from_the_future"]) == ({"k": "v"}, [1])


VENDORS: list[tuple[int, type[openai.APIStatusError]]] = [
    (400, openai.BadRequestError),
    (404, openai.NotFoundError),
    (409, openai.ConflictError),
    (422, openai.UnprocessableEntityError),
    (429, openai.RateLimitError),
    (500, openai.InternalServerError),
    (529, openai.InternalServerError),
]


@pytest.mark.parametrize(("status", "kind"), VENDORS)
async def test_a_vendors_error_has_its_own_class_and_code(
    upstream: ScriptedUpstream, status: int, kind: type[openai.APIStatusError]
) -> None:
    upstream.script.append(error(status, "a_code", "No.", retry_after="3"))
    async with gateway(routing(upstream.url)) as served, client(served) as ai:
        with pytest.raises(kind) as caught:
            await ai.chat.completions.create(model="fast", messages=HI)
    assert (caught.value.status_code, caught.value.code, caught.value.type) == (status, "a_code", "t")
    assert caught.value.response.headers["retry-after"] == "3"
    assert caught.value.request_id == served.books.operations[0].request_id


async def test_our_own_errors_have_their_classes(upstream: ScriptedUpstream) -> None:
    async with gateway(routing(upstream.url)) as served:
        async with client(served, "not-a-key-of-anyone") as ai:
            with pytest.raises(openai.AuthenticationError) as unknown_key:
                await ai.chat.completions.create(model="fast", messages=HI)
            with pytest.raises(openai.AuthenticationError):
                await ai.models.list()
        async with client(served, GLOBEX) as ai:
            with pytest.raises(openai.PermissionDeniedError) as not_allowed:
                await ai.chat.completions.create(model="fast", messages=HI, extra_headers={"x-tollway-tier": "batch"})
            with pytest.raises(openai.NotFoundError, match="Did you mean 'fast'") as no_model:
                await ai.chat.completions.create(model="fats", messages=HI)
            with pytest.raises(openai.BadRequestError) as bad:
                await ai.chat.completions.create(model="", messages=HI)
            with pytest.raises(openai.NotFoundError) as no_route:
                await ai.images.generate(model="fast", prompt="x")
    assert [e.value.code for e in (unknown_key, not_allowed, no_model, bad, no_route)] == [
        "invalid_api_key",
        "tier_not_allowed",
        "model_not_found",
        "invalid_request",
        "unknown_route",
    ]
    assert bad.value.param == "model"
    assert upstream.received == []


async def test_an_exhausted_ladder_is_a_server_error_and_never_a_rate_limit(upstream: ScriptedUpstream) -> None:
    upstream.always = drop
    async with gateway(routing(upstream.url)) as served, client(served) as ai:
        with pytest.raises(openai.InternalServerError) as caught:
            await ai.chat.completions.create(model="fast", messages=HI)
    assert (caught.value.status_code, caught.value.code) == (502, "ladder_exhausted")


async def test_a_broken_stream_raises_in_the_client(upstream: ScriptedUpstream) -> None:
    upstream.script.append(stream(ROLE, event(chunk("Hi")), end="cut"))
    async with gateway(routing(upstream.url)) as served, client(served) as ai:
        parts = await ai.chat.completions.create(model="fast", messages=HI, stream=True)
        assert [(await anext(parts)).choices[0].delta.content for _ in range(2)] == ["", "Hi"]
        with pytest.raises(openai.APIError, match="interrupted"):
            await anext(parts)


async def test_a_client_out_of_patience_cancels_the_upstream(upstream: ScriptedUpstream) -> None:
    upstream.script.append(silence)
    async with gateway(routing(upstream.url)) as served, client(served, timeout=0.1) as ai:
        with pytest.raises(openai.APITimeoutError):
            await ai.with_options(timeout=0.1).chat.completions.create(model="fast", messages=HI)
        await asyncio.wait_for(upstream.received[0].gone.wait(), 2)


async def test_nobody_listening_is_a_connection_error(upstream: ScriptedUpstream) -> None:
    async with gateway(routing(upstream.url)) as served:
        pass
    async with client(served) as ai:
        with pytest.raises(openai.APIConnectionError):
            await ai.chat.completions.create(model="fast", messages=HI)


async def test_the_list_of_models_is_the_callers_own(upstream: ScriptedUpstream) -> None:
    async with gateway(routing(upstream.url)) as served:
        async with client(served) as ai:
            mine = [model.id async for model in ai.models.list()]
        async with client(served, GLOBEX) as ai:
            theirs = [model.id async for model in ai.models.list()]
    assert (mine, theirs) == (["bulk", "fast"], ["fast"])
