"""An answer that has not the shape that was asked for arrives as it was sent, and its attempt says what is wrong."""

import json

import pytest

from tests.gateway.fakes import ScriptedUpstream, answer, chat, chunk, event, events, stream
from tests.gateway.serving import chat_request, gateway, routing

JSON = {"response_format": {"type": "json_object"}}


@pytest.mark.parametrize(("asked", "word", "fault"), [
    (JSON, '{\\"x\\":', "invalid_json"), (JSON, "{}", ""), ({}, "{", ""),
])  # fmt: skip
async def test_the_bytes_arrive_unchanged_and_the_attempt_tells(
    upstream: ScriptedUpstream, asked: dict[str, object], word: str, fault: str
) -> None:
    whole, pieces = chat(word), events(*word)
    upstream.script += [answer(whole), stream(*pieces)]
    async with gateway(routing(upstream.url)) as served, served.client() as client:
        plain = await client.post("/v1/chat/completions", json=chat_request(**asked))
        flowing = await client.post(
            "/v1/chat/completions", json=chat_request(**asked, stream=True, stream_options={"include_usage": True})
        )
        told = [(made.outcome, made.answer_fault) for made in served.books.attempts]
    assert json.loads(plain.content) == whole
    assert flowing.content == b"".join(pieces)
    assert told == [("ok", fault), ("ok", fault)]


async def test_a_tools_arguments_that_were_cut_short_are_told_of_a_stream(upstream: ScriptedUpstream) -> None:
    call = {"index": 0, "id": "c", "type": "function", "function": {"name": "go", "arguments": '{"x"'}}
    pieces = [event({**chunk(), "choices": [{"index": 0, "delta": {"tool_calls": [call]}}]}), *events(usage=False)]
    upstream.script += [stream(*pieces)]
    tool = {"type": "function", "function": {"name": "go", "parameters": {"type": "object"}}}
    async with gateway(routing(upstream.url)) as served, served.client() as client:
        await client.post("/v1/chat/completions", json=chat_request(stream=True, tools=[tool]))
        (made,) = served.books.attempts
    assert (made.outcome, made.answer_fault) == ("ok", "invalid_arguments")
