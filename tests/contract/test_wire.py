"""The gateway's spans and the store's columns are one contract: an Attempt written by the one is read from the other.

Each span is encoded by gateway.telemetry, landed by sql.landing into a real store, and compared field by field. A
renamed attribute, a dropped column, a unit that differs fails here.
"""

import itertools
from dataclasses import fields, replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.domain import ids
from gateway.domain.attempt import Attempt, Intent, Operation, Outcome, Transition, Verdict
from gateway.domain.usage import Completeness, Usage
from gateway.telemetry.spans import SERVICE_NAME, SpanEncoder
from sql import landing
from tests.conftest import RunningStore
from tests.gateway import facts

pytestmark = pytest.mark.slow

ENCODER = SpanEncoder("worker-0.1234abcd")
BATCHES = itertools.count()
TOKENS_MAX = 10**12
"""The store takes no larger count for a number of tokens."""
LATEST = 2**62
QUICK = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def land(store: RunningStore, payload: bytes, tenant: str = "") -> str:
    """Land these spans as one batch; its id. A gateway's land both ways, as the same rows."""
    batch = land_by(store, payload, tenant=tenant)
    if not tenant:
        read, other = (rows(store, "spans", each) for each in (batch, land_by(store, payload, own=True)))
        assert read.keys() == other.keys()
        for span_id, row in read.items():
            assert differing(other[span_id], {**row, "batch_id": other[span_id]["batch_id"]}) == {}
    return batch


def land_by(store: RunningStore, payload: bytes, *, tenant: str = "", own: bool = False) -> str:
    """Land these spans by the way of all or by the gateway's own; the batch's id."""
    batch = f"wire-{next(BATCHES)}"
    landing.insert(
        store.writer, payload, batch_id=batch, sender="gateway", tenant=tenant, received_at_ms=1_793_000_123_456,
        token=batch, query_id=batch, own=own,
    )  # fmt: skip
    return batch


VIEWS = {
    "spans": "SELECT *, toUnixTimestamp64Nano(started_at), toUnixTimestamp64Nano(ended_at) FROM tollway.spans"
    " WHERE batch_id = {batch:String}",
    "attempts": "SELECT *, toUnixTimestamp64Nano(started_at), toUnixTimestamp64Nano(ended_at) FROM tollway.attempts"
    " WHERE batch_id = {batch:String}",
    "operations": "SELECT *, toUnixTimestamp64Nano(started_at), toUnixTimestamp64Nano(ended_at) FROM tollway.operations"
    " WHERE batch_id = {batch:String}",
    "transitions": "SELECT *, toUnixTimestamp64Nano(at), toUnixTimestamp64Nano(at) FROM tollway.transitions"
    " WHERE batch_id = {batch:String}",
}


def rows(store: RunningStore, view: str, batch: str) -> dict[str, dict[str, Any]]:
    """The rows of that batch in a view, by span id; times as Unix nanoseconds."""
    found = store.writer.query(VIEWS[view], parameters={"batch": batch})
    names = (*found.column_names[:-2], "started_at", "ended_at")
    return {row["span_id"]: row for row in (dict(zip(names, values, strict=True)) for values in found.result_rows)}


def same(read: object, written: object) -> bool:
    """Equal; doubles to their last digits but one, which is where a text of them may differ."""
    if isinstance(written, float):
        return read == pytest.approx(written, rel=1e-14, abs=1e-300)
    return read == written


def of_attempt(attempt: Attempt) -> dict[str, object]:
    """What the row of an attempt must say; a column not named here belongs to the operation or to the landing."""
    intent = attempt.intent
    not_columns = {"operation_started_at", "client_parent_span_id"}
    known = attempt.completeness is not Completeness.UNKNOWN
    return {
        **{field.name: getattr(intent, field.name) for field in fields(Intent) if field.name not in not_columns},
        **{name.value: count if known else 0 for name, count in attempt.usage.items()},
        "modality": attempt.usage.modality if known else "",
        "ended_at": attempt.ended_at,
        "duration_seconds": (attempt.ended_at - intent.started_at) / 1e9,
        "outcome": attempt.outcome,
        "error_type": attempt.error_type,
        "http_status": attempt.http_status,
        "completeness": attempt.completeness,
        "usage_raw": attempt.usage_raw,
        "usage_invalid": False,
        "response_id": attempt.response_id,
        "response_model": attempt.response_model,
        "finish_reason": attempt.finish_reason,
        "first_token_seconds": attempt.first_token_seconds,
        "service_tier": attempt.service_tier,
        "response_bytes": attempt.response_bytes,
        "answer_fault": attempt.answer_fault,
        "response_content": attempt.response_content,
        "billable": attempt.outcome is not Outcome.REFUSED,
        "sender": "gateway",
    }


