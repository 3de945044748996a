"""Spans in, typed facts out: a golden set of emitters, and the batch as the unit of truth."""

import uuid
from datetime import UTC, datetime
from decimal import Decimal
from importlib.resources import files

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

import sql
from gateway.domain import attributes
from sql import landing
from tests.sql.otlp import START, attempt, landed, request, span

pytestmark = pytest.mark.slow

RECEIVED = datetime(2026, 9, 21, 13, 47, 0, 123000, tzinfo=UTC)


def land(store, payload, *, tenant="", sender="gateway", token=None, batch_id=None):
    batch_id = batch_id or uuid.uuid4().hex
    landing.insert(
        store.writer, payload, batch_id=batch_id, sender=sender, tenant=tenant,
        received_at_ms=int(RECEIVED.timestamp() * 1000), token=token or batch_id, query_id=uuid.uuid4().hex,
    )  # fmt: skip
    return batch_id


def rows(store, batch_id, view="spans", order="span_id"):
    answer = store.reader.query(
        f"SELECT * FROM tollway.{view} WHERE batch_id = {{b:String}} ORDER BY {order}",  # noqa: S608
        parameters={"b": batch_id}, tz_mode="aware",
    )  # fmt: skip
    return list(answer.named_results())


def one(store, attributes_, **fields):
    (row,) = rows(store, land(store, request(span(attributes_, **fields))))
    return row


def classes(row):
    names = ("input_uncached", "cache_read", "cache_write_5m", "cache_write_1h", "output", "reasoning")
    return tuple(row[n] for n in names)


def test_an_attempt_keeps_every_attribute_of_the_wire_contract(store):
    given = attempt() | {"tollway.deployment": "data-zone", "tollway.usage.modality": "audio"}
    batch_id = land(store, request(span(given, trace_id=b"\x01" * 16, span_id=b"\xab" * 8), service="tollway-gateway"))
    (row,) = rows(store, batch_id, "attempts")
    assert classes(row) == (600, 300, 60, 40, 30, 20)
    expected = {
        "attempt_id": given["tollway.attempt.id"], "trace_id": "01" * 16, "span_id": "ab" * 8, "parent_span_id": "",
        "tenant": "acme", "claimed_tenant": "acme", "alias": "fast", "tier": "interactive", "session": "5e55",
        "request_id": "req-1", "upstream": "openai-us", "provider": "openai", "account": "org-main",
        "region": "us-east-1", "quantization": "none", "pattern": "direct", "model": "gpt-4o-mini",
        "response_model": "gpt-4o-mini-2024-07-18", "response_id": "chatcmpl-1", "attempt_index": 1, "outcome": "ok",
        "fallback_depth": 1, "fallback_reason": "timeout", "estimated_cost_usd": Decimal("0.000123456789012345"),
        "completeness": "measured", "usage_invalid": False, "usage_raw": '{"prompt_tokens": 1000}',
        "rate_card": given["tollway.rate_card"], "cache_status": "off", "queue_seconds": 0.002,
        "first_token_seconds": 0.25, "duration_seconds": 1.0, "stream": True, "finish_reason": "stop",
        "error_type": "", "http_status": 200, "server_address": "127.0.0.1", "server_port": 8081,
        "request_bytes": 4096, "max_output_tokens": 256, "billable": True, "batch_id": batch_id, "sender": "gateway",
        "received_at": RECEIVED, "deployment": "data-zone", "modality": "audio",
    }  # fmt: skip
    assert {name: row[name] for name in expected} == expected
    assert row["started_at"].timestamp() == START / 1e9


def test_every_attribute_the_gateway_may_send_is_read(store):
    """Renaming a constant on either side breaks this test, and only this one."""
    both = [
        (files("sql") / "views" / name).read_text("utf-8")
        for name in ("0_gateway_to_spans.sql", "1_landing_to_spans.sql")
    ]
    names = {value for name, value in vars(attributes).items() if name.isupper()}
    sent = names - {attributes.BREAKER_TRANSITION, attributes.FEEDBACK, attributes.SCOPE}
    assert {name for name in sent for statement in both if f"'{name}'" not in statement} == set()


