"""Streams that break, stall, trickle and flood."""

import asyncio
import json

import httpx
import pytest

from gateway.domain import clock
from gateway.domain.attempt import Outcome
from gateway.domain.usage import Completeness, Usage
from gateway.flow import trial
from tests.gateway.fakes import (
    DONE,
    ROLE,
    Line,
    Received,
    ScriptedUpstream,
    answer,
    chat,
    chunk,
    event,
    events,
    stream,
    usage_chunk,
)
from tests.gateway.serving import Gateway, chat_request, gateway, post, routing, until

BODY = json.dumps(chat_request(stream=True)).encode()
WORD = event(chunk("Hi"))


async def ask(served: Gateway) -> httpx.Response:
    async with served.client() as client:
        return await client.post("/v1/chat/completions", json=chat_request(stream=True))


async def test_a_stream_that_breaks_after_a_token_ends_with_an_error_in_band_and_is_never_switched(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    upstream.script.append(stream(ROLE, WORD, b'data: {"half', end="cut"))
    async with gateway(routing(upstream.url, alternate.url)) as served:
        got = await ask(served)
    assert got.content.startswith(ROLE + WORD)
    last = got.content.removeprefix(ROLE + WORD)
    assert last.startswith(b"data: ")
    assert last.endswith(b"\n\n")
    error = json.loads(last[6:])["error"]
    assert (error["code"], error["type"]) == ("stream_broken", "server_error")
    assert b"[DONE]" not in got.content
    assert alternate.received == []
    [attempt] = served.books.attempts
    assert (attempt.outcome, attempt.error_type, attempt.completeness) == (
        Outcome.ERROR,
        "stream_broken",
        Completeness.UNKNOWN,
    )
    assert attempt.usage == Usage()
    assert served.books.operations[0].outcome is Outcome.ERROR


async def test_a_stream_that_ends_without_having_finished_is_broken_too(upstream: ScriptedUpstream) -> None:
    upstream.script.append(stream(ROLE, WORD))
    async with gateway(routing(upstream.url)) as served:
        got = await ask(served)
    assert b'"stream_broken"' in got.content
    assert served.books.attempts[0].error_type == "stream_broken"


async def test_a_stream_that_finished_needs_no_done(upstream: ScriptedUpstream) -> None:
    sent = [ROLE, WORD, event(chunk(finish="stop"))]
    upstream.script.append(stream(*sent))
    async with gateway(routing(upstream.url)) as served:
        got = await ask(served)
    assert got.content == b"".join(sent)
    assert served.books.attempts[0].outcome is Outcome.OK
    assert served.books.attempts[0].completeness is Completeness.UNKNOWN


async def test_an_error_of_the_vendors_in_band_is_relayed_as_it_came_and_nothing_is_added(
    upstream: ScriptedUpstream,
) -> None:
    broken = event({"error": {"message": "overloaded", "type": "server_error", "code": 503}})
    upstream.script.append(stream(ROLE, WORD, broken, WORD, end="hang"))
    async with gateway(routing(upstream.url)) as served:
        got = await ask(served)
        await asyncio.wait_for(upstream.received[0].gone.wait(), 2)
    assert got.content == ROLE + WORD + broken
    assert served.books.attempts[0].error_type == "stream_broken"


SECRET = "Incorrect API key: sk-vendor-secret"
REFUSALS = [
    {"error": {"message": SECRET, "code": 401}},
    {"error": {"message": SECRET, "code": "x", "status": "403"}},
    {"error": {"message": SECRET, "code": "invalid_api_key"}},
    {"error": {"message": SECRET, "type": "authentication_error"}},
    {"error": {"message": SECRET, "type": "permission_error", "code": 500}},
]


@pytest.mark.parametrize("refusal", REFUSALS, ids=str)
@pytest.mark.parametrize("in_band", [True, False])
async def test_what_a_vendor_says_under_status_200_of_our_credentials_stays_here(
    upstream: ScriptedUpstream, refusal: dict[str, object], in_band: bool
) -> None:
    upstream.script.append(stream(ROLE, event(refusal)) if in_band else answer(refusal))
    async with gateway(routing(upstream.url)) as served:
        got = await ask(served)
    assert got.status_code >= 500
    assert b"secret" not in got.content
    assert served.books.attempts[0].error_type == "upstream_auth"


@pytest.mark.parametrize("refusal", REFUSALS, ids=str)
async def test_a_running_stream_ends_in_our_words_where_the_vendors_are_about_our_credentials(
    upstream: ScriptedUpstream, refusal: dict[str, object]
) -> None:
    upstream.script.append(stream(ROLE, WORD + event(refusal)))
    async with gateway(routing(upstream.url)) as served:
        got = await ask(served)
    assert got.content.startswith(ROLE + WORD)
    assert json.loads(got.content.removeprefix(ROLE + WORD)[6:])["error"]["code"] == "stream_broken"
    assert b"secret" not in got.content
    assert served.books.attempts[0].error_type == "stream_broken"


async def test_running_usage_of_a_broken_stream_is_kept_as_an_estimate(upstream: ScriptedUpstream) -> None:
    running = {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14}
    upstream.script.append(stream(ROLE, event(chunk("Hi", usage=running)), end="cut"))
    async with gateway(routing(upstream.url, upstreams={"u0": {"running_usage": True}})) as served:
        await ask(served)
    [attempt] = served.books.attempts
    assert (attempt.completeness, attempt.usage) == (Completeness.ESTIMATED, Usage(input_uncached=10, output=4))


async def test_running_usage_without_choices_is_an_estimate_too_where_the_stream_breaks(
    upstream: ScriptedUpstream,
) -> None:
    upstream.script.append(stream(ROLE, WORD, event(usage_chunk(10, 4)), WORD, event(usage_chunk(10, 5)), end="cut"))
    async with gateway(routing(upstream.url, upstreams={"u0": {"running_usage": True}})) as served:
        await ask(served)
    [attempt] = served.books.attempts
    assert (attempt.completeness, attempt.usage) == (Completeness.ESTIMATED, Usage(input_uncached=10, output=5))


async def test_a_stream_that_ended_well_without_a_total_has_only_an_estimate(upstream: ScriptedUpstream) -> None:
    running = {"prompt_tokens": 10, "completion_tokens": 1}
    upstream.script.append(stream(ROLE, event(chunk("Hi", usage=running)), event(chunk(finish="stop")), DONE))
    async with gateway(routing(upstream.url, upstreams={"u0": {"running_usage": True}})) as served:
        await ask(served)
    [attempt] = served.books.attempts
    assert (attempt.outcome, attempt.completeness) == (Outcome.OK, Completeness.ESTIMATED)


async def test_a_total_that_came_before_the_break_is_measured(upstream: ScriptedUpstream) -> None:
    upstream.script.append(stream(ROLE, WORD, event(chunk(finish="stop")), event(usage_chunk(10, 1)), end="cut"))
    async with gateway(routing(upstream.url)) as served:
        await ask(served)
    [attempt] = served.books.attempts
    assert (attempt.outcome, attempt.completeness) == (Outcome.ERROR, Completeness.MEASURED)


async def test_usage_that_contradicts_itself_is_no_measurement(upstream: ScriptedUpstream) -> None:
    absurd = {"prompt_tokens": 1, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 5}}
    tail = event({**chunk(), "choices": [], "usage": absurd})
    upstream.script.append(stream(ROLE, WORD, event(chunk(finish="stop")), tail, DONE))
    async with gateway(routing(upstream.url)) as served:
        await ask(served)
    [attempt] = served.books.attempts
    assert (attempt.outcome, attempt.completeness, attempt.usage) == (Outcome.OK, Completeness.UNKNOWN, Usage())
    assert json.loads(attempt.usage_raw) == absurd


