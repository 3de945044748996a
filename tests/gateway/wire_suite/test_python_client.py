"""The wire suite with the official `openai` client for Python."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import openai
import pytest
from openai import AsyncOpenAI

from tests.gateway.fakes import ScriptedUpstream
from tests.gateway.serving import ACME, GLOBEX, NO_TLS
from tests.gateway.wire_suite.vendor import IDS, UNSUPPORTED, suite

HI: Any = [{"role": "user", "content": "Hi"}]


@asynccontextmanager
async def ai(upstream: ScriptedUpstream, key: str = ACME) -> AsyncIterator[AsyncOpenAI]:
    async with suite(upstream) as served, httpx.AsyncClient(trust_env=False, verify=NO_TLS) as http:
        yield AsyncOpenAI(base_url=f"{served.url}/v1", api_key=key, http_client=http, max_retries=0)


def scenario(name: str) -> dict[str, str]:
    return {"x-scenario": name}


async def echo(client: AsyncOpenAI, **asked: Any) -> dict[str, Any]:
    """What reached the vendor."""
    got = await client.chat.completions.create(**{"model": "fast", "messages": HI, **asked})
    return json.loads(got.choices[0].message.content or "")  # type: ignore[no-any-return]


async def test_unknown_fields_arrive_both_ways(upstream: ScriptedUpstream) -> None:
    async with ai(upstream) as client:
        sent = await echo(client, extra_body={"from_the_future": {"a": 1.5}, "verbosity": "low"})
        got = await client.chat.completions.create(model="fast", messages=HI, extra_headers=scenario("choices"))
    assert (sent["body"]["from_the_future"], sent["body"]["verbosity"]) == ({"a": 1.5}, "low")
    assert got.model_dump()["from_the_future"] == {"a": 1.5}


async def test_developer_role_and_metadata_arrive(upstream: ScriptedUpstream) -> None:
    messages = [{"role": "developer", "content": "Be brief."}]
    async with ai(upstream) as client:
        sent = await echo(client, messages=messages, metadata={"k": "v"}, store=True)
    assert (sent["body"]["messages"], sent["body"]["metadata"]) == (messages, {"k": "v"})


async def test_tool_call_deltas_arrive_interleaved(upstream: ScriptedUpstream) -> None:
    calls: dict[int, tuple[str, str]] = {}
    async with ai(upstream) as client:
        parts = await client.chat.completions.create(
            model="fast", messages=HI, stream=True, extra_headers=scenario("tools")
        )
        async for part in parts:
            for call in part.choices[0].delta.tool_calls or []:
                known_id, known = calls.get(call.index, ("", ""))
                calls[call.index] = (call.id or known_id, known + ((call.function and call.function.arguments) or ""))
    assert calls == {0: ("c0", '{"city":"Oslo"}'), 1: ("c1", '{"city":"Rome"}')}


async def test_several_choices_and_logprobs_arrive(upstream: ScriptedUpstream) -> None:
    async with ai(upstream) as client:
        got = await client.chat.completions.create(
            model="fast", messages=HI, n=2, logprobs=True, extra_headers=scenario("choices")
        )
        sent = await echo(client, n=2, logprobs=True, top_logprobs=3)
    assert [choice.message.content for choice in got.choices] == ["0", "1"]
    logprobs = got.choices[1].logprobs
    assert logprobs is not None
    assert logprobs.content is not None
    assert logprobs.content[0].logprob == -0.5
    assert (sent["body"]["n"], sent["body"]["top_logprobs"]) == (2, 3)


async def test_service_tier_arrives_both_ways(upstream: ScriptedUpstream) -> None:
    async with ai(upstream) as client:
        sent = await echo(client, service_tier="flex")
        got = await client.chat.completions.create(model="fast", messages=HI, extra_headers=scenario("choices"))
    assert (sent["body"]["service_tier"], got.service_tier) == ("flex", "flex")


async def test_a_vendors_error_body_arrives(upstream: ScriptedUpstream) -> None:
    async with ai(upstream) as client:
        with pytest.raises(openai.BadRequestError) as caught:
            await client.chat.completions.create(model="fast", messages=HI, extra_headers=scenario("unsupported"))
    assert caught.value.body == UNSUPPORTED
    assert (caught.value.type, caught.value.param, caught.value.code) == (
        "invalid_request_error",
        "verbosity",
        "unsupported_value",
    )


async def test_an_error_under_status_200_is_an_error(upstream: ScriptedUpstream) -> None:
    async with ai(upstream) as client:
        with pytest.raises(openai.RateLimitError) as caught:
            await client.chat.completions.create(model="fast", messages=HI, extra_headers=scenario("under_200"))
    assert caught.value.code == "rate_limit_exceeded"


async def test_ids_are_masked_on_a_shared_account(upstream: ScriptedUpstream) -> None:
    headers = {"idempotency-key": "once"}
    async with ai(upstream) as mine:
        first, again = [await echo(mine, **IDS, extra_headers=headers) for _ in range(2)]
    async with ai(upstream, GLOBEX) as theirs:
        second = await echo(theirs, **IDS, extra_headers=headers)
    for name, value in IDS.items():
        assert first["body"][name] == again["body"][name] != second["body"][name]
        assert value not in (first["body"][name], second["body"][name])
    keys = [sent["headers"]["idempotency-key"] for sent in (first, again, second)]
    assert keys[0] == keys[1] != keys[2]
    assert "once" not in keys


async def test_ids_arrive_on_an_account_of_ones_own(upstream: ScriptedUpstream) -> None:
    async with ai(upstream) as client:
        sent = await echo(client, model="own", **IDS, extra_headers={"idempotency-key": "once"})
    assert {name: sent["body"][name] for name in IDS} == IDS
    assert sent["headers"]["idempotency-key"] == "once"


async def test_hints_are_forwarded(upstream: ScriptedUpstream) -> None:
    async with ai(upstream) as client:
        with pytest.raises(openai.RateLimitError) as caught:
            await client.chat.completions.create(model="fast", messages=HI, extra_headers=scenario("rate_limited"))
    headers = caught.value.response.headers
    assert (headers["retry-after"], headers["retry-after-ms"], headers["x-should-retry"]) == ("17", "17000", "false")
    assert headers["x-ratelimit-remaining-requests"] == "0"


async def test_request_ids_are_the_clients_else_the_vendors(upstream: ScriptedUpstream) -> None:
    mine = {"x-request-id": "mine", **scenario("hints")}
    async with ai(upstream) as client:
        named = await client.chat.completions.create(model="fast", messages=HI, extra_headers=mine)
        vendors = await client.chat.completions.create(model="fast", messages=HI, extra_headers=scenario("hints"))
        ours = await client.chat.completions.create(model="fast", messages=HI)
    assert (named._request_id, vendors._request_id) == ("mine", "req_vendor")
    assert (ours._request_id or "").startswith("req_")


async def test_usage_is_for_who_asked(upstream: ScriptedUpstream) -> None:
    async with ai(upstream) as client:
        for asked in (None, False, True):
            options: Any = {} if asked is None else {"stream_options": {"include_usage": asked}}
            parts = await client.chat.completions.create(model="fast", messages=HI, stream=True, **options)
            usages = [part.usage for part in [part async for part in parts]]
            assert all(usage is None for usage in usages[:-1])
            assert (usages[-1] is not None) is bool(asked)


async def test_a_broken_stream_ends_in_band(upstream: ScriptedUpstream) -> None:
    async with ai(upstream) as client:
        parts = await client.chat.completions.create(
            model="fast", messages=HI, stream=True, extra_headers=scenario("cut")
        )
        assert [(await anext(parts)).choices[0].delta.content for _ in range(2)] == ["", "Hi"]
        with pytest.raises(openai.APIError) as caught:
            await anext(parts)
    assert caught.value.code == "stream_broken"


async def test_an_exhausted_ladder_is_no_rate_limit(upstream: ScriptedUpstream) -> None:
    async with ai(upstream) as client:
        with pytest.raises(openai.InternalServerError) as caught:
            await client.chat.completions.create(model="laddered", messages=HI, extra_headers=scenario("drop"))
    assert (caught.value.status_code, caught.value.code) == (502, "ladder_exhausted")
    assert len(upstream.received) == 2


async def test_own_errors_have_codes(upstream: ScriptedUpstream) -> None:
    async with ai(upstream) as client:
        with pytest.raises(openai.NotFoundError) as no_model:
            await client.chat.completions.create(model="fats", messages=HI)
        with pytest.raises(openai.BadRequestError) as bad:
            await client.responses.create(model="fast")
        with pytest.raises(openai.AuthenticationError) as no_key:
            await client.with_options(api_key="not-a-key-of-anyone").embeddings.create(model="fast", input="x")
    assert [(e.value.code, e.value.param) for e in (no_model, bad, no_key)] == [
        ("model_not_found", "model"),
        ("invalid_request", "input"),
        ("invalid_api_key", None),
    ]
    assert upstream.received == []


async def test_completions_whole_and_streamed(upstream: ScriptedUpstream) -> None:
    async with ai(upstream) as client:
        whole = await client.completions.create(model="fast", prompt="Hi", suffix="!")
        parts = await client.completions.create(model="fast", prompt="Hi", stream=True)
        texts = [part.choices[0].text async for part in parts]
    assert json.loads(whole.choices[0].text)["body"] == {"model": "m0", "prompt": "Hi", "suffix": "!"}
    assert texts == ["Hel", "lo", ""]


async def test_embeddings_arrive(upstream: ScriptedUpstream) -> None:
    async with ai(upstream) as client:
        got = await client.embeddings.create(model="fast", input=["a", "b"], dimensions=2)
    assert [list(item.embedding) for item in got.data] == [[1.0, 2.0], [1.0, 2.0]]
    assert got.usage.prompt_tokens == 8
    assert upstream.received[0].json["encoding_format"] == "base64"


async def test_responses_whole_and_streamed(upstream: ScriptedUpstream) -> None:
    async with ai(upstream) as client:
        whole = await client.responses.create(model="fast", input="Hi", instructions="Be brief.")
        parts = [part async for part in await client.responses.create(model="fast", input="Hi", stream=True)]
    assert json.loads(whole.output_text)["body"] == {"model": "m0", "input": "Hi", "instructions": "Be brief."}
    assert [part.sequence_number for part in parts] == list(range(len(parts)))
    assert (parts[0].type, parts[-1].type) == ("response.created", "response.completed")
    assert "".join(part.delta for part in parts if part.type == "response.output_text.delta") == "Hello"
    last: Any = parts[-1]
    assert last.response.usage.input_tokens_details.cached_tokens == 4


async def test_a_broken_response_ends_in_band(upstream: ScriptedUpstream) -> None:
    async with ai(upstream) as client:
        stream = await client.responses.create(model="fast", input="Hi", stream=True, extra_headers=scenario("cut"))
        parts: list[Any] = [part async for part in stream]
    assert (parts[-1].type, parts[-1].code) == ("error", "stream_broken")
    assert [part.sequence_number for part in parts] == list(range(len(parts)))
