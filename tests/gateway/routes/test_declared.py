"""An upstream is asked only for what it is declared to serve: routes, streams, formats of tools."""

from typing import Any

import pytest

from tests.gateway.fakes import ScriptedUpstream
from tests.gateway.serving import chat_request, gateway, routing

TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


@pytest.mark.parametrize(
    ("declared", "asked"),
    [
        ({"serves": ["embeddings"]}, {}),
        ({"streams": False}, {"stream": True}),
        ({"tool_formats": ["functions"]}, {"tools": [TOOL]}),
        ({"tool_formats": ["tools"]}, {"functions": [TOOL["function"]]}),
    ],
)
async def test_what_an_upstream_is_declared_unable_of_goes_to_the_next(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream, declared: dict[str, Any], asked: dict[str, Any]
) -> None:
    config = routing(upstream.url, alternate.url, upstreams={"u0": declared})
    async with gateway(config) as served, served.client() as client:
        await client.post("/v1/chat/completions", json=chat_request(**asked))
        assert (len(upstream.received), len(alternate.received)) == (0, 1)
        assert served.books.attempts[0].error_type == "not_served"


async def test_what_it_is_able_of_it_is_asked_for(upstream: ScriptedUpstream) -> None:
    config = routing(upstream.url, upstreams={"u0": {"streams": False, "tool_formats": ["tools"], "serves": ["chat"]}})
    async with gateway(config) as served, served.client() as client:
        assert (await client.post("/v1/chat/completions", json=chat_request(tools=[TOOL]))).status_code == 200
        assert len(upstream.received) == 1
