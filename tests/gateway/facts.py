"""Facts for tests (intents, attempts, operations, transitions): each builder gives a valid one, of which a test changes
some.
"""

from dataclasses import replace
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from gateway.domain import ids
from gateway.domain.attempt import Attempt, Feedback, Intent, Operation, Outcome, Transition, Verdict
from gateway.domain.ids import Account, Alias, SpanId, TenantId, TierName, TraceId, UpstreamId
from gateway.domain.reasons import Reason
from gateway.domain.usage import Completeness, Usage

START = 1_793_000_000_000_000_000
"""Unix nanoseconds, in October 2026."""

ROOT = Intent(
    attempt_id=ids.AttemptId("a" * 32),
    trace_id=TraceId("b" * 32),
    span_id=SpanId("c" * 16),
    parent_span_id=SpanId("d" * 16),
    started_at=START,
    tenant=TenantId("acme"),
    alias=Alias("fast"),
    tier=TierName("interactive"),
    request_id=ids.RequestId("req_1"),
    upstream=UpstreamId("openai-us"),
    provider="openai",
    account=Account("org-main"),
    region="us-east-1",
    quantization="none",
    pattern="direct",
    model="gpt-4o-mini",
    attempt_index=0,
    fallback_depth=0,
    rate_card="openai/gpt-4o-mini@2023-01-01T00:00:00Z#1a2b3c4d",
    stream=True,
    request_bytes=4321,
    max_output_tokens=1024,
    queue_seconds=0.25,
    operation_started_at=START - 1_000_000,
    server_address="127.0.0.1",
    server_port=9000,
)


def intent(**changes: Any) -> Intent:
    """An intent with ids of its own."""
    fresh = {
        "trace_id": ids.new_trace_id(),
        "span_id": ids.new_span_id(),
        "parent_span_id": ids.new_span_id(),
        **changes,
    }
    made = {
        "attempt_id": ids.attempt_id(fresh["trace_id"], fresh["span_id"]),
        "request_id": ids.request_id(fresh["trace_id"], fresh["parent_span_id"]),
    }
    return replace(ROOT, **{**made, **fresh})


def attempt(of: Intent | None = None, **changes: Any) -> Attempt:
    """An attempt that ended ok, with measured usage."""
    ended = Attempt(
        intent=of or intent(),
        ended_at=START + 1_500_000_000,
        outcome=Outcome.OK,
        http_status=200,
        usage=Usage(input_uncached=1000, cache_read=200, output=300, reasoning=50),
        completeness=Completeness.MEASURED,
        usage_raw='{"prompt_tokens":1200,"completion_tokens":350}',
        response_id="chatcmpl-1",
        response_model="gpt-4o-mini-2024-07-18",
        finish_reason="stop",
        first_token_seconds=0.125,
    )
    return replace(ended, **changes)


def operation(of: Intent | None = None, **changes: Any) -> Operation:
    """The operation of an intent, answered at its first attempt."""
    of = of or intent()
    ended = Operation(
        trace_id=of.trace_id,
        span_id=of.parent_span_id,
        parent_span_id=of.client_parent_span_id,
        request_id=of.request_id,
        started_at=of.operation_started_at,
        ended_at=START + 1_600_000_000,
        tenant=of.tenant,
        alias=of.alias,
        tier=of.tier,
        session=of.session,
        outcome=Outcome.OK,
        error_type="",
        http_status=200,
        attempts=1,
        fallback_depth=of.fallback_depth,
        queue_seconds=of.queue_seconds,
        first_token_seconds=0.126,
        stream=of.stream,
        user_agent="OpenAI/Python 3.54.0",
    )
    return replace(ended, **changes)


def transition(**changes: Any) -> Transition:
    """A breaker that opened."""
    moved = Transition(
        span_id=ids.new_span_id(),
        trace_id=ids.new_trace_id(),
        parent_span_id=ids.new_span_id(),
        at=START,
        tenant=TenantId("acme"),
        alias=Alias("fast"),
        tier=TierName("interactive"),
        upstream=UpstreamId("openai-us"),
        provider="openai",
        region="us-east-1",
        scope="breaker",
        before="closed",
        after="open",
        cause=Reason.SERVER_ERROR,
        failures=5,
    )
    return replace(moved, **changes)


