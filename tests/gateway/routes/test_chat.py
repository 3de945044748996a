"""A chat request through the gateway, whole and streamed, and what is recorded of it."""

import json

import pytest

from gateway.domain.attempt import Outcome
from gateway.domain.usage import Completeness, Usage
from tests.gateway.fakes import DONE, ROLE, ScriptedUpstream, chunk, event, events, stream, usage_chunk
from tests.gateway.serving import VENDOR_KEY, chat_request, gateway, routing


async def test_a_whole_answer_arrives_as_the_vendor_sent_it_and_is_metered(upstream: ScriptedUpstream) -> None:
    async with gateway(routing(upstream.url)) as served, served.client() as client:
        answer = await client.post("/v1/chat/completions", json=chat_request(max_tokens=7))
    assert answer.status_code == 200
    assert answer.json()["choices"][0]["message"]["content"] == "Hello."
    assert answer.headers["x-tollway-alias"] == "fast"
    assert answer.headers["x-tollway-upstream"] == "u0"
    assert answer.headers["x-tollway-tier"] == "interactive"
    assert answer.headers["x-tollway-cache"] == "off"
    assert answer.headers["x-tollway-queue-seconds"] == "0"
    assert answer.headers["x-tollway-fallback-depth"] == "0"
    assert answer.headers["x-request-id"].startswith("req_")
    [attempt] = served.books.attempts
    assert served.books.intents == [attempt.intent]
    assert (attempt.outcome, attempt.completeness) == (Outcome.OK, Completeness.MEASURED)
    assert attempt.usage == Usage(input_uncached=10, output=3)
    assert json.loads(attempt.usage_raw) == {"prompt_tokens": 10, "completion_tokens": 3, "total_tokens": 13}
    assert (attempt.response_id, attempt.response_model) == ("chatcmpl-1", "gpt-4o-mini-2024-07-18")
    assert (attempt.finish_reason, attempt.http_status, attempt.error_type) == ("stop", 200, "")
    assert attempt.intent.max_output_tokens == 7
    assert attempt.intent.rate_card.startswith("openai/m0@2023")
    assert attempt.intent.request_bytes == len(upstream.received[0].body)
    [operation] = served.books.operations
    assert (operation.outcome, operation.http_status, operation.attempts) == (Outcome.OK, 200, 1)
    assert operation.span_id == attempt.intent.parent_span_id
    assert operation.started_at <= attempt.intent.started_at <= attempt.ended_at <= operation.ended_at


BOUNDS = [
    ({}, 500),
    ({"max_tokens": 100}, 100),
    ({"max_tokens": 100, "n": 5}, 500),
    ({"n": 2}, 1000),
    ({"max_tokens": 10**9}, 500),
    ({"max_tokens": 100, "n": 10**9}, 12_800),
    ({"max_tokens": 0, "n": 0}, 500),
]


@pytest.mark.parametrize(("asked", "bound"), BOUNDS, ids=str)
async def test_what_is_recorded_bounds_the_whole_answer_and_is_not_the_clients_to_inflate(
    upstream: ScriptedUpstream, asked: dict[str, int], bound: int
) -> None:
    config = routing(upstream.url, aliases={"fast": {"max_output_tokens": 500}})
    async with gateway(config) as served, served.client() as client:
        await client.post("/v1/chat/completions", json=chat_request(**asked))
    assert served.books.attempts[0].intent.max_output_tokens == bound
    sent = upstream.received[0].json
    assert {name: sent[name] for name in asked} == asked


async def test_the_upstream_gets_its_own_key_its_own_model_and_the_attempts_id(upstream: ScriptedUpstream) -> None:
    headers = {
        "traceparent": "00-" + "a" * 32 + "-" + "b" * 16 + "-00",
        "x-request-id": "mine-1",
        "cookie": "c=1",
        "x-custom": "kept",
        "openai-organization": "theirs",
    }
    async with gateway(routing(upstream.url)) as served, served.client() as client:
        answer = await client.post("/v1/chat/completions", json=chat_request(), headers=headers)
    sent = upstream.received[0]
    [attempt] = served.books.attempts
    assert sent.json["model"] == "m0"
    assert sent.headers["authorization"] == f"Bearer {VENDOR_KEY}"
    assert sent.headers["host"] == f"127.0.0.1:{upstream.port}"
    assert sent.headers["x-client-request-id"] == attempt.intent.attempt_id
    assert sent.headers["traceparent"] == f"00-{'a' * 32}-{attempt.intent.span_id}-01"
    assert sent.headers["x-custom"] == "kept"
    assert not {"cookie", "openai-organization", "x-request-id", "connection"} & sent.headers.keys()
    assert answer.headers["x-request-id"] == "mine-1"
    [operation] = served.books.operations
    assert (operation.trace_id, operation.parent_span_id) == ("a" * 32, "b" * 16)
    assert operation.request_id == "mine-1"


async def test_a_stream_is_relayed_byte_for_byte_but_for_the_usage_nobody_asked_for(upstream: ScriptedUpstream) -> None:
    sent = events("Hel", "lo", ".")
    upstream.script.append(stream(*sent))
    async with gateway(routing(upstream.url)) as served, served.client() as client:
        answer = await client.post("/v1/chat/completions", json=chat_request(stream=True))
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.content == b"".join([*sent[:-2], DONE])
    assert upstream.received[0].json["stream_options"] == {"include_usage": True}
    [attempt] = served.books.attempts
    assert attempt.usage == Usage(input_uncached=10, output=3)
    assert (attempt.outcome, attempt.completeness, attempt.finish_reason) == (
        Outcome.OK,
        Completeness.MEASURED,
        "stop",
    )
    assert attempt.first_token_seconds is not None
    assert attempt.first_token_seconds >= 0


async def test_who_asks_for_usage_gets_the_chunk_at_the_tail(upstream: ScriptedUpstream) -> None:
    sent = events("Hi")
    upstream.script.append(stream(*sent))
    body = chat_request(stream=True, stream_options={"include_usage": True})
    async with gateway(routing(upstream.url)) as served, served.client() as client:
        answer = await client.post("/v1/chat/completions", json=body)
    assert answer.content == b"".join(sent)


async def test_running_usage_is_asked_for_and_taken_out_again(upstream: ScriptedUpstream) -> None:
    running = {"prompt_tokens": 10, "completion_tokens": 1, "total_tokens": 11}
    upstream.script.append(
        stream(
            ROLE,
            event(chunk("Hi", usage=running)),
            event(chunk(finish="stop", usage=running)),
            event(usage_chunk()),
            DONE,
        )
    )
    config = routing(upstream.url, upstreams={"u0": {"running_usage": True}})
    async with gateway(config) as served, served.client() as client:
        answer = await client.post("/v1/chat/completions", json=chat_request(stream=True))
    asked = upstream.received[0].json["stream_options"]
    assert asked == {"include_usage": True, "continuous_usage_stats": True}
    assert answer.content == b"".join([ROLE, event(chunk("Hi")), event(chunk(finish="stop")), DONE])
    assert served.books.attempts[0].usage == Usage(input_uncached=10, output=3)
