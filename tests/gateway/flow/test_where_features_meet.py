"""What two features make of one request between them: each ends it once, and neither leaves the other's part undone."""

import asyncio
import json
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from gateway.config import RoutingConfig
from gateway.domain.attempt import Outcome
from gateway.domain.ids import TierName
from gateway.domain.segments import read_records
from gateway.domain.usage import Completeness
from gateway.flow.reload import Reread
from gateway.journal import records
from gateway.journal.journal import Journal
from gateway.limits.sessions import SESSIONS_MAX, Fuses
from tests.gateway.dialects import RESPONSES_USAGE, response
from tests.gateway.fakes import Line, Received, Reply, ScriptedUpstream, answer, error, silence
from tests.gateway.serving import GLOBEX, chat_request, gateway, post, routing, until

WHOLE = json.dumps(chat_request()).encode()
LONG_MS = 20_000


def batching(url: str, **changes: Any) -> RoutingConfig:
    tier = {"max_inflight": 8, "max_queue": 16, "max_queue_seconds": 5, "micro_batch_ms": LONG_MS, **changes}
    return routing(url, tiers={"batch": tier}, aliases={"bulk": {"tier": "batch"}})


def embedding(given: str) -> bytes:
    body = json.dumps({"model": "bulk", "input": given}).encode()
    return post(body).replace(b"/v1/chat/completions", b"/v1/embeddings")


async def vendor(line: Line, request: Received) -> None:
    """Embeds arrays of texts."""
    given = request.json["input"]
    data = [{"object": "embedding", "index": i, "embedding": [1.0]} for i, _ in enumerate(given)]
    usage = {"prompt_tokens": 4, "total_tokens": 4}
    await answer({"object": "list", "data": data, "model": "e", "usage": usage})(line, request)


def after_error(gate: asyncio.Event) -> Reply:
    async def reply(line: Line, request: Received) -> None:
        await gate.wait()
        await error(500)(line, request)

    return reply


def spans(journal: Journal) -> list[Span]:
    """All spans the journal would ship now."""
    journal.seal()
    raw = []
    while len(journal.outbox) and (sealed := journal.outbox.head()) is not None:
        raw += records.spans(read_records(sealed.path).records)
        journal.outbox.done(sealed)
    request = ExportTraceServiceRequest.FromString(b"".join(raw))
    return [span for resource in request.resource_spans for scope in resource.scope_spans for span in scope.spans]