def test_an_operation_is_a_server_span_and_never_billable(store):
    batch_id = land(
        store,
        request(
            span(
                {
                    "tollway.tenant": "acme", "tollway.alias": "fast", "tollway.attempts": 2,
                    "tollway.operation.outcome": "timeout", "error.type": "timeout", "user_agent.original": "curl/8",
                    "http.response.status_code": 504,
                },
                kind=2, status=2,
            )
        ),
    )  # fmt: skip
    (row,) = rows(store, batch_id, "operations")
    assert (row["outcome"], row["attempts"], row["http_status"], row["user_agent"]) == ("timeout", 2, 504, "curl/8")
    assert rows(store, batch_id, "attempts") == []
    assert rows(store, batch_id)[0]["billable"] is False


@pytest.mark.parametrize(
    ("emitter", "given", "provider", "model", "expected"),
    [
        ("OTel GenAI 2026, Azure", {
            "gen_ai.provider.name": "azure.ai.openai", "gen_ai.request.model": "gpt-4o",
            "gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 20,
            "gen_ai.usage.cache_read.input_tokens": 40}, "azure.ai.openai", "gpt-4o", (60, 40, 0, 0, 20, 0)),
        ("OTel GenAI 2024: gen_ai.system and prompt_tokens", {
            "gen_ai.system": "az.ai.openai", "gen_ai.request.model": "gpt-4o",
            "gen_ai.usage.prompt_tokens": 12, "gen_ai.usage.completion_tokens": 3},
            "azure.ai.openai", "gpt-4o", (12, 0, 0, 0, 3, 0)),
        ("OpenInference", {
            "llm.provider": "openai", "llm.model_name": "gpt-4o", "llm.token_count.prompt": 30,
            "llm.token_count.completion": 9, "llm.token_count.prompt_details.cache_read": 10,
            "llm.token_count.completion_details.reasoning": 4}, "openai", "gpt-4o", (20, 10, 0, 0, 5, 4)),
        ("Traceloop: strings for numbers", {
            "gen_ai.system": "OpenAI", "gen_ai.request.model": "m", "llm.usage.prompt_tokens": "30",
            "llm.usage.completion_tokens": "9.0"}, "openai", "m", (30, 0, 0, 0, 9, 0)),
        ("OpenLIT: doubles", {
            "gen_ai.system": "openai", "gen_ai.request.model": "m", "gen_ai.usage.input_tokens": 30.0,
            "gen_ai.usage.output_tokens": 9.0, "gen_ai.usage.reasoning_tokens": 2.0},
            "openai", "m", (30, 0, 0, 0, 7, 2)),
        ("Vercel AI SDK: both vocabularies on one span, one is taken", {
            "gen_ai.system": "openai", "ai.model.provider": "openai.chat", "ai.model.id": "other",
            "gen_ai.request.model": "gpt-4o", "gen_ai.usage.input_tokens": 7, "ai.usage.promptTokens": 7,
            "ai.usage.inputTokens": 7, "gen_ai.usage.output_tokens": 5, "ai.usage.completionTokens": 5},
            "openai", "gpt-4o", (7, 0, 0, 0, 5, 0)),
        ("Vercel AI SDK, its own names only", {
            "ai.model.provider": "google.ai.studio", "ai.model.id": "gemini-2", "ai.usage.inputTokens": 8,
            "ai.usage.outputTokens": 6, "ai.usage.cachedInputTokens": 3, "ai.usage.reasoningTokens": 1},
            "gcp.gemini", "gemini-2", (5, 3, 0, 0, 5, 1)),
        ("Sentry", {
            "gen_ai.system": "anthropic", "gen_ai.request.model": "claude", "gen_ai.usage.input_tokens": 50,
            "gen_ai.usage.input_tokens.cached": 20, "gen_ai.usage.output_tokens": 10,
            "gen_ai.usage.output_tokens.reasoning": 3}, "anthropic", "claude", (30, 20, 0, 0, 7, 3)),
        ("Anthropic by cache_creation", {
            "gen_ai.system": "anthropic", "gen_ai.request.model": "claude", "gen_ai.usage.input_tokens": 50,
            "gen_ai.usage.cache_creation_input_tokens": 8, "gen_ai.usage.cache_read_input_tokens": 2,
            "gen_ai.usage.output_tokens": 1}, "anthropic", "claude", (40, 2, 8, 0, 1, 0)),
        ("LiteLLM v2: three vocabularies", {
            "gen_ai.provider.name": "vertex_ai", "gen_ai.system": "vertex_ai", "llm.provider": "x",
            "gen_ai.request.model": "gemini", "llm.model_name": "y", "gen_ai.usage.input_tokens": 11,
            "gen_ai.usage.prompt_tokens": 99, "llm.token_count.prompt": 98, "gen_ai.usage.output_tokens": 2,
            "llm.token_count.completion": 97}, "gcp.vertex_ai", "gemini", (11, 0, 0, 0, 2, 0)),
    ],
)  # fmt: skip
def test_a_foreign_span_is_normalised_and_kept_but_not_billable(store, emitter, given, provider, model, expected):
    row = one(store, given)
    assert (row["provider"], row["model"], classes(row)) == (provider, model, expected), emitter
    assert (row["billable"], row["completeness"], row["usage_invalid"]) == (False, "measured", False)
    assert '"input":' in row["usage_raw"]


