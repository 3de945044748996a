"""Completions, embeddings and responses through the gateway: what goes up, what comes back, what is recorded."""

import json
from typing import Any

import pytest

from gateway.wire.kinds import Kind
from tests.gateway.fakes import ScriptedUpstream, answer
from tests.gateway.serving import gateway, routing

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