async def test_a_client_gets_its_end_at_done_even_if_the_upstream_lingers(upstream: ScriptedUpstream) -> None:
    upstream.script.append(stream(*events("Hi"), end="hang"))
    async with gateway(routing(upstream.url)) as served:
        got = await ask(served)
        assert got.content.endswith(DONE)
        assert served.books.operations[0].outcome is Outcome.OK
        assert not upstream.received[0].gone.is_set()


async def test_each_read_is_relayed_at_once(upstream: ScriptedUpstream) -> None:
    go_on = asyncio.Event()
    upstream.script.append(stream(ROLE, WORD, go_on, *events("more")[1:]))
    async with (
        gateway(routing(upstream.url)) as served,
        served.client() as client,
        client.stream("POST", "/v1/chat/completions", json=chat_request(stream=True)) as got,
    ):
        pieces = got.aiter_raw()
        seen = b""
        while WORD not in seen:
            seen += await anext(pieces)
        go_on.set()
        rest = b"".join([piece async for piece in pieces])
    assert rest.endswith(DONE)


async def test_small_pieces_are_gathered_where_the_operator_says_so(upstream: ScriptedUpstream) -> None:
    words = [event(chunk(str(i))) for i in range(50)]
    upstream.script.append(stream(ROLE, *words, event(chunk(finish="stop")), DONE))
    async with gateway(routing(upstream.url, gateway={"stream_chunk_bytes": 4000})) as served:
        reader, writer = await served.raw(post(BODY, "connection: close"))
        raw = await reader.read()
        writer.close()
    head, _, body = raw.partition(b"\r\n\r\n")
    assert b"transfer-encoding: chunked" in head
    sizes = []
    while body:
        size, _, body = body.partition(b"\r\n")
        sizes.append(int(size, 16))
        body = body[sizes[-1] + 2 :]
    assert sizes[-1] == 0
    assert all(size >= 4000 for size in sizes[:-2])
    assert len(sizes) < 10


async def test_a_client_of_http_1_0_gets_a_stream_that_ends_with_its_connection(upstream: ScriptedUpstream) -> None:
    upstream.script.append(stream(*events("Hi", usage=False)))
    async with gateway(routing(upstream.url)) as served:
        reader, writer = await served.raw(post(BODY, version="1.0"))
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
    assert b"transfer-encoding" not in head
    assert b"connection: close" in head
    assert body == b"".join(events("Hi", usage=False))