async def test_a_client_that_leaves_before_its_fallback_is_written_down_leaves_no_intent_open(
    tmp_path: Path, upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    upstream.always = error(503)
    journal = Journal(tmp_path, "w0")
    leave: list[Any] = []

    def draw() -> float:
        for connection in leave:
            connection.transport.abort()
        return 0.0

    tiers = {"interactive": {"retries": 0}}
    try:
        async with gateway(routing(upstream.url, alternate.url, tiers=tiers), journal, draw=draw) as served:
            await served.raw(post(WHOLE))
            await until(lambda: served.state.connections)
            leave += served.state.connections
            await until(lambda: upstream.received and not served.plane.exchanges)
            await asyncio.sleep(0.05)
            stats = journal.stats()
            assert (stats.open_intents, stats.open_operations) == (0, 0)
            assert not alternate.received
    finally:
        journal.close()


async def test_a_batch_whose_leader_left_has_one_operation_for_it_after_its_last_attempt(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    gate = asyncio.Event()
    upstream.script.extend([after_error(gate), vendor])
    journal = Journal(tmp_path, "w0")
    try:
        async with gateway(batching(upstream.url, retries=1), journal) as served:
            _, leader = await served.raw(embedding("a"))
            await until(lambda: served.plane.batches.gathered() == [(("batch",), 1)])
            other, _ = await served.raw(embedding("b"))
            await until(lambda: served.plane.batches.gathered() == [(("batch",), 2)])
            served.plane.batches.release()
            await until(lambda: upstream.received)
            leader.close()
            await until(lambda: len(served.plane.exchanges) == 2)
            gate.set()
            assert b" 200 " in await asyncio.wait_for(other.readline(), 5)
            await until(lambda: not served.plane.exchanges)
            stats = journal.stats()
            assert (stats.open_intents, stats.open_operations) == (0, 0)
        found = spans(journal)
    finally:
        journal.close()
    operations = [span for span in found if span.kind == Span.SPAN_KIND_SERVER]
    attempts = [span for span in found if span.kind == Span.SPAN_KIND_CLIENT]
    assert len(operations) == len({span.span_id for span in operations}) == 2
    assert len(attempts) == 2
    [led] = [span for span in operations if span.span_id == attempts[0].parent_span_id]
    assert {span.parent_span_id for span in attempts} == {led.span_id}


async def test_a_call_that_the_total_timeout_cut_at_once_is_not_its_upstreams_failure(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    gate = asyncio.Event()
    upstream.always, alternate.always = after_error(gate), silence
    tiers = {"interactive": {"total_timeout_s": 0.6, "first_token_timeout_s": 0.5, "answer_timeout_s": 0.5}}
    breaker = {"consecutive_failures": 1, "cooldown_s": 60}
    async with gateway(routing(upstream.url, alternate.url, tiers=tiers, breaker=breaker)) as served:
        reader, _ = await served.raw(post(WHOLE))
        await asyncio.sleep(0.4)
        gate.set()
        assert b" 504 " in await asyncio.wait_for(reader.readline(), 5)
        await until(lambda: not served.plane.exchanges)
        states = {key.upstream: type(state).__name__ for key, state in served.plane.breakers.states().items()}
        assert states == {"u0": "Open", "u1": "Closed"}


async def test_a_call_that_outlived_its_upstreams_entry_says_nothing_of_the_new_one(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    gate = asyncio.Event()
    upstream.always = after_error(gate)
    breaker = {"consecutive_failures": 1, "cooldown_s": 60}
    mended = Reread(routing(alternate.url, breaker=breaker))
    async with gateway(routing(upstream.url, breaker=breaker), read_again=lambda: mended) as served:
        reader, _ = await served.raw(post(WHOLE))
        await until(lambda: upstream.received)
        assert (await served.serving.reload()).result == "applied"
        gate.set()
        assert b" 500 " in await asyncio.wait_for(reader.readline(), 5)
        async with served.client() as client:
            got = await client.post("/v1/chat/completions", json=chat_request())
        assert got.status_code == 200


async def test_what_a_failed_response_used_is_on_the_books(upstream: ScriptedUpstream) -> None:
    failed = {**response("failed"), "usage": RESPONSES_USAGE, "error": {"code": "server_error", "message": "No."}}
    upstream.always = answer(failed)
    async with gateway(routing(upstream.url, tiers={"interactive": {"retries": 0}})) as served:
        async with served.client() as client:
            got = await client.post("/v1/responses", json={"model": "fast", "input": "Hi"})
        [attempt] = served.books.attempts
    assert got.status_code >= 500
    assert (attempt.outcome, attempt.completeness) == (Outcome.ERROR, Completeness.MEASURED)
    assert (attempt.usage.input_total, attempt.usage.output_total) == (10, 5)
    assert json.loads(attempt.usage_raw) == RESPONSES_USAGE


async def test_a_request_that_the_shutdown_met_in_line_says_how_long_it_waited(upstream: ScriptedUpstream) -> None:
    upstream.always = silence
    async with gateway(routing(upstream.url, tiers={"interactive": {"max_inflight": 1}})) as served:
        await served.raw(post(WHOLE))
        await until(lambda: upstream.received)
        await served.raw(post(WHOLE))
        await until(lambda: served.plane.pools["interactive"].queued == 1)
        served.plane.stop()
        waited = [operation.queue_seconds for operation in served.books.operations]
    assert 0 < waited[0] < 5
    assert waited[1] == 0


async def test_a_pipelined_request_is_not_refused_for_the_slot_of_the_one_before_it(upstream: ScriptedUpstream) -> None:
    async with gateway(routing(upstream.url, tiers={"interactive": {"max_inflight": 1, "max_queue": 0}})) as served:
        reader, _ = await served.raw(post(WHOLE) * 3)
        await until(lambda: len(served.books.operations) == 3)
        assert [operation.http_status for operation in served.books.operations] == [200] * 3
        assert (await asyncio.wait_for(reader.read(65536), 5)).count(b" 200 ") == 3


async def test_a_request_in_line_outlives_the_budget_it_came_under(upstream: ScriptedUpstream) -> None:
    gate = asyncio.Event()
    upstream.always = after_error(gate)
    tiers = {"interactive": {"max_inflight": 1, "retries": 0}}
    config = routing(upstream.url, tiers=tiers, tenants={"globex": {"budget": {"month_usd": "5"}}})
    without = Reread(routing(upstream.url, tiers=tiers))
    async with gateway(config, read_again=lambda: without) as served:
        await served.raw(post(WHOLE))
        await until(lambda: upstream.received)
        second, _ = await served.raw(post(WHOLE, key=GLOBEX))
        await until(lambda: served.plane.pools["interactive"].queued == 1)
        assert (await served.serving.reload()).result == "applied"
        gate.set()
        assert b" 500 " in await asyncio.wait_for(second.readline(), 3)


def test_sessions_that_were_forgotten_while_they_ran_do_not_use_up_the_memory_of_others() -> None:
    tier = routing("http://127.0.0.1:9/v1", tiers={"interactive": {"fuse": {"same_tool_calls": 5}}}).tiers[
        TierName("interactive")
    ]
    fuses = Fuses()
    called = json.dumps({"choices": [{"message": {"tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}}]})
    for round_ in range(3):
        watches = [fuses.watch(tier, "acme", f"{round_}/{i}") for i in range(SESSIONS_MAX + 4000)]
        for watch in watches:
            watch.admit({}, 1.0)
        for watch in watches:
            watch.ended(called.encode(), 1.0)
    kept = fuses._tenants["acme"]
    assert kept.tools == sum(fuse.size for fuse in kept.fuses.values())
    assert len(kept.fuses) == SESSIONS_MAX
