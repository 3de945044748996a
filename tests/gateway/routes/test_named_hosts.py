"""What an attempt says of the machine it ran on: its name, and the bytes that it sent."""

import json

from tests.gateway.fakes import StartUpstream, answer, chat, events, stream
from tests.gateway.serving import chat_request, gateway, routing

RENT = [{"effective_from": "2026-01-01T00:00:00Z", "per_hour": "0.49"}]


async def test_attempts_carry_the_host_they_ran_on_with_what_it_sent_streamed_or_not(
    start_upstream: StartUpstream,
) -> None:
    rented, vendors = await start_upstream(), await start_upstream()
    config = routing(
        rented.url, vendors.url,
        aliases={"slow": {"tier": "interactive", "targets": [{"upstream": "u1", "model": "m1"}]}},
        hosts={"mac-1": {"upstreams": ["u0"], "rent": RENT}},
    )  # fmt: skip
    whole = chat(usage={"prompt_tokens": 1, "completion_tokens": 1})
    async with gateway(config) as served, served.client() as client:
        rented.script += [answer(whole), stream(*events("Hi"))]
        first = await client.post("/v1/chat/completions", json=chat_request())
        second = await client.post("/v1/chat/completions", json=chat_request(stream=True))
        await client.post("/v1/chat/completions", json=chat_request(model="slow"))
        told = [(made.intent.host, made.response_bytes) for made in served.books.attempts]
    assert json.loads(first.content) == whole
    assert told[0] == ("mac-1", len(first.content))
    assert told[1][0] == "mac-1"
    assert told[1][1] >= len(second.content)
    assert told[2] == ("", 0)