def feedback(**changes: Any) -> Feedback:
    """What a tenant said of the answer to a request."""
    said = Feedback(
        span_id=ids.new_span_id(),
        trace_id=ids.new_trace_id(),
        parent_span_id=ids.new_span_id(),
        at=START,
        tenant=TenantId("acme"),
        alias=Alias("fast"),
        tier=TierName("interactive"),
        request_id=ids.RequestId("req-1"),
        verdict=Verdict.REDO,
    )
    return replace(said, **changes)


_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=70)
_counts = st.integers(0, 2**40) | st.sampled_from([127, 128, 16_383, 16_384, 2**21, 2**35])
_nanos = st.integers(1, 2**63 - 1)
_seconds = st.floats(0, 1e9, allow_nan=False)
_costs = st.decimals(0, Decimal("1e6"), allow_nan=False, places=18)


def _hex(digits: int) -> st.SearchStrategy[str]:
    return st.binary(min_size=digits // 2, max_size=digits // 2).map(bytes.hex)


intents = st.builds(
    Intent,
    attempt_id=_hex(32), trace_id=_hex(32), span_id=_hex(16), parent_span_id=_hex(16), started_at=_nanos,
    tenant=_texts, alias=_texts, tier=_texts, request_id=_texts, upstream=_texts, provider=_texts, account=_texts,
    region=_texts, quantization=_texts, pattern=_texts, model=_texts,
    attempt_index=st.integers(0, 65_535), fallback_depth=st.integers(0, 255),
    fallback_reason=st.sampled_from(["", *Reason]), estimated_cost_usd=st.none() | _costs, rate_card=_texts,
    session=_texts, stream=st.booleans(), request_bytes=_counts, max_output_tokens=_counts, queue_seconds=_seconds,
    operation_started_at=_nanos, client_parent_span_id=st.just("") | _hex(16),
    server_address=_texts, server_port=st.integers(0, 65_535), operation=_texts, route=_texts, tool_format=_texts,
    cache_status=_texts, batch_window_ms=st.integers(0, 60_000), batch_size=st.integers(1, 10_000),
    memory_pressure=_texts, host=_texts, request_content=_texts,
)  # fmt: skip
attempts = st.builds(
    Attempt,
    intent=intents, ended_at=_nanos, outcome=st.sampled_from(Outcome), error_type=st.sampled_from(["", *Reason]),
    http_status=st.integers(0, 599), usage=st.builds(Usage, *[_counts] * 6), completeness=st.sampled_from(Completeness),
    usage_raw=_texts, response_id=_texts, response_model=_texts, finish_reason=_texts,
    first_token_seconds=st.none() | _seconds, breaker_transition=st.none() | st.tuples(_texts, _texts, _texts),
    service_tier=_texts, response_bytes=_counts, answer_fault=_texts,
    response_content=_texts,
)  # fmt: skip
operations = st.builds(
    Operation,
    trace_id=_hex(32), span_id=_hex(16), parent_span_id=st.just("") | _hex(16), request_id=_texts, started_at=_nanos,
    ended_at=_nanos, tenant=_texts, alias=_texts, tier=_texts, session=_texts, outcome=st.sampled_from(Outcome),
    error_type=st.sampled_from(["", *Reason]), http_status=st.integers(0, 599), attempts=_counts,
    fallback_depth=st.integers(0, 255), queue_seconds=_seconds, first_token_seconds=st.none() | _seconds,
    stream=st.booleans(), cache_status=_texts, user_agent=_texts, operation=_texts, route=_texts, tool_format=_texts,
    saved_usd=st.none() | _costs, shared_attempt_id=st.just("") | _hex(32), shared_trace_id=_hex(32),
    shared_span_id=st.just("") | _hex(16), usage=st.builds(Usage, *[_counts] * 6),
    completeness=st.sampled_from(Completeness),
)  # fmt: skip
transitions = st.builds(
    Transition,
    span_id=_hex(16), trace_id=_hex(32), parent_span_id=st.just("") | _hex(16), at=_nanos, tenant=_texts, alias=_texts,
    tier=_texts, upstream=_texts, provider=_texts, region=_texts, scope=st.sampled_from(["breaker", "region"]),
    before=_texts, after=_texts, cause=_texts, failures=st.integers(0, 2**31), open_seconds=st.none() | _seconds,
)  # fmt: skip
