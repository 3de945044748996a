"""The hand-written bytes mean what opentelemetry-proto means: each span is rebuilt with its classes, and compared."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from gateway.domain import attributes as names
from gateway.domain.attempt import Attempt, Operation, Outcome, Transition
from gateway.domain.reasons import Reason
from gateway.domain.usage import Completeness, Usage
from gateway.telemetry.protobuf import Key
from gateway.telemetry.spans import SpanEncoder
from tests.gateway import facts

ENCODER = SpanEncoder("worker-0.1234abcd")
FAILED = {Outcome.ERROR, Outcome.TIMEOUT, Outcome.LOST}


def parsed(payload: bytes) -> Span:
    """The one span of a request; its resource and scope are checked on the way."""
    request = ExportTraceServiceRequest.FromString(payload)
    (resource_spans,) = request.resource_spans
    assert values(resource_spans.resource.attributes) == {
        "service.name": "tollway-gateway",
        "service.instance.id": "worker-0.1234abcd",
    }
    (scope_spans,) = resource_spans.scope_spans
    assert scope_spans.scope.name == "tollway.gateway"
    span: Span
    (span,) = scope_spans.spans
    assert request.ByteSize() == len(payload), "something in the bytes is not OTLP"
    return span


def values(attributes: Any) -> dict[str, Any]:
    """Attributes as a dict; a key that occurs twice is a fault."""
    found = {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in attributes}
    assert len(found) == len(attributes)
    return found


def any_value(value: Any) -> AnyValue:
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    if isinstance(value, list):
        return AnyValue(array_value=ArrayValue(values=[AnyValue(string_value=text) for text in value]))
    return AnyValue(string_value=value)


def span_of(attributes: dict[str, Any], **fields: Any) -> Span:
    pairs = [KeyValue(key=key, value=any_value(value)) for key, value in attributes.items()]
    return Span(attributes=pairs, **fields)


def sorted_by_key(span: Span) -> Span:
    """The same span; the order of attributes means nothing."""
    ordered = Span()
    ordered.CopyFrom(span)
    del ordered.attributes[:]
    ordered.attributes.extend(sorted(span.attributes, key=lambda pair: pair.key))
    return ordered


def expected_attempt(attempt: Attempt) -> Span:
    intent, usage = attempt.intent, attempt.usage
    present = {
        names.PROVIDER_NAME: intent.provider, names.REQUEST_MODEL: intent.model, names.TENANT: intent.tenant,
        names.ALIAS: intent.alias, names.TIER: intent.tier, names.UPSTREAM: intent.upstream,
        names.ACCOUNT: intent.account, names.REGION: intent.region, names.DEPLOYMENT: intent.deployment,
        names.QUANTIZATION: intent.quantization,
        names.PATTERN: intent.pattern, names.RATE_CARD: intent.rate_card, names.SERVER_ADDRESS: intent.server_address,
        names.SERVER_PORT: intent.server_port, names.REQUEST_STREAM: intent.stream, names.SESSION: intent.session,
        names.REQUEST_BYTES: intent.request_bytes, names.REQUEST_MAX_TOKENS: intent.max_output_tokens,
        names.QUEUE_SECONDS: intent.queue_seconds, names.FALLBACK_REASON: str(intent.fallback_reason),
        names.HTTP_STATUS: attempt.http_status, names.ERROR_TYPE: str(attempt.error_type),
        names.RESPONSE_ID: attempt.response_id, names.RESPONSE_MODEL: attempt.response_model,
        names.USAGE_RAW: attempt.usage_raw, names.OPERATION_NAME: intent.operation, names.ROUTE: intent.route,
        names.TOOL_FORMAT: intent.tool_format, names.BATCH_WINDOW_MS: intent.batch_window_ms,
        names.MEMORY_PRESSURE: intent.memory_pressure, names.REQUEST_CONTENT: intent.request_content,
        names.SERVICE_TIER: attempt.service_tier, names.RESPONSE_CONTENT: attempt.response_content,
        names.HOST: intent.host, names.RESPONSE_BYTES: attempt.response_bytes,
        names.ANSWER_FAULT: attempt.answer_fault,
    }  # fmt: skip
    always = {
        names.CACHE_STATUS: intent.cache_status, names.ATTEMPT_ID: intent.attempt_id,
        names.REQUEST_ID: intent.request_id,
        names.ATTEMPT_INDEX: intent.attempt_index, names.FALLBACK_DEPTH: intent.fallback_depth,
        names.ATTEMPT_OUTCOME: str(attempt.outcome), names.USAGE_COMPLETENESS: str(attempt.completeness),
    }  # fmt: skip
    if intent.batch_size != 1:
        always[names.BATCH_SIZE] = intent.batch_size
    if intent.estimated_cost_usd is not None:
        always[names.FALLBACK_ESTIMATED_COST] = format(intent.estimated_cost_usd, "f")
    if attempt.finish_reason:
        always[names.RESPONSE_FINISH_REASONS] = [attempt.finish_reason]
    if attempt.first_token_seconds is not None:
        always[names.RESPONSE_TIME_TO_FIRST_CHUNK] = attempt.first_token_seconds
    if attempt.completeness is not Completeness.UNKNOWN:
        always |= {names.USAGE_INPUT_TOKENS: usage.input_total, names.USAGE_OUTPUT_TOKENS: usage.output_total}
        present |= {
            names.USAGE_CACHE_READ: usage.cache_read, names.USAGE_CACHE_WRITE: usage.cache_write,
            names.USAGE_CACHE_WRITE_1H: usage.cache_write_1h, names.USAGE_REASONING: usage.reasoning,
            names.USAGE_MODALITY: usage.modality,
        }  # fmt: skip
    span = span_of(
        always | {key: value for key, value in present.items() if value},
        trace_id=bytes.fromhex(intent.trace_id), span_id=bytes.fromhex(intent.span_id),
        parent_span_id=bytes.fromhex(intent.parent_span_id), kind=Span.SPAN_KIND_CLIENT,
        name=f"{intent.operation} {intent.model}",
        start_time_unix_nano=intent.started_at, end_time_unix_nano=attempt.ended_at,
        status=Status(code=Status.STATUS_CODE_ERROR) if attempt.outcome in FAILED else None,
    )  # fmt: skip
    if attempt.breaker_transition:
        keys = (names.BREAKER_FROM, names.BREAKER_TO, names.BREAKER_CAUSE)
        moved = dict(zip(keys, attempt.breaker_transition, strict=True))
        pairs = [KeyValue(key=key, value=any_value(value)) for key, value in moved.items()]
        span.events.add(time_unix_nano=attempt.ended_at, name=names.BREAKER_TRANSITION, attributes=pairs)
    return span


def expected_operation(operation: Operation) -> Span:
    present = {
        names.TENANT: operation.tenant, names.ALIAS: operation.alias, names.TIER: operation.tier,
        names.SESSION: operation.session, names.ERROR_TYPE: str(operation.error_type),
        names.USER_AGENT: operation.user_agent, names.HTTP_STATUS: operation.http_status,
        names.QUEUE_SECONDS: operation.queue_seconds, names.REQUEST_STREAM: operation.stream,
        names.OPERATION_NAME: operation.operation, names.ROUTE: operation.route,
        names.TOOL_FORMAT: operation.tool_format, names.SHARED_ATTEMPT_ID: operation.shared_attempt_id,
    }  # fmt: skip
    always = {
        names.REQUEST_ID: operation.request_id, names.ATTEMPTS: operation.attempts,
        names.OPERATION_OUTCOME: str(operation.outcome), names.FALLBACK_DEPTH: operation.fallback_depth,
        names.CACHE_STATUS: operation.cache_status,
    }  # fmt: skip
    if operation.first_token_seconds is not None:
        always[names.RESPONSE_TIME_TO_FIRST_CHUNK] = operation.first_token_seconds
    if operation.saved_usd is not None:
        always[names.SAVED_USD] = format(operation.saved_usd, "f")
    if operation.completeness is not Completeness.UNKNOWN:
        usage = operation.usage
        always |= {
            names.USAGE_COMPLETENESS: str(operation.completeness),
            names.USAGE_INPUT_TOKENS: usage.input_total, names.USAGE_OUTPUT_TOKENS: usage.output_total,
        }  # fmt: skip
        present |= {
            names.USAGE_CACHE_READ: usage.cache_read, names.USAGE_CACHE_WRITE: usage.cache_write,
            names.USAGE_CACHE_WRITE_1H: usage.cache_write_1h, names.USAGE_REASONING: usage.reasoning,
        }  # fmt: skip
    shared = {"trace_id": bytes.fromhex(operation.shared_trace_id), "span_id": bytes.fromhex(operation.shared_span_id)}
    return span_of(
        always | {key: value for key, value in present.items() if value},
        links=[Span.Link(**shared)] if operation.shared_span_id else [],
        trace_id=bytes.fromhex(operation.trace_id), span_id=bytes.fromhex(operation.span_id),
        parent_span_id=bytes.fromhex(operation.parent_span_id), kind=Span.SPAN_KIND_SERVER,
        name=f"{operation.operation} {operation.alias}", start_time_unix_nano=operation.started_at,
        end_time_unix_nano=operation.ended_at,
        status=Status(code=Status.STATUS_CODE_ERROR) if operation.outcome in FAILED else None,
    )  # fmt: skip


def expected_transition(moved: Transition) -> Span:
    always = {
        names.TRANSITION_SCOPE: moved.scope, names.BREAKER_FROM: moved.before, names.BREAKER_TO: moved.after,
        names.BREAKER_CAUSE: str(moved.cause), names.TRANSITION_FAILURES: moved.failures,
    }  # fmt: skip
    present = {
        names.TENANT: moved.tenant, names.ALIAS: moved.alias, names.TIER: moved.tier, names.UPSTREAM: moved.upstream,
        names.REGION: moved.region,
        names.PROVIDER_NAME: moved.provider,
    }  # fmt: skip
    if moved.open_seconds is not None:
        always[names.TRANSITION_OPEN_SECONDS] = moved.open_seconds
    return span_of(
        always | {key: value for key, value in present.items() if value},
        trace_id=bytes.fromhex(moved.trace_id), span_id=bytes.fromhex(moved.span_id),
        parent_span_id=bytes.fromhex(moved.parent_span_id), kind=Span.SPAN_KIND_INTERNAL,
        name=names.BREAKER_TRANSITION, start_time_unix_nano=moved.at, end_time_unix_nano=moved.at,
    )  # fmt: skip


@given(facts.transitions)
def test_a_transition_reads_as_the_same_message_that_opentelemetry_writes(moved: Transition) -> None:
    assert sorted_by_key(parsed(ENCODER.transition(moved))) == sorted_by_key(expected_transition(moved))


@given(facts.attempts)
def test_an_attempt_reads_as_the_same_message_that_opentelemetry_writes(attempt: Attempt) -> None:
    assert sorted_by_key(parsed(ENCODER.attempt(attempt))) == sorted_by_key(expected_attempt(attempt))


@given(facts.operations)
def test_an_operation_reads_as_the_same_message_that_opentelemetry_writes(operation: Operation) -> None:
    assert sorted_by_key(parsed(ENCODER.operation(operation))) == sorted_by_key(expected_operation(operation))


def test_every_length_of_text_is_framed_right() -> None:
    for size in (*range(300), 16_383, 16_384, 2_100_000):
        attempt = facts.attempt(response_id="x" * size, usage_raw="ä" * size, finish_reason="y" * (size % 500))
        assert sorted_by_key(parsed(ENCODER.attempt(attempt))) == sorted_by_key(expected_attempt(attempt))


def test_spans_joined_end_to_end_are_one_request() -> None:
    attempts = [facts.attempt() for _ in range(3)]
    joined = b"".join(map(ENCODER.attempt, attempts)) + ENCODER.operation(facts.operation(attempts[0].intent))
    request = ExportTraceServiceRequest.FromString(joined)
    spans = [span for part in request.resource_spans for scope in part.scope_spans for span in scope.spans]
    assert [span.span_id.hex() for span in spans] == [
        *(attempt.intent.span_id for attempt in attempts),
        attempts[0].intent.parent_span_id,
    ]


def test_unknown_usage_has_no_token_counts_and_measured_zero_has() -> None:
    unknown = values(parsed(ENCODER.attempt(facts.attempt(completeness=Completeness.UNKNOWN))).attributes)
    nothing = values(parsed(ENCODER.attempt(facts.attempt(usage=Usage()))).attributes)
    assert names.USAGE_INPUT_TOKENS not in unknown
    assert (nothing[names.USAGE_INPUT_TOKENS], nothing[names.USAGE_OUTPUT_TOKENS]) == (0, 0)


def test_an_estimate_of_zero_is_not_an_unknown_one_and_small_ones_have_no_exponent() -> None:
    for given_cost, written in ((Decimal(0), "0"), (Decimal("1E-9"), "0.000000001"), (None, None)):
        span = parsed(ENCODER.attempt(facts.attempt(facts.intent(estimated_cost_usd=given_cost))))
        assert values(span.attributes).get(names.FALLBACK_ESTIMATED_COST) == written


def test_what_utf8_cannot_carry_does_not_lose_the_attempt() -> None:
    odd = facts.attempt(facts.intent(request_id="a\ud800b"), response_id="\udfff", finish_reason="\ud800")
    found = values(parsed(ENCODER.attempt(odd)).attributes)
    assert (found[names.REQUEST_ID], found[names.RESPONSE_ID]) == ("a?b", "?")


def test_a_count_beyond_64_bits_stays_within_them_and_the_raw_usage_tells() -> None:
    absurd = facts.attempt(usage=Usage(input_uncached=10**30), usage_raw='{"prompt_tokens":1e30}')
    assert values(parsed(ENCODER.attempt(absurd)).attributes)[names.USAGE_INPUT_TOKENS] == 2**63 - 1


def test_only_what_failed_has_the_status_error() -> None:
    for outcome in Outcome:
        error_type = "" if outcome is Outcome.OK else Reason.GATEWAY_LOST
        span = parsed(ENCODER.attempt(replace(facts.attempt(), outcome=outcome, error_type=error_type)))
        assert (span.status.code == Status.STATUS_CODE_ERROR) == (outcome in FAILED)


def test_the_same_attempt_is_the_same_bytes_in_another_process() -> None:
    attempt = facts.attempt()
    assert ENCODER.attempt(attempt) == SpanEncoder("worker-0.1234abcd").attempt(attempt)


def test_a_key_too_long_for_the_short_form_is_refused_when_it_is_made() -> None:
    with pytest.raises(ValueError, match="60 bytes"):
        Key("k" * 60)