@pytest.mark.parametrize(
    ("fault", "changes"),
    [
        ("more cached than input", {"gen_ai__usage__cache_read__input_tokens": 950}),
        ("more reasoning than output", {"gen_ai__usage__reasoning__output_tokens": 51}),
        ("more one-hour writes than writes", {"tollway__usage__cache_write_1h": 101}),
        ("cached tokens without a total", {"gen_ai__usage__input_tokens": None}),
        ("a negative count", {"gen_ai__usage__output_tokens": -5}),
        ("a word for a count", {"gen_ai__usage__output_tokens": "many"}),
        ("half a token", {"gen_ai__usage__output_tokens": 50.5}),
        ("more tokens than any attempt has", {"gen_ai__usage__input_tokens": 10**12 + 1}),
        (
            "measured, and no usage at all",
            dict.fromkeys(k.replace(".", "__") for k in attempt() if "gen_ai.usage" in k),
        ),
    ],
)
def test_usage_that_contradicts_itself_is_flagged_and_unknown_never_clamped(store, fault, changes):
    row = one(store, attempt(**changes))
    assert (row["usage_invalid"], row["completeness"], classes(row)) == (True, "unknown", (0,) * 6), fault
    assert row["usage_raw"] == '{"prompt_tokens": 1000}'


def test_zero_tokens_are_measured_and_absent_ones_are_unknown(store):
    zero = one(store, attempt(**{k.replace(".", "__"): 0 for k in attempt() if "usage" in k and "tokens" in k},
                              tollway__usage__cache_write_1h=0))  # fmt: skip
    assert (zero["completeness"], zero["usage_invalid"], classes(zero)) == ("measured", False, (0,) * 6)
    nothing = {k.replace(".", "__"): None for k in attempt() if "usage" in k}
    absent = one(store, attempt(**nothing, tollway__attempt__outcome="lost"))
    assert (absent["completeness"], absent["usage_invalid"], classes(absent)) == ("unknown", False, (0,) * 6)


def test_a_completeness_nobody_defined_is_unknown_and_an_estimate_stays_one(store):
    assert one(store, attempt(tollway__usage__completeness="guessed"))["completeness"] == "unknown"
    estimate = one(store, attempt(tollway__usage__completeness="estimated"))
    assert (estimate["completeness"], classes(estimate)) == ("estimated", (600, 300, 60, 40, 30, 20))


