"""Attempts as OTLP: the wire and nothing of Tollway's code."""

import random
from collections.abc import Sequence

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from deploy.chaos.ledger import SpanSent

PROVIDER = "chaos"
MODEL = "chaos-1"
CLIENT = 3
LASTED_NS = 250_000_000


def draw(dice: random.Random, count: int) -> list[SpanSent]:
    """That many new attempts."""
    return [
        SpanSent(f"{dice.getrandbits(192):048x}", dice.randint(1, 100_000), dice.randint(0, 10_000))
        for _ in range(count)
    ]


def body(spans: Sequence[SpanSent], *, tenant: str, now_ns: int, mark: str = "") -> bytes:
    """An ExportTraceServiceRequest of them, each beginning at `now_ns`. `mark` makes another body of the same spans."""
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    _say(group.resource, {"service.name": "chaos", "chaos.mark": mark})
    scope = group.scope_spans.add()
    for one in spans:
        ids = bytes.fromhex(one.ids)
        span = scope.spans.add(trace_id=ids[:16], span_id=ids[16:], name=f"chat {MODEL}", kind=CLIENT)
        span.start_time_unix_nano, span.end_time_unix_nano = now_ns, now_ns + LASTED_NS
        _say(span, _attributes(one, tenant))
    return bytes(request.SerializeToString())


def _span(dice: random.Random) -> SpanSent:
    return SpanSent(f"{dice.getrandbits(192):048x}", dice.randint(1, 100_000), dice.randint(0, 10_000))


def _attributes(one: SpanSent, tenant: str) -> dict[str, str | int]:
    return {
        "tollway.attempt.id": one.ids[32:],
        "tollway.tenant": tenant,
        "tollway.alias": "fast",
        "tollway.tier": "interactive",
        "tollway.upstream": "chaos-us",
        "tollway.account": "org-chaos",
        "tollway.attempt.outcome": "ok",
        "tollway.usage.completeness": "measured",
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": PROVIDER,
        "gen_ai.request.model": MODEL,
        "gen_ai.usage.input_tokens": one.input_tokens,
        "gen_ai.usage.output_tokens": one.output_tokens,
    }


def _say(where: "Span", attributes: dict[str, str | int]) -> None:
    for key, value in attributes.items():
        said = where.attributes.add(key=key).value
        if isinstance(value, int):
            said.int_value = value
        else:
            said.string_value = value
