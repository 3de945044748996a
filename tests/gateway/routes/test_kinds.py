"""Completions, embeddings and responses through the gateway: what goes up, what comes back, what is recorded."""

import asyncio
import json
from typing import Any

import httpx
import pytest

from gateway.domain.attempt import Outcome
from gateway.domain.usage import Completeness, Usage
from gateway.wire.kinds import Kind
from tests.gateway.dialects import (
    Script,
    completion,
    completion_chunk,
    completion_usage,
    embeddings,
    response,
    response_events,
)
from tests.gateway.fakes import DONE, Reply, ScriptedUpstream, answer, chunk, error, event, stream
from tests.gateway.serving import Gateway, gateway, routing, until

USAGE = {"prompt_tokens": 7, "total_tokens": 7}
ASKED: dict[Kind, dict[str, Any]] = {
    Kind.CHAT: {"messages": [{"role": "user", "content": "Hi"}]},
    Kind.COMPLETIONS: {"prompt": "Hi"},
    Kind.EMBEDDINGS: {"input": ["a", "b"]},
    Kind.RESPONSES: {"input": "Hi"},
}


@pytest.mark.parametrize("kind", Kind)
async def test_each_kind_goes_to_its_own_path_and_is_recorded_as_what_it_is(
    upstream: ScriptedUpstream, kind: Kind
) -> None:
    body = {"id": "x", "model": "m", "data": [1], "usage": USAGE}
    upstream.script.append(answer(body))
    async with gateway(routing(upstream.url)) as served, served.client() as client:
        got = await client.post(kind.route, json={"model": "fast", "from_the_future": [1], **ASKED[kind]})
    assert (got.status_code, got.json()) == (200, body)
    assert upstream.received[0].path == kind.route
    assert upstream.received[0].json == {"model": "m0", "from_the_future": [1], **ASKED[kind]}
    [attempt], [operation] = served.books.attempts, served.books.operations
    for fact in (attempt.intent, operation):
        assert (fact.route, fact.operation) == (kind.route, kind.operation)
    assert attempt.usage.input_uncached == 7


async def test_the_way_tools_are_offered_is_recorded(upstream: ScriptedUpstream) -> None:
    async with gateway(routing(upstream.url)) as served, served.client() as client:
        for offer in ("tools", "functions", "neither"):
            await client.post("/v1/chat/completions", json={"model": "fast", "messages": [], offer: [{}]})
    for facts in ([a.intent for a in served.books.attempts], served.books.operations):
        assert [fact.tool_format for fact in facts] == ["tools", "functions", ""]


async def test_an_embedding_has_no_output_to_reckon_with(upstream: ScriptedUpstream) -> None:
    async with gateway(routing(upstream.url)) as served, served.client() as client:
        await client.post("/v1/embeddings", content=json.dumps({"model": "fast", "input": "x", "max_tokens": 5}))
    assert served.books.attempts[0].intent.max_output_tokens == 0


async def test_the_most_a_completion_can_hold_counts_every_prompt_and_all_that_is_made_of_it(
    upstream: ScriptedUpstream,
) -> None:
    body = {"model": "fast", "prompt": ["a", "b", "c"], "n": 2, "best_of": 5, "max_tokens": 10}
    async with gateway(routing(upstream.url)) as served, served.client() as client:
        await client.post("/v1/completions", json=body)
    assert served.books.attempts[0].intent.max_output_tokens == 150


async def ask(served: Gateway, kind: Kind, **more: Any) -> httpx.Response:
    async with served.client() as client:
        return await client.post(kind.route, json={"model": "fast", **ASKED[kind], **more})


async def test_embeddings_arrive_as_the_vendor_sent_them_and_only_their_prompt_is_metered(
    upstream: ScriptedUpstream,
) -> None:
    body = embeddings(2)
    upstream.script.append(answer(body))
    async with gateway(routing(upstream.url)) as served:
        got = await ask(served, Kind.EMBEDDINGS, encoding_format="base64")
    assert got.json() == body
    assert upstream.received[0].json["encoding_format"] == "base64"
    [attempt] = served.books.attempts
    assert (attempt.usage, attempt.completeness) == (Usage(input_uncached=8), Completeness.MEASURED)
    assert attempt.response_model == "text-embedding-3-small"


async def test_embeddings_of_many_megabytes_arrive_whole_and_are_metered(upstream: ScriptedUpstream) -> None:
    data = [{"object": "embedding", "index": i, "embedding": "A" * 20_000} for i in range(1000)]
    upstream.script.append(answer(embeddings(data=data)))
    async with gateway(routing(upstream.url)) as served:
        got = await ask(served, Kind.EMBEDDINGS)
    assert got.json() == embeddings(data=data)
    assert served.books.attempts[0].usage == Usage(input_uncached=8)