def test_a_refused_attempt_is_not_billable_and_an_absent_estimate_is_null(store):
    row = one(store, attempt(tollway__attempt__outcome="refused", tollway__fallback__estimated_cost_usd=None))
    assert (row["billable"], row["estimated_cost_usd"]) == (False, None)
    assert one(store, attempt(tollway__fallback__estimated_cost_usd="0"))["estimated_cost_usd"] == Decimal(0)


def test_a_bound_sender_lands_under_its_tenant_whatever_its_spans_claim(store):
    payload = request(span(attempt(tollway__tenant="rival")))
    stamp = landing.stamp(batch_id="forged", sender="forged", tenant="rival", received_at_ms=0)
    for forged in (payload, payload + stamp, stamp + payload, stamp + stamp + payload):
        (row,) = rows(store, land(store, forged, tenant="acme", sender="app-7"))
        assert (row["tenant"], row["claimed_tenant"], row["sender"]) == ("acme", "rival", "app-7")


def test_a_bound_sender_cannot_say_that_a_vendor_may_bill_what_it_saw(store):
    (row,) = rows(store, land(store, request(span(attempt())), tenant="acme", sender="app-7"))
    assert (row["attempt_id"], row["billable"]) == ("", False)


def test_requests_joined_end_to_end_are_one_batch_with_the_service_of_each(store):
    parts = [request(span(attempt(), name=f"n{i}"), span({}, name=f"n{i}b"), service=f"app-{i}") for i in range(3)]
    batch_id = land(store, b"".join(parts))
    assert [r["service"] for r in rows(store, batch_id, order="name")] == [
        "app-0",
        "app-0",
        "app-1",
        "app-1",
        "app-2",
        "app-2",
    ]
    assert landed(store, batch_id) == 6


def test_an_empty_batch_lands_nothing_and_does_no_harm(store):
    batch_id = land(store, b"")
    assert rows(store, batch_id) == []


def test_content_and_unknown_attributes_are_not_kept(store):
    secret = "the prompt nobody may keep"
    batch_id = land(store, request(span(attempt(gen_ai__prompt__0__content=secret, input__value=secret, x=b"\xff"))))
    assert secret not in str(rows(store, batch_id))


def test_the_same_token_stores_a_batch_once_and_a_new_token_stores_it_again(store):
    payload = request(*(span(attempt(), name=str(i)) for i in range(5)))
    batch_id, token = uuid.uuid4().hex, uuid.uuid4().hex
    for _ in range(3):
        land(store, payload, batch_id=batch_id, token=token)
    assert len(rows(store, batch_id)) == 5
    land(store, payload, batch_id=batch_id, token=token + "#2")
    assert len(rows(store, batch_id)) == 10


@pytest.mark.parametrize(
    "payload",
    [b"\xff\xff garbage", b"\x0a\x05abc", b"\x0a\x03abc", request(span(attempt()))[:-3], b"\x0a" + b"\x80" * 20],
)
def test_bytes_that_are_not_otlp_are_a_definite_refusal_and_store_nothing(store, payload):
    batch_id = uuid.uuid4().hex
    with pytest.raises(DatabaseError) as refusal:
        land(store, payload, batch_id=batch_id)
    assert refusal.value.code is not None
    assert rows(store, batch_id) == []


def test_span_keys_since_an_instant_are_those_received_then_or_later(store):
    batch_id = land(store, request(span(attempt(), trace_id=b"\x07" * 16, span_id=b"\x08" * 8)))
    key = ("07" * 16, "08" * 8)
    at = sql.fetch(store.reader, "collector_span_keys", since=RECEIVED)
    after = sql.fetch(store.reader, "collector_span_keys", since=RECEIVED.replace(microsecond=124000))
    assert key in at.rows()
    assert key not in after.rows()
    assert rows(store, batch_id)


def test_times_out_of_order_or_absent_make_no_negative_duration(store):
    row = one(store, attempt(), start=START, end=START - 5)
    assert (row["duration_seconds"], row["started_at"]) == (0.0, row["ended_at"])
