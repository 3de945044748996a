"""What the API's description says of a body is exactly what is checked."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from jsonschema_rs import Draft202012Validator

from gateway.api.openapi import body_schema, codes_by_status, operation
from gateway.errors import GatewayError, InvalidRequest
from gateway.wire.body import read
from gateway.wire.kinds import Kind

VALUES = (
    st.none()
    | st.booleans()
    | st.integers(-2, 2**70)
    | st.sampled_from([1.0, 1.5, -1.0, 1e300])
    | st.sampled_from(["", "fast"])
    | st.lists(st.none() | st.text(max_size=2), max_size=2)
    | st.dictionaries(st.sampled_from(["id", "include_usage"]), st.none() | st.booleans(), max_size=2)
)
FIELDS = (
    "model", "messages", "prompt", "input", "previous_response_id", "conversation", "stream", "stream_options",
    "max_tokens", "max_completion_tokens", "max_output_tokens", "n", "best_of", "from_the_future",
)  # fmt: skip
GOOD: dict[str, Any] = {"model": "fast", "messages": [], "prompt": "x", "input": "x"}


def refused(body: object, kind: Kind) -> bool:
    try:
        read(json.dumps(body).encode(), kind)
    except InvalidRequest:
        return True
    return False


@pytest.mark.parametrize("kind", Kind)
@given(changes=st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=4), gone=st.sets(st.sampled_from(FIELDS)))
@example(changes={"n": 1.0}, gone=set())
@example(changes={"prompt": {}}, gone={"input"})
def test_the_schema_accepts_what_is_accepted_and_nothing_else(
    kind: Kind, changes: dict[str, Any], gone: set[str]
) -> None:
    good = {**GOOD, "prompt": {}} if kind is Kind.RESPONSES else GOOD
    body = {name: value for name, value in {**good, **changes}.items() if name not in gone}
    assert Draft202012Validator(body_schema(kind)).is_valid(body) is not refused(body, kind)


@pytest.mark.parametrize("kind", Kind)
@given(body=VALUES)
def test_what_is_no_object_is_refused_by_both(kind: Kind, body: object) -> None:
    assert Draft202012Validator(body_schema(kind)).is_valid(body) is not refused(body, kind)


@pytest.mark.parametrize("kind", Kind)
def test_every_status_that_an_answer_may_have_is_described(kind: Kind) -> None:
    described = operation(kind)["responses"]
    statuses = {str(status) for status, codes in codes_by_status().items() if codes != ["config_rejected"]}
    assert {"200", "default", *statuses} == set(described)
    assert "`ladder_exhausted`" in described["502"]["description"]
    assert str(GatewayError.status) in described