def of_operation(operation: Operation) -> dict[str, object]:
    """What the row of an operation must say."""
    known = operation.completeness is not Completeness.UNKNOWN
    not_columns = {"usage", "shared_trace_id", "shared_span_id"}  # A link of the span: its attempt's id is a column.
    return {
        **{field.name: getattr(operation, field.name) for field in fields(Operation) if field.name not in not_columns},
        **{name.value: count if known else 0 for name, count in operation.usage.items()},
        "duration_seconds": (operation.ended_at - operation.started_at) / 1e9,
        "service": SERVICE_NAME,
    }


RENAMED = {"before": "breaker_from", "after": "breaker_to", "cause": "breaker_cause", "at": "started_at"}
"""A transition's fields where the view names them otherwise; `rows` reads the time as started_at."""


def of_transition(moved: Transition) -> dict[str, object]:
    """What the row of a transition must say."""
    return {RENAMED.get(field.name, field.name): getattr(moved, field.name) for field in fields(Transition)}


def differing(read: dict[str, Any], written: dict[str, object]) -> dict[str, tuple[object, object]]:
    """Field by field: what was read and what was written, where they are not the same."""
    absent = {name: ("no such column", value) for name, value in written.items() if name not in read}
    there = {name: (read[name], value) for name, value in written.items() if name in read}
    return absent | {name: pair for name, pair in there.items() if not same(*pair)}


def compare(store: RunningStore, *attempts: Attempt) -> None:
    """Land these as one batch; each must be read as it was written, and nothing else be there."""
    read = rows(store, "attempts", land(store, b"".join(map(ENCODER.attempt, attempts))))
    assert read.keys() == {attempt.intent.span_id for attempt in attempts}
    for attempt in attempts:
        assert differing(read[attempt.intent.span_id], of_attempt(attempt)) == {}