async def test_a_response_arrives_as_the_vendor_sent_it_and_is_metered(upstream: ScriptedUpstream) -> None:
    upstream.script.append(answer(response()))
    async with gateway(routing(upstream.url)) as served:
        got = await ask(served, Kind.RESPONSES, tools=[{"type": "web_search"}])
    assert got.json() == response()
    [attempt] = served.books.attempts
    assert attempt.usage == Usage(input_uncached=6, cache_read=4, output=3, reasoning=2)
    assert (attempt.response_id, attempt.finish_reason, attempt.service_tier) == ("resp_1", "stop", "default")
    assert attempt.intent.tool_format == "tools"


async def test_a_streamed_response_is_relayed_byte_for_byte(upstream: ScriptedUpstream) -> None:
    sent = response_events("Hel", "lo")
    upstream.script.append(stream(*sent))
    async with gateway(routing(upstream.url)) as served:
        got = await ask(served, Kind.RESPONSES, stream=True)
    assert got.content == b"".join(sent)
    assert "stream_options" not in upstream.received[0].json
    [attempt] = served.books.attempts
    assert attempt.usage == Usage(input_uncached=6, cache_read=4, output=3, reasoning=2)
    assert (attempt.outcome, attempt.completeness) == (Outcome.OK, Completeness.MEASURED)
    assert attempt.first_token_seconds is not None


@pytest.mark.parametrize("asked", [True, False])
async def test_a_streamed_completion_is_relayed_but_for_the_usage_nobody_asked_for(
    upstream: ScriptedUpstream, asked: bool
) -> None:
    sent = [
        completion_chunk("Hel"),
        completion_chunk("lo", index=1),
        completion_chunk(finish="stop", index=1),
        completion_chunk(finish="stop"),
        completion_usage(),
        DONE,
    ]
    upstream.script.append(stream(*sent))
    more = {"stream_options": {"include_usage": True}} if asked else {}
    async with gateway(routing(upstream.url)) as served:
        got = await ask(served, Kind.COMPLETIONS, stream=True, n=2, **more)
    assert got.content == b"".join(piece for piece in sent if asked or piece != completion_usage())
    assert upstream.received[0].json["stream_options"] == {"include_usage": True}
    assert served.books.attempts[0].usage == Usage(input_uncached=4, output=2)


async def test_a_completion_of_several_prompts_is_whole_once_each_choice_has_finished(
    upstream: ScriptedUpstream,
) -> None:
    upstream.script.append(stream(*[completion_chunk("x", index=i, finish="stop") for i in range(3)]))
    upstream.script.append(stream(*[completion_chunk("x", index=i, finish="stop") for i in range(4)]))
    async with gateway(routing(upstream.url)) as served:
        for _ in range(2):
            await ask(served, Kind.COMPLETIONS, stream=True, n=2, prompt=["a", "b"])
    assert [attempt.error_type for attempt in served.books.attempts] == ["stream_broken", ""]


def begun() -> list[bytes]:
    script = Script()
    return [script.opening(), script.word("Hi")]


async def test_a_response_that_breaks_off_ends_in_an_error_event_of_its_own_dialect(
    upstream: ScriptedUpstream,
) -> None:
    for end in ("cut", "clean"):
        upstream.script.append(stream(*begun(), end=end))
    async with gateway(routing(upstream.url)) as served:
        for _ in range(2):
            got = await ask(served, Kind.RESPONSES, stream=True)
            last = got.content.removeprefix(b"".join(begun()))
            assert last.startswith(b"event: error\ndata: ")
            told = json.loads(last.split(b"data: ")[1])
            assert (told["type"], told["code"], told["sequence_number"]) == ("error", "stream_broken", 5)
    assert [attempt.error_type for attempt in served.books.attempts] == ["stream_broken"] * 2
    assert [attempt.completeness for attempt in served.books.attempts] == [Completeness.UNKNOWN] * 2


async def test_a_response_that_fails_half_way_is_relayed_as_the_vendor_said_it(upstream: ScriptedUpstream) -> None:
    script = Script()
    fault = {"code": "server_error", "message": "It went wrong."}
    sent = [script.opening(), script.word("Hi"), script.ending("response.failed", error=fault)]
    upstream.script.append(stream(*sent, end="hang"))
    async with gateway(routing(upstream.url)) as served:
        got = await ask(served, Kind.RESPONSES, stream=True)
        await asyncio.wait_for(upstream.received[0].gone.wait(), 2)
    assert got.content == b"".join(sent)
    [attempt] = served.books.attempts
    assert (attempt.outcome, attempt.error_type) == (Outcome.ERROR, "stream_broken")
    assert attempt.completeness is Completeness.MEASURED


