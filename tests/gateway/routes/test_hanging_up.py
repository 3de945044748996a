"""Clients that hang up, at every point where they can, and a gateway that is told to stop."""

import asyncio
import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from gateway.domain.attempt import Outcome
from gateway.domain.usage import Completeness, Usage
from gateway.upstream import client as upstream_client
from tests.gateway.fakes import DONE, ROLE, ScriptedUpstream, answer, chat, chunk, error, event, events, silence, stream
from tests.gateway.serving import chat_request, gateway, post, routing, until

WHOLE = json.dumps(chat_request()).encode()
STREAMED = json.dumps(chat_request(stream=True)).encode()
WORD = event(chunk("Hi"))
ONE_SLOT = {"interactive": {"max_inflight": 1}}


async def test_hanging_up_on_a_whole_answer_cancels_the_upstream_at_once(upstream: ScriptedUpstream) -> None:
    upstream.script.append(silence)
    async with gateway(routing(upstream.url)) as served:
        _, writer = await served.raw(post(WHOLE))
        await until(lambda: upstream.received)
        writer.close()
        await asyncio.wait_for(upstream.received[0].gone.wait(), 2)
        await until(lambda: served.books.operations)
    [attempt], [operation] = served.books.attempts, served.books.operations
    assert (attempt.outcome, attempt.error_type) == (Outcome.CANCELLED, "client_cancelled")
    assert attempt.completeness is Completeness.UNKNOWN
    assert (operation.outcome, operation.http_status) == (Outcome.CANCELLED, 0)
    assert served.plane.pools["interactive"].inflight == 0


async def test_hanging_up_on_a_stream_cancels_the_upstream_at_once(upstream: ScriptedUpstream) -> None:
    upstream.script.append(stream(ROLE, WORD, end="hang"))
    async with gateway(routing(upstream.url)) as served:
        reader, writer = await served.raw(post(STREAMED))
        await reader.readuntil(WORD)
        writer.transport.abort()
        await asyncio.wait_for(upstream.received[0].gone.wait(), 2)
        await until(lambda: served.books.operations)
    [attempt], [operation] = served.books.attempts, served.books.operations
    assert (attempt.outcome, attempt.response_id) == (Outcome.CANCELLED, "chatcmpl-1")
    assert attempt.first_token_seconds is not None
    assert (operation.outcome, operation.http_status) == (Outcome.CANCELLED, 200)


async def test_running_usage_of_a_cancelled_stream_is_kept_as_an_estimate(upstream: ScriptedUpstream) -> None:
    running = {"prompt_tokens": 10, "completion_tokens": 4}
    upstream.script.append(stream(ROLE, event(chunk("Hi", usage=running)), end="hang"))
    async with gateway(routing(upstream.url, upstreams={"u0": {"running_usage": True}})) as served:
        reader, writer = await served.raw(post(STREAMED))
        await reader.readuntil(WORD)
        writer.close()
        await until(lambda: served.books.attempts)
    [attempt] = served.books.attempts
    assert (attempt.completeness, attempt.usage) == (Completeness.ESTIMATED, Usage(input_uncached=10, output=4))


async def test_hanging_up_at_done_is_no_cancelling(upstream: ScriptedUpstream) -> None:
    upstream.script.append(stream(*events("Hi"), end="hang"))
    async with gateway(routing(upstream.url)) as served:
        reader, writer = await served.raw(post(STREAMED))
        await reader.readuntil(DONE)
        writer.close()
        await until(lambda: served.books.operations)
    assert served.books.attempts[0].outcome is Outcome.OK
    assert served.books.operations[0].outcome is Outcome.OK


async def test_hanging_up_in_the_queue_leaves_it_and_is_on_the_books_as_refused(upstream: ScriptedUpstream) -> None:
    upstream.script.append(silence)
    async with gateway(routing(upstream.url, tiers=ONE_SLOT)) as served:
        _, holder = await served.raw(post(WHOLE))
        await until(lambda: upstream.received)
        _, waiting = await served.raw(post(WHOLE))
        pool = served.plane.pools["interactive"]
        await until(lambda: pool.queued == 1)
        waiting.close()
        await until(lambda: served.books.operations)
        assert (pool.queued, pool.inflight) == (0, 1)
        [attempt], [operation] = served.books.attempts, served.books.operations
        assert (attempt.outcome, attempt.error_type) == (Outcome.REFUSED, "client_cancelled")
        assert attempt.intent not in served.books.intents
        assert (operation.outcome, operation.queue_seconds > 0) == (Outcome.CANCELLED, True)
        holder.close()
        await until(lambda: pool.inflight == 0)
    assert len(upstream.received) == 1


