"""What two features make of one request between them: each ends it once, and neither leaves the other's part undone."""

import asyncio
import json
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from gateway.config import RoutingConfig
from gateway.domain.segments import read_records
from gateway.journal import records
from gateway.journal.journal import Journal
from tests.gateway.fakes import Line, Received, Reply, ScriptedUpstream, answer, error
from tests.gateway.serving import ACME, chat_request, gateway, post, routing, until

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