EARLY_FAILURES: dict[str, tuple[Kind, Reply]] = {
    "chat error": (Kind.CHAT, stream(event({"error": {"message": "overloaded"}}))),
    "completion error": (Kind.COMPLETIONS, stream(completion_chunk(""), event({"error": {"message": "overloaded"}}))),
    "completion cut": (Kind.COMPLETIONS, stream(completion_chunk(""), end="cut")),
    "response failed": (
        Kind.RESPONSES,
        stream(Script()("response.failed", response=response("failed", error={"code": "server_error"}))),
    ),
    "response error": (Kind.RESPONSES, stream(Script().opening(), Script()("error", code="x", message="No."))),
    "response without a word": (Kind.RESPONSES, stream(Script().opening())),
    "response that failed": (Kind.RESPONSES, answer(response("failed", error={"code": "server_error"}))),
    "embeddings error": (Kind.EMBEDDINGS, answer({"error": {"message": "overloaded"}})),
}
WHOLE: dict[Kind, Any] = {
    Kind.CHAT: {"choices": [{"index": 0}], "usage": USAGE},
    Kind.COMPLETIONS: completion(),
    Kind.EMBEDDINGS: embeddings(),
    Kind.RESPONSES: response(),
}


@pytest.mark.parametrize("failure", EARLY_FAILURES, ids=str)
async def test_what_fails_before_its_first_token_is_answered_by_the_next_rung(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream, failure: str
) -> None:
    kind, reply = EARLY_FAILURES[failure]
    upstream.script.append(reply)
    alternate.script.append(answer(WHOLE[kind]))
    async with gateway(routing(upstream.url, alternate.url)) as served:
        got = await ask(served, kind, **({} if kind is Kind.EMBEDDINGS else {"stream": True}))
    assert (got.status_code, got.json()) == (200, WHOLE[kind])
    assert alternate.received[0].path == kind.route
    assert [attempt.outcome for attempt in served.books.attempts] == [Outcome.ERROR, Outcome.OK]


TOOL_DELTA = {"tool_calls": [{"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": ""}}]}
CALL = {"id": "fc_1", "type": "function_call", "name": "f", "arguments": "", "call_id": "c"}
TOOL_STREAMS = {
    Kind.CHAT: event({**chunk(), "choices": [{"index": 0, "delta": TOOL_DELTA, "finish_reason": None}]}),
    Kind.RESPONSES: Script()("response.output_item.added", output_index=0, item=CALL),
}


@pytest.mark.parametrize("end", ["cut", "clean"])
@pytest.mark.parametrize("kind", TOOL_STREAMS)
async def test_once_a_tool_call_reached_the_client_nothing_is_tried_again(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream, kind: Kind, end: str
) -> None:
    upstream.script.append(stream(TOOL_STREAMS[kind], end=end))
    config = routing(upstream.url, alternate.url, tiers={"interactive": {"retries": 3}})
    async with gateway(config) as served:
        got = await ask(served, kind, stream=True)
    assert got.content.startswith(TOOL_STREAMS[kind])
    assert b"stream_broken" in got.content
    assert (len(upstream.received), len(alternate.received)) == (1, 0)


@pytest.mark.parametrize("kind", Kind)
async def test_a_client_that_hangs_up_cancels_the_call(upstream: ScriptedUpstream, kind: Kind) -> None:
    opened = {
        Kind.CHAT: event(chunk("Hi")),
        Kind.COMPLETIONS: completion_chunk("Hi"),
        Kind.RESPONSES: Script().word("Hi"),
        Kind.EMBEDDINGS: b"{",
    }
    upstream.script.append(stream(opened[kind], end="hang"))
    async with gateway(routing(upstream.url)) as served:
        body = json.dumps({"model": "fast", **ASKED[kind], "stream": True}).encode()
        head = f"POST {kind.route} HTTP/1.1\r\nauthorization: Bearer acme-key-0123456789\r\ncontent-length: {len(body)}"
        reader, writer = await served.raw(head.encode() + b"\r\n\r\n" + body)
        if kind is Kind.EMBEDDINGS:
            await until(lambda: upstream.received)
        else:
            await reader.readuntil(opened[kind])
        writer.close()
        await asyncio.wait_for(upstream.received[0].gone.wait(), 2)
    assert [attempt.outcome for attempt in served.books.attempts] == [Outcome.CANCELLED]


@pytest.mark.parametrize("kind", Kind)
async def test_a_vendors_error_arrives_as_it_was_sent(upstream: ScriptedUpstream, kind: Kind) -> None:
    upstream.script.append(error(422, "a_code", "No."))
    async with gateway(routing(upstream.url)) as served:
        got = await ask(served, kind)
    assert (got.status_code, got.json()["error"]) == (
        422,
        {"message": "No.", "type": "t", "param": None, "code": "a_code"},
    )