async def test_hanging_up_while_the_fallbacks_intent_is_written_calls_nobody(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    upstream.script.append(error(500))
    async with gateway(routing(upstream.url, alternate.url)) as served:
        served.books.disk.clear()
        _, writer = await served.raw(post(WHOLE))
        await until(lambda: len(served.books.intents) == 2)
        writer.close()
        await until(lambda: served.books.operations)
        served.books.disk.set()
        await until(lambda: served.books.synced)
    assert alternate.received == []
    last = served.books.attempts[-1]
    assert (last.outcome, last.error_type, last.intent.fallback_depth) == (Outcome.REFUSED, "client_cancelled", 1)
    assert len(served.books.attempts) == 2


@pytest.fixture
def deaf_port() -> Iterator[int]:
    """A port whose queue of connections is full, so that connecting to it takes for ever."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listening, ExitStack() as waiting:
        for _ in range(4):
            filling = waiting.enter_context(socket.socket())
            filling.setblocking(False)
            filling.connect_ex(listening.getsockname())
        yield listening.getsockname()[1]


async def test_hanging_up_while_connecting_sends_nothing(deaf_port: int) -> None:
    async with gateway(routing(f"http://127.0.0.1:{deaf_port}/v1")) as served:
        _, writer = await served.raw(post(WHOLE))
        await until(lambda: served.books.intents)
        writer.close()
        await until(lambda: served.books.operations)
    [attempt] = served.books.attempts
    assert (attempt.outcome, attempt.error_type) == (Outcome.REFUSED, "client_cancelled")


async def test_connecting_has_a_time_limit(deaf_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream_client, "CONNECT_TIMEOUT_S", 0.05)
    async with gateway(routing(f"http://127.0.0.1:{deaf_port}/v1")) as served, served.client() as client:
        got = await client.post("/v1/chat/completions", json=chat_request())
    assert got.status_code == 502
    [attempt] = served.books.attempts
    assert (attempt.outcome, attempt.error_type) == (Outcome.REFUSED, "connect_error")


async def test_hanging_up_in_the_middle_of_the_body_leaves_no_trace(upstream: ScriptedUpstream) -> None:
    async with gateway(routing(upstream.url)) as served:
        _, writer = await served.raw(post(WHOLE)[:-5])
        await until(lambda: served.state.connections)
        writer.close()
        await until(lambda: not served.state.connections)
    assert served.books.told == []


async def test_hanging_up_with_requests_still_unanswered_answers_none_of_them(upstream: ScriptedUpstream) -> None:
    upstream.script.append(silence)
    async with gateway(routing(upstream.url)) as served:
        _, writer = await served.raw(post(WHOLE) * 3)
        await until(lambda: upstream.received)
        writer.close()
        await asyncio.wait_for(upstream.received[0].gone.wait(), 2)
        await until(lambda: not served.state.connections)
    assert len(upstream.received) == 1
    assert len(served.books.operations) == 1


async def test_a_cancelled_call_does_not_move_a_breaker(upstream: ScriptedUpstream) -> None:
    upstream.always = silence
    config = routing(upstream.url, breaker={"consecutive_failures": 1, "cooldown_s": 60})
    async with gateway(config) as served:
        for count in (1, 2):
            _, writer = await served.raw(post(WHOLE))
            await until(lambda count=count: len(upstream.received) == count)
            writer.close()
            await until(lambda count=count: len(served.books.operations) == count)
        upstream.always = answer(chat())
        async with served.client() as client:
            assert (await client.post("/v1/chat/completions", json=chat_request())).status_code == 200


async def test_when_the_gateway_stops_what_is_under_way_is_told_and_recorded(upstream: ScriptedUpstream) -> None:
    upstream.script.append(stream(ROLE, WORD, end="hang"))
    upstream.script.append(silence)
    async with gateway(routing(upstream.url, tiers={"interactive": {"max_inflight": 2}})) as served:
        streaming, first = await served.raw(post(STREAMED))
        await streaming.readuntil(WORD)
        waiting, second = await served.raw(post(WHOLE))
        await until(lambda: len(upstream.received) == 2)
        queued, third = await served.raw(post(WHOLE))
        await until(lambda: served.plane.pools["interactive"].queued == 1)
        served.plane.stop()
        assert b'"shutting_down"' in await streaming.readuntil(b"0\r\n\r\n")
        assert b" 503 " in await waiting.readline()
        assert b" 503 " in await queued.readline()
        for writer in (first, second, third):
            writer.close()
    assert {(a.outcome, a.error_type) for a in served.books.attempts} == {(Outcome.CANCELLED, "gateway_shutdown")}
    assert len(served.books.attempts) == 2
    assert len(served.books.operations) == 3
    assert served.plane.pools["interactive"].inflight == 0