async def test_a_slow_reader_slows_the_upstream_down_and_loses_nothing(upstream: ScriptedUpstream) -> None:
    text = "x" * 16_000
    count = 1500
    lines: list[Line] = []

    async def flood(line: Line, request: Received) -> None:
        lines.append(line)
        line.head(content_type="text/event-stream")
        for _ in range(count):
            line.chunk(event(chunk(text)))
            await line.clear()
        line.chunk(event(chunk(finish="stop")) + DONE)
        line.last_chunk()

    upstream.script.append(flood)
    async with gateway(routing(upstream.url)) as served:
        reader, writer = await served.raw(post(BODY, "connection: close"))
        await until(lambda: lines and lines[0].paused.is_set())
        sent = await reader.read()
        writer.close()
    assert sent.count(text.encode()) == count
    assert sent.endswith(DONE + b"\r\n0\r\n\r\n")
    assert served.books.attempts[0].outcome is Outcome.OK


async def test_a_reader_that_stalls_is_cut_off_at_the_time_limit(upstream: ScriptedUpstream) -> None:
    async def flood(line: Line, request: Received) -> None:
        line.head(content_type="text/event-stream")
        while not request.gone.is_set():
            line.chunk(event(chunk("x" * 16_000)))
            await asyncio.sleep(0.001 if line.paused.is_set() else 0)

    upstream.script.append(flood)
    async with gateway(routing(upstream.url, tiers={"interactive": {"total_timeout_s": 0.3}})) as served:
        reader, writer = await served.raw(post(BODY))
        await until(lambda: served.books.operations)
        await until(lambda: not served.state.connections)
        writer.close()
        del reader
    assert served.books.attempts[0].outcome is Outcome.TIMEOUT


async def test_the_time_limit_ends_a_running_stream_in_band(upstream: ScriptedUpstream) -> None:
    upstream.script.append(stream(ROLE, WORD, end="hang"))
    async with gateway(routing(upstream.url, tiers={"interactive": {"total_timeout_s": 0.1}})) as served:
        got = await ask(served)
        await asyncio.wait_for(upstream.received[0].gone.wait(), 2)
    assert json.loads(got.content.removeprefix(ROLE + WORD)[6:])["error"]["code"] == "timeout"
    assert served.books.attempts[0].outcome is Outcome.TIMEOUT


async def test_a_stream_may_last_longer_than_its_first_token_may_take(upstream: ScriptedUpstream) -> None:
    go_on = asyncio.Event()
    upstream.script.append(stream(ROLE, WORD, go_on, *events("more")[1:]))
    async with gateway(routing(upstream.url, tiers={"interactive": {"first_token_timeout_s": 0.05}})) as served:
        reader, _ = await served.raw(post(BODY, "connection: close"))
        await reader.readuntil(WORD)
        began = clock.monotonic()
        await until(lambda: clock.monotonic() - began > 0.1)
        go_on.set()
        assert DONE in await reader.read()
    assert served.books.attempts[0].outcome is Outcome.OK


async def test_an_upstream_that_does_not_end_after_done_is_hung_up_on(
    upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial, "DRAIN_S", 0.05)
    upstream.script.append(stream(*events("Hi"), end="hang"))
    async with gateway(routing(upstream.url)) as served:
        await ask(served)
        await asyncio.wait_for(upstream.received[0].gone.wait(), 2)
    assert [attempt.outcome for attempt in served.books.attempts] == [Outcome.OK]


async def test_a_stream_behind_an_answer_nobody_reads_waits_for_its_reader(upstream: ScriptedUpstream) -> None:
    lines: list[Line] = []

    async def flood(line: Line, request: Received) -> None:
        lines.append(line)
        line.head(content_type="text/event-stream")
        while not request.gone.is_set():
            line.chunk(event(chunk("x" * 16_000)))
            await line.clear()

    upstream.script.append(answer(chat("x" * 8_000_000)))
    upstream.script.append(flood)
    async with gateway(routing(upstream.url)) as served:
        await served.raw(post(BODY.replace(b"true", b"false")) + post(BODY))
        await until(lambda: lines and lines[0].paused.is_set())


async def test_a_long_stream_cut_by_the_time_limit_does_not_move_a_breaker(upstream: ScriptedUpstream) -> None:
    upstream.script.append(stream(ROLE, WORD, end="hang"))
    breaker = {"consecutive_failures": 1, "cooldown_s": 60}
    tiers = {"interactive": {"total_timeout_s": 0.1}}
    async with gateway(routing(upstream.url, tiers=tiers, breaker=breaker)) as served:
        await ask(served)
        assert (await ask(served)).status_code == 200
    assert [attempt.outcome for attempt in served.books.attempts] == [Outcome.TIMEOUT, Outcome.OK]


async def test_a_json_answer_to_a_request_for_a_stream_is_relayed_whole(upstream: ScriptedUpstream) -> None:
    async with gateway(routing(upstream.url)) as served:
        got = await ask(served)
    assert got.json()["choices"][0]["message"]["content"] == "Hello."
    assert served.books.attempts[0].completeness is Completeness.MEASURED
