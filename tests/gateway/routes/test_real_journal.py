"""The data path on a real journal: what the books say is on the disk, and becomes spans."""

import asyncio
from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from gateway.domain import attributes
from gateway.domain.segments import read_records
from gateway.journal import records
from gateway.journal.journal import Journal
from tests.gateway.fakes import ScriptedUpstream, error, silence, stream
from tests.gateway.fakes import events as stream_events
from tests.gateway.serving import chat_request, gateway, post, routing, until


def spans(journal: Journal) -> list[Span]:
    """All spans the journal would ship now."""
    journal.seal()
    raw = []
    while (sealed := journal.outbox.head()) is not None and len(journal.outbox):
        raw += records.spans(read_records(sealed.path).records)
        journal.outbox.done(sealed)
        if not len(journal.outbox):
            break
    request = ExportTraceServiceRequest.FromString(b"".join(raw))
    return [span for resource in request.resource_spans for scope in resource.scope_spans for span in scope.spans]


def texts(span: Span) -> dict[str, str]:
    return {pair.key: pair.value.string_value for pair in span.attributes if pair.value.HasField("string_value")}


async def test_a_fallback_is_one_operation_over_two_attempts(
    tmp_path: Path, upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    upstream.script.append(error(503))
    alternate.script.append(stream(*stream_events("Hi")))
    journal = Journal(tmp_path, "w0")
    try:
        async with gateway(routing(upstream.url, alternate.url), journal) as served, served.client() as client:
            got = await client.post("/v1/chat/completions", json=chat_request(stream=True))
            assert got.status_code == 200
        assert journal.stats().open_intents == 0
        found = spans(journal)
    finally:
        journal.close()
    [operation] = [span for span in found if span.kind == Span.SPAN_KIND_SERVER]
    attempts = sorted(
        (span for span in found if span.kind == Span.SPAN_KIND_CLIENT), key=lambda s: s.start_time_unix_nano
    )
    assert [span.parent_span_id for span in attempts] == [operation.span_id] * 2
    assert [texts(span)[attributes.ATTEMPT_OUTCOME] for span in attempts] == ["error", "ok"]
    assert texts(attempts[1])[attributes.FALLBACK_REASON] == "server_error"
    assert texts(attempts[1])[attributes.ATTEMPT_ID] == alternate.received[0].headers["x-client-request-id"]
    assert texts(attempts[1])[attributes.USAGE_COMPLETENESS] == "measured"


async def test_a_hang_up_leaves_no_intent_open(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    upstream.script.append(silence)
    journal = Journal(tmp_path, "w0")
    try:
        async with gateway(routing(upstream.url), journal) as served:
            _, writer = await served.raw(post(b'{"model":"fast","messages":[]}'))
            await until(lambda: upstream.received)
            assert journal.stats().open_intents == 1
            writer.close()
            await asyncio.wait_for(upstream.received[0].gone.wait(), 2)
            await until(lambda: journal.stats().open_intents == 0)
        assert {texts(span).get(attributes.ATTEMPT_OUTCOME) for span in spans(journal)} == {"cancelled", None}
    finally:
        journal.close()
