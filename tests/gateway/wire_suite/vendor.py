"""The scripted vendor of the wire suite, and what the suite promises for each client.

A request says by its `x-scenario` header (which the gateway passes on, as any header it does not know) how the vendor
shall answer. Every client, the official Python one, the official Node one and plain sockets, has one check of the name
of each promise; test_promises.py holds them to it.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.gateway.dialects import (
    Script,
    completion,
    completion_chunk,
    completion_usage,
    embeddings,
    message,
    response,
    response_events,
)
from tests.gateway.fakes import (
    DONE,
    ROLE,
    Line,
    Received,
    Reply,
    ScriptedUpstream,
    answer,
    chat,
    chunk,
    drop,
    event,
    events,
    stream,
)
from tests.gateway.serving import Gateway, gateway, routing

PROMISES = (
    "unknown_fields_arrive_both_ways",
    "developer_role_and_metadata_arrive",
    "tool_call_deltas_arrive_interleaved",
    "several_choices_and_logprobs_arrive",
    "service_tier_arrives_both_ways",
    "a_vendors_error_body_arrives",
    "an_error_under_status_200_is_an_error",
    "ids_are_masked_on_a_shared_account",
    "ids_arrive_on_an_account_of_ones_own",
    "hints_are_forwarded",
    "request_ids_are_the_clients_else_the_vendors",
    "usage_is_for_who_asked",
    "a_broken_stream_ends_in_band",
    "an_exhausted_ladder_is_no_rate_limit",
    "own_errors_have_codes",
    "completions_whole_and_streamed",
    "embeddings_arrive",
    "responses_whole_and_streamed",
    "a_broken_response_ends_in_band",
)

IDS = {"prompt_cache_key": "pck", "user": "ann", "safety_identifier": "sid"}
HINTS = {
    "retry_after": "17",
    "retry_after_ms": "17000",
    "x_should_retry": "false",
    "x_ratelimit_remaining_requests": "0",
    "x_request_id": "req_vendor",
}
RATE_LIMITED = {"message": "Slow down.", "type": "requests", "param": None, "code": "rate_limit_exceeded"}
UNSUPPORTED = {
    "message": "Unsupported value: 'verbosity'.",
    "type": "invalid_request_error",
    "param": "verbosity",
    "code": "unsupported_value",
}
LOGPROBS = {"content": [{"token": "x", "logprob": -0.5, "bytes": [120], "top_logprobs": []}], "refusal": None}
CHOICES = [
    {"index": i, "message": {"role": "assistant", "content": str(i)}, "finish_reason": "stop", "logprobs": LOGPROBS}
    for i in range(2)
]


def call_delta(index: int, **call: Any) -> bytes:
    """One event of a streamed tool call."""
    delta = {"tool_calls": [{"index": index, **call}]}
    return event({**chunk(), "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})


TOOL_CALLS = [
    ROLE,
    call_delta(0, id="c0", type="function", function={"name": "weather", "arguments": ""}),
    call_delta(1, id="c1", type="function", function={"name": "weather", "arguments": ""}),
    call_delta(0, function={"arguments": '{"city":'}),
    call_delta(1, function={"arguments": '{"city":"Rome"}'}),
    call_delta(0, function={"arguments": '"Oslo"}'}),
    event(chunk(finish="tool_calls")),
    DONE,
]
COMPLETION = [
    completion_chunk("Hel"),
    completion_chunk("lo"),
    completion_chunk(finish="stop"),
    completion_usage(),
    DONE,
]


def begun() -> list[bytes]:
    """A streamed response that is not going to end well."""
    script = Script()
    return [script.opening(), script.word("Hi")]


def whole(path: str, text: str) -> dict[str, Any]:
    """A whole answer of that route, saying `text`."""
    if path.endswith("/chat/completions"):
        return chat(text)
    if path.endswith("/completions"):
        return completion(text)
    return embeddings(2) if path.endswith("/embeddings") else response(output=[message(text)])


def streamed(path: str) -> list[bytes]:
    """A whole stream of that route."""
    if path.endswith("/chat/completions"):
        return events("Hel", "lo")
    return COMPLETION if path.endswith("/completions") else response_events("Hel", "lo")


def cut(path: str) -> list[bytes]:
    """What a stream of that route brings before it breaks."""
    return [ROLE, event(chunk("Hi"))] if path.endswith("/chat/completions") else begun()


def reply_to(request: Received) -> Reply:
    """What the scenario asks for."""
    path = request.path
    scenarios: dict[str, Reply] = {
        "choices": answer(
            chat(choices=CHOICES, service_tier="flex", system_fingerprint="fp", from_the_future={"a": 1.5})
        ),
        "tools": stream(*TOOL_CALLS),
        "unsupported": answer({"error": UNSUPPORTED}, 400),
        "under_200": answer({"error": RATE_LIMITED}),
        "rate_limited": answer({"error": RATE_LIMITED}, 429, **HINTS),
        "hints": answer(whole(path, "Hello."), **HINTS),
        "cut": stream(*cut(path), end="cut"),
        "drop": drop,
    }
    if (name := request.headers.get("x-scenario")) is not None:
        return scenarios[name]
    if request.json.get("stream"):
        return stream(*streamed(path))
    return answer(whole(path, json.dumps({"body": request.json, "headers": request.headers})))


async def act(line: Line, request: Received) -> None:
    """Answer as the request's scenario says; without one, with what was received."""
    await reply_to(request)(line, request)


@asynccontextmanager
async def suite(upstream: ScriptedUpstream, **changes: Any) -> AsyncIterator[Gateway]:
    """A gateway before that vendor: `fast` on an account that tenants share, `own` on acme's, `laddered` on both."""
    upstream.always = act
    on = [{"upstream": f"u{i}", "model": f"m{i}"} for i in range(2)]
    config = routing(
        upstream.url,
        upstream.url,
        upstreams={"u1": {"tenant": "acme"}},
        aliases={
            "fast": {"fallback": []},
            "own": {"tier": "interactive", "targets": on[1:]},
            "laddered": {"tier": "interactive", "targets": on[:1], "fallback": on[1:]},
        },
        breaker={"consecutive_failures": 1000, "failure_ratio": 1.0, "window_calls": 1000},
        **changes,
    )
    async with gateway(config) as served:
        yield served
