"""The wire suite with plain sockets: what the bytes are, where a client library would hide it."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any

import pytest

from gateway.wire.kinds import Kind
from tests.gateway.dialects import completion_usage, embeddings
from tests.gateway.fakes import DONE, ROLE, ScriptedUpstream, chat, chunk, event, events, stream, usage_chunk
from tests.gateway.serving import ACME, GLOBEX, Gateway, post
from tests.gateway.wire_suite.vendor import (
    CHOICES,
    COMPLETION,
    HINTS,
    IDS,
    RATE_LIMITED,
    TOOL_CALLS,
    UNSUPPORTED,
    begun,
    streamed,
    suite,
)

MESSAGES = '"messages":[{"role":"user","content":"Hi"}]'
ASKED = {
    Kind.CHAT: MESSAGES,
    Kind.COMPLETIONS: '"prompt":"Hi"',
    Kind.EMBEDDINGS: '"input":["a","b"]',
    Kind.RESPONSES: '"input":"Hi"',
}


@dataclass
class Got:
    """One answer, as it was on the wire."""

    status: int
    headers: dict[str, str]
    body: bytes
    """Without the framing of chunks."""
    chunks: list[bytes]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


async def send(
    served: Gateway,
    members: str = MESSAGES,
    *headers: str,
    kind: Kind = Kind.CHAT,
    model: str = "fast",
    key: str = ACME,
) -> Got:
    """Send a body made of these members, and read the answer to the end of the connection."""
    body = f'{{"model" : "{model}", {members}}}'.encode()
    data = post(body, "connection: close", *headers, key=key).replace(b"/v1/chat/completions", kind.route.encode(), 1)
    reader, writer = await served.raw(data)
    raw = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    head, _, rest = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    named = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    if "chunked" not in named.get("transfer-encoding", ""):
        assert len(rest) == int(named["content-length"])
        return Got(int(first.split()[1]), named, rest, [])
    chunks: list[bytes] = []
    while True:
        size, _, rest = rest.partition(b"\r\n")
        if int(size, 16) == 0:
            assert rest == b"\r\n", "the last chunk ends the body"
            return Got(int(first.split()[1]), named, b"".join(chunks), chunks)
        chunks.append(rest[: int(size, 16)])
        rest = rest[int(size, 16) + 2 :]


async def echo(served: Gateway, members: str, *headers: str, **to: Any) -> dict[str, Any]:
    got = await send(served, members, *headers, **to)
    return json.loads(got.json["choices"][0]["message"]["content"])  # type: ignore[no-any-return]


def data_of(last: bytes) -> Any:
    return json.loads(last.split(b"data: ")[-1])


@pytest.mark.parametrize("kind", Kind)
async def test_the_clients_bytes_go_up_with_only_the_model_changed(upstream: ScriptedUpstream, kind: Kind) -> None:
    members = f'{ASKED[kind]} , "x":1.0,"big":123456789012345678901234567890,"escaped":"\\u00e9\\ud83d\\ude00" '
    async with suite(upstream) as served:
        await send(served, members, kind=kind, model="own")
    assert upstream.received[0].body == f'{{"model":"m1", {members}}}'.encode()


@pytest.mark.parametrize("kind", [Kind.CHAT, Kind.COMPLETIONS, Kind.RESPONSES])
async def test_sse_bytes_are_relayed_not_made_again(upstream: ScriptedUpstream, kind: Kind) -> None:
    options = ',"stream_options":{"include_usage":true}' if kind is not Kind.RESPONSES else ""
    async with suite(upstream) as served:
        got = await send(served, f'{ASKED[kind]},"stream":true{options}', kind=kind)
    assert got.body == b"".join(streamed(kind.route))
    assert got.headers["content-type"] == "text/event-stream; charset=utf-8"


async def test_without_a_chunk_size_each_piece_is_relayed_at_once(upstream: ScriptedUpstream) -> None:
    words = [event(chunk(str(i))) for i in range(5)]
    gates = [asyncio.Event() for _ in words]
    paced = [part for pair in zip(gates, words, strict=True) for part in pair]
    async with suite(upstream, gateway={"stream_chunk_bytes": 0}) as served:
        upstream.script.append(stream(ROLE, *paced, event(chunk(finish="stop")), DONE))
        body = f'{{"model":"fast",{MESSAGES},"stream":true}}'.encode()
        reader, writer = await served.raw(post(body, "connection: close"))
        for gate, word in zip(gates, words, strict=True):
            gate.set()  # The vendor says the next word only once the one before has arrived.
            await asyncio.wait_for(reader.readuntil(word), 5)
        assert DONE in await reader.read()
        writer.close()


async def test_with_a_chunk_size_small_pieces_are_gathered_and_none_is_lost(upstream: ScriptedUpstream) -> None:
    words = [event(chunk(str(i))) for i in range(20)]
    async with suite(upstream, gateway={"stream_chunk_bytes": 600}) as served:
        upstream.script.append(stream(ROLE, *words, event(chunk(finish="stop")), DONE))
        got = await send(served, f'{MESSAGES},"stream":true')
    assert got.body == b"".join([ROLE, *words, event(chunk(finish="stop")), DONE])
    assert all(len(piece) >= 600 for piece in got.chunks[:-1])
    assert len(got.chunks) < 10


async def test_unknown_fields_arrive_both_ways(upstream: ScriptedUpstream) -> None:
    async with suite(upstream) as served:
        got = await send(served, f'{MESSAGES},"from_the_future":{{"a":1.50}}', "x-scenario: choices")
    assert b'"from_the_future":{"a":1.50}' in upstream.received[0].body
    expected = chat(choices=CHOICES, service_tier="flex", system_fingerprint="fp", from_the_future={"a": 1.5})
    assert got.body == json.dumps(expected).encode()


async def test_developer_role_and_metadata_arrive(upstream: ScriptedUpstream) -> None:
    members = '"messages":[{"role":"developer","content":"Be brief."}],"metadata":{"k":"v"}'
    async with suite(upstream) as served:
        await send(served, members)
    assert members.encode() in upstream.received[0].body


async def test_tool_call_deltas_arrive_interleaved(upstream: ScriptedUpstream) -> None:
    async with suite(upstream) as served:
        got = await send(served, f'{MESSAGES},"stream":true', "x-scenario: tools")
    assert got.body == b"".join(TOOL_CALLS)


async def test_several_choices_and_logprobs_arrive(upstream: ScriptedUpstream) -> None:
    async with suite(upstream) as served:
        got = await send(served, f'{MESSAGES},"n":2,"logprobs":true', "x-scenario: choices")
    assert got.json["choices"] == CHOICES
    assert b'"n":2,"logprobs":true' in upstream.received[0].body


async def test_service_tier_arrives_both_ways(upstream: ScriptedUpstream) -> None:
    async with suite(upstream) as served:
        got = await send(served, f'{MESSAGES},"service_tier":"flex"', "x-scenario: choices")
    assert b'"service_tier":"flex"' in upstream.received[0].body
    assert got.json["service_tier"] == "flex"
    assert served.books.attempts[0].service_tier == "flex"


async def test_a_vendors_error_body_arrives(upstream: ScriptedUpstream) -> None:
    async with suite(upstream) as served:
        got = await send(served, MESSAGES, "x-scenario: unsupported")
    assert (got.status, got.body) == (400, json.dumps({"error": UNSUPPORTED}).encode())


async def test_an_error_under_status_200_is_an_error(upstream: ScriptedUpstream) -> None:
    async with suite(upstream) as served:
        got = await send(served, MESSAGES, "x-scenario: under_200")
    assert (got.status, got.json) == (429, {"error": RATE_LIMITED})


def named(ids: dict[str, str]) -> str:
    return f"{MESSAGES}," + json.dumps(ids)[1:-1]


async def test_ids_are_masked_on_a_shared_account(upstream: ScriptedUpstream) -> None:
    async with suite(upstream) as served:
        first = await echo(served, named(IDS), "idempotency-key: once")
        second = await echo(served, named(IDS), "idempotency-key: once", key=GLOBEX)
    for name, value in IDS.items():
        assert len({first["body"][name], second["body"][name], value}) == 3
        assert len(first["body"][name]) <= 64
    assert len({first["headers"]["idempotency-key"], second["headers"]["idempotency-key"], "once"}) == 3


async def test_ids_arrive_on_an_account_of_ones_own(upstream: ScriptedUpstream) -> None:
    async with suite(upstream) as served:
        await send(served, named(IDS), "idempotency-key: once", model="own")
    assert json.dumps(IDS)[1:-1].encode() in upstream.received[0].body
    assert upstream.received[0].headers["idempotency-key"] == "once"


async def test_hints_are_forwarded(upstream: ScriptedUpstream) -> None:
    async with suite(upstream) as served:
        got = await send(served, MESSAGES, "x-scenario: rate_limited")
    assert {name: got.headers[name.replace("_", "-")] for name in HINTS} == HINTS
    assert (got.status, got.json) == (429, {"error": RATE_LIMITED})


async def test_request_ids_are_the_clients_else_the_vendors(upstream: ScriptedUpstream) -> None:
    async with suite(upstream) as served:
        mine = await send(served, MESSAGES, "x-scenario: hints", "x-request-id: mine")
        vendors = await send(served, MESSAGES, "x-scenario: hints")
    assert [got.headers["x-request-id"] for got in (mine, vendors)] == ["mine", "req_vendor"]
    ours = [got.headers["x-tollway-request-id"] for got in (mine, vendors)]
    assert ours == [operation.request_id for operation in served.books.operations]


@pytest.mark.parametrize("asked", [None, False, True])
@pytest.mark.parametrize("kind", [Kind.CHAT, Kind.COMPLETIONS])
async def test_usage_is_for_who_asked(upstream: ScriptedUpstream, kind: Kind, asked: bool | None) -> None:
    options = "" if asked is None else f',"stream_options":{{"include_usage":{str(asked).lower()}}}'
    tail = event(usage_chunk(completion=2)) if kind is Kind.CHAT else completion_usage()
    async with suite(upstream) as served:
        got = await send(served, f'{ASKED[kind]},"stream":true{options}', kind=kind)
    assert (tail in got.body) is bool(asked)
    assert upstream.received[0].json["stream_options"]["include_usage"] is True
    assert served.books.attempts[0].usage.output == 2


async def test_a_broken_stream_ends_in_band(upstream: ScriptedUpstream) -> None:
    async with suite(upstream) as served:
        got = await send(served, f'{MESSAGES},"stream":true', "x-scenario: cut")
    before = b"".join([ROLE, event(chunk("Hi"))])
    assert got.body.startswith(before)
    assert data_of(got.body.removeprefix(before))["error"]["code"] == "stream_broken"
    assert b"[DONE]" not in got.body
    assert b'"stop"' not in got.body


async def test_an_exhausted_ladder_is_no_rate_limit(upstream: ScriptedUpstream) -> None:
    async with suite(upstream) as served:
        got = await send(served, MESSAGES, "x-scenario: drop", model="laddered")
    assert (got.status, got.json["error"]["code"]) == (502, "ladder_exhausted")
    assert "retry-after" not in got.headers


async def test_own_errors_have_codes(upstream: ScriptedUpstream) -> None:
    async with suite(upstream) as served:
        refused = [
            await send(served, MESSAGES, model="fats"),
            await send(served, '"input":null', kind=Kind.RESPONSES),
            await send(served, MESSAGES, key="not-a-key-of-anyone"),
            await send(served, MESSAGES, "content-encoding: gzip"),
        ]
    for got in refused:
        assert got.json["error"].keys() == {"message", "type", "param", "code"}
    assert [(got.status, got.json["error"]["code"]) for got in refused] == [
        (404, "model_not_found"),
        (400, "invalid_request"),
        (401, "invalid_api_key"),
        (400, "invalid_request"),
    ]


async def test_completions_whole_and_streamed(upstream: ScriptedUpstream) -> None:
    async with suite(upstream) as served:
        whole = await send(served, '"prompt":"Hi","suffix":"!"', kind=Kind.COMPLETIONS)
        parts = await send(served, '"prompt":"Hi","stream":true', kind=Kind.COMPLETIONS)
    assert whole.json["object"] == "text_completion"
    assert parts.body == b"".join([*COMPLETION[:-2], DONE])


async def test_embeddings_arrive(upstream: ScriptedUpstream) -> None:
    async with suite(upstream) as served:
        got = await send(served, '"input":["a","b"]', kind=Kind.EMBEDDINGS)
    assert got.body == json.dumps(embeddings(2)).encode()


async def test_responses_whole_and_streamed(upstream: ScriptedUpstream) -> None:
    async with suite(upstream) as served:
        whole = await send(served, '"input":"Hi"', kind=Kind.RESPONSES)
        parts = await send(served, '"input":"Hi","stream":true', kind=Kind.RESPONSES)
    assert whole.json["output"][0]["type"] == "message"
    assert parts.body == b"".join(streamed("/v1/responses"))


async def test_a_broken_response_ends_in_band(upstream: ScriptedUpstream) -> None:
    async with suite(upstream) as served:
        got = await send(served, '"input":"Hi","stream":true', "x-scenario: cut", kind=Kind.RESPONSES)
    before = b"".join(begun())
    assert got.body.startswith(before)
    told = data_of(got.body.removeprefix(before))
    assert (told["type"], told["code"], told["sequence_number"]) == ("error", "stream_broken", 5)
    assert b"response.completed" not in got.body


async def test_a_chat_stream_without_a_scenario_is_the_vendors_own(upstream: ScriptedUpstream) -> None:
    async with suite(upstream) as served:
        got = await send(served, f'{MESSAGES},"stream":true')
    assert got.body == b"".join([*events("Hel", "lo")[:-2], DONE])