def bounded(attempt: Attempt) -> Attempt:
    """The same within what a column can hold: times before 2116, token counts that are counts."""
    started_at = min(attempt.intent.started_at, LATEST)
    intent = replace(attempt.intent, started_at=started_at)
    usage = Usage(*(count % (TOKENS_MAX // 4) for _, count in attempt.usage.items()))
    return replace(attempt, intent=intent, usage=usage, ended_at=min(started_at + attempt.ended_at, LATEST))


def bounded_operation(operation: Operation) -> Operation:
    """The same within what a column can hold."""
    started_at = min(operation.started_at, LATEST)
    ended_at = min(started_at + operation.ended_at, LATEST)
    usage = Usage(*(count % (TOKENS_MAX // 4) for _, count in operation.usage.items()))
    attempts = operation.attempts % 65_536
    return replace(operation, started_at=started_at, ended_at=ended_at, attempts=attempts, usage=usage)


def test_every_field_arrives_with_a_value_of_its_own(store: RunningStore) -> None:
    intent = facts.intent(session="f" * 32, fallback_reason="timeout", estimated_cost_usd=Decimal("0.5"))
    intent = replace(intent, attempt_index=2, fallback_depth=1, region="eu-west-1", quantization="int8", pattern="edge")
    intent = replace(
        intent, operation="embeddings", route="/v1/embeddings", tool_format="tools", cache_status="miss",
        batch_window_ms=25, batch_size=7, memory_pressure="warn", host="mac-1", request_content='{"input":"a"}',
    )  # fmt: skip
    attempt = facts.attempt(intent, usage=Usage(11, 12, 13, 14, 15, 16, modality="audio"), error_type="stream_broken")
    compare(
        store,
        replace(
            attempt,
            service_tier="flex",
            response_bytes=4321,
            answer_fault="invalid_json",
            response_content='{"data":[]}',
        ),
    )
    operation = facts.operation(intent, attempts=3, parent_span_id="e" * 16, cache_status="hit", error_type="timeout")
    operation = replace(
        operation, operation="text_completion", route="/v1/completions", tool_format="functions",
        saved_usd=Decimal("0.000000123456789012"), shared_attempt_id="f" * 32, usage=Usage(1, 2, 3, 4, 5, 6),
        completeness=Completeness.ESTIMATED,
    )  # fmt: skip
    (read,) = rows(store, "operations", land(store, ENCODER.operation(operation))).values()
    assert differing(read, of_operation(operation)) == {}
    moved = facts.transition(open_seconds=12.5, failures=3, region="eu-west-1")
    (read,) = rows(store, "transitions", land(store, ENCODER.transition(moved))).values()
    assert differing(read, of_transition(moved)) == {}


@QUICK
@given(st.lists(facts.attempts.map(bounded), min_size=1, max_size=8, unique_by=lambda attempt: attempt.intent.span_id))
def test_an_attempt_lands_as_it_was_written(store: RunningStore, attempts: list[Attempt]) -> None:
    compare(store, *attempts)


@QUICK
@given(st.lists(facts.operations.map(bounded_operation), min_size=1, max_size=8, unique_by=lambda each: each.span_id))
def test_an_operation_lands_as_it_was_written(store: RunningStore, operations: list[Operation]) -> None:
    read = rows(store, "operations", land(store, b"".join(map(ENCODER.operation, operations))))
    assert read.keys() == {operation.span_id for operation in operations}
    for operation in operations:
        assert differing(read[operation.span_id], of_operation(operation)) == {}


@QUICK
@given(st.lists(facts.transitions, min_size=1, max_size=8, unique_by=lambda each: each.span_id))
def test_a_transition_lands_as_it_was_written(store: RunningStore, moves: list[Transition]) -> None:
    moves = [replace(moved, at=min(moved.at, LATEST)) for moved in moves]
    read = rows(store, "transitions", land(store, b"".join(map(ENCODER.transition, moves))))
    assert read.keys() == {moved.span_id for moved in moves}
    for moved in moves:
        assert differing(read[moved.span_id], of_transition(moved)) == {}


def test_a_transition_is_neither_attempt_nor_operation_and_only_a_gateways_own_counts(store: RunningStore) -> None:
    payload = ENCODER.transition(facts.transition())
    batch, bound = land(store, payload), land(store, payload, tenant="globex")
    assert [len(rows(store, view, batch)) for view in ("transitions", "attempts", "operations")] == [1, 0, 0]
    (read,) = rows(store, "spans", bound).values()
    assert (read["transition_scope"], read["breaker_to"], read["billable"]) == ("", "", False)


def test_the_last_that_a_tenant_said_of_an_answer_counts_and_only_what_a_gateway_says(store: RunningStore) -> None:
    first = facts.feedback(reason="wrong_tool", score=0.25, response_id="resp-1")
    derived = f"req_{first.trace_id[-8:]}{first.parent_span_id}"
    first = replace(first, request_id=ids.RequestId(derived))
    last = replace(first, span_id="a" * 16, at=first.at + 1, verdict=Verdict.BAD, reason="", score=0.0)
    batches = [land(store, ENCODER.feedback(said)) for said in (last, first)]
    land(store, ENCODER.feedback(replace(first, span_id="b" * 16, at=first.at + 2)), tenant="globex")
    found = store.writer.query(
        "SELECT tenant, parent_span_id, verdict, reason, score, alias, tier, request_id, response_id"
        " FROM tollway.feedback WHERE trace_id = {trace:String}", parameters={"trace": first.trace_id},
    )  # fmt: skip
    assert found.result_rows == [
        ("acme", first.parent_span_id, "bad", "", 0.0, "fast", "interactive", derived, "resp-1")
    ]
    (read,) = rows(store, "spans", batches[1]).values()
    assert (read["feedback_verdict"], read["feedback_reason"], read["feedback_score"]) == ("redo", "wrong_tool", 0.25)
    assert (read["foreign_role"], read["billable"]) == ("", False)
    assert [len(rows(store, view, batches[1])) for view in ("attempts", "operations", "transitions")] == [0, 0, 0]


def test_content_is_kept_of_the_gateways_attempts_alone_and_not_among_the_rated(store: RunningStore) -> None:
    told = facts.attempt(facts.intent(request_content="a prompt"), response_content="an answer")
    (read,) = rows(store, "spans", land(store, ENCODER.attempt(told), tenant="globex")).values()
    assert (read["request_content"], read["response_content"]) == ("", "")
    (kept,) = rows(store, "attempts", land(store, ENCODER.attempt(told))).values()
    assert (kept["request_content"], kept["response_content"]) == ("a prompt", "an answer")
    rated = store.writer.query(
        "SELECT name FROM system.columns WHERE database = 'tollway' AND table = 'rated_attempts'"
    )
    names = {name for (name,) in rated.result_rows}
    assert "route" in names
    assert not {"request_content", "response_content"} & names


def test_no_estimate_is_null_and_an_estimate_of_zero_is_zero(store: RunningStore) -> None:
    costs = (None, Decimal(0), Decimal("1E-18"), Decimal("12345.678901234567890123"))
    compare(store, *(facts.attempt(facts.intent(estimated_cost_usd=cost)) for cost in costs))


def test_every_outcome_and_every_completeness_lands(store: RunningStore) -> None:
    endings = itertools.product(Outcome, Completeness)
    compare(store, *(facts.attempt(outcome=outcome, completeness=known) for outcome, known in endings))


def test_counts_that_cannot_be_are_unknown_by_either_way(store: RunningStore) -> None:
    counts = ((TOKENS_MAX + 1,), (1, TOKENS_MAX), (2**63 - 1,), (0, 0, 0, 0, 2**64))
    attempts = [facts.attempt(usage=Usage(*each)) for each in counts]
    read = rows(store, "spans", land(store, b"".join(map(ENCODER.attempt, attempts))))
    assert {(row["completeness"], row["usage_invalid"], row["output"]) for row in read.values()} == {
        ("unknown", True, 0)
    }


def test_an_id_that_the_gateway_made_of_others_is_shown_and_found_but_not_stored(store: RunningStore) -> None:
    """And what it was told, by a client or of a vendor's own names, is stored as it was told."""
    made, told = facts.intent(), facts.intent(attempt_id="f" * 32, request_id="the client's")
    body = b"".join(ENCODER.attempt(facts.attempt(intent)) for intent in (made, told))
    batch = land(store, body + ENCODER.operation(facts.operation(made)))
    stored = {span_id: (row["attempt_id"], row["request_id"]) for span_id, row in rows(store, "spans", batch).items()}
    ids = {span_id: (row["attempt_id"], row["request_id"]) for span_id, row in rows(store, "attempts", batch).items()}
    theirs = {told.span_id: (told.attempt_id, told.request_id)}
    assert stored == {made.span_id: ("", ""), made.parent_span_id: ("", "")} | theirs
    assert ids == {made.span_id: (made.attempt_id, made.request_id)} | theirs
    assert rows(store, "operations", batch)[made.parent_span_id]["request_id"] == made.request_id
    for name in ("attempt_id", "request_id"):
        asked = f"SELECT span_id FROM tollway.attempts WHERE {name} = {{id:String}}"  # noqa: S608 - a column's name
        for intent in (made, told):
            found = store.reader.query(asked, parameters={"id": getattr(intent, name)}).result_rows
            assert (intent.span_id,) in found
        plan = store.reader.command(f"EXPLAIN indexes = 1 {asked}", parameters={"id": "f" * 32})
        assert f"by_shown_{name.removesuffix('_id')}" in str(plan)


def test_a_sender_bound_to_a_tenant_lands_under_it_and_is_no_gateway(store: RunningStore) -> None:
    batch = land(store, ENCODER.attempt(facts.attempt()), tenant="globex")
    (read,) = rows(store, "spans", batch).values()
    assert (read["tenant"], read["claimed_tenant"], read["billable"]) == ("globex", "acme", False)
    assert rows(store, "attempts", batch) == {}


def test_attempts_and_their_operation_joined_in_one_body_land_each_in_its_view(store: RunningStore) -> None:
    first, second = facts.intent(), facts.intent()
    body = ENCODER.attempt(facts.attempt(first)) + ENCODER.attempt(facts.attempt(second))
    batch = land(store, body + ENCODER.operation(facts.operation(first)))
    assert rows(store, "attempts", batch).keys() == {first.span_id, second.span_id}
    assert rows(store, "operations", batch).keys() == {first.parent_span_id}
