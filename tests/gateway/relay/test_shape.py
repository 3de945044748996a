"""An answer that has not the shape that was asked for says so, streamed or not; what cannot be told is no fault."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.json_schema import fits
from gateway.relay.shape import shape_of
from gateway.wire.body import read
from gateway.wire.kinds import Kind
from tests.gateway.fakes import chat, chunk, event

POINT = {"type": "object", "required": ["x"], "additionalProperties": False,
         "properties": {"x": {"type": "integer"}, "to": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}}}  # fmt: skip
JSON = {"response_format": {"type": "json_object"}}
SCHEMA = {"response_format": {"type": "json_schema", "json_schema": {"name": "point", "schema": POINT}}}
TOOLS = {"tools": [{"type": "function", "function": {"name": "go", "parameters": POINT}}]}


def request(kind: Kind = Kind.CHAT, **asked: Any) -> Any:
    content = {"input": "x"} if kind is Kind.RESPONSES else {"messages": []}
    return read(json.dumps({"model": "fast", **content, **asked}).encode(), kind)


def whole(asked: dict[str, Any], text: str | None, **message: Any) -> str:
    answer = chat(text or "")
    answer["choices"][0]["message"] |= {"content": text, **message}
    shape = shape_of(request(**asked))
    return str((shape and shape.fault(answer)) or "")


def streamed(asked: dict[str, Any], *deltas: dict[str, Any]) -> str:
    shape = shape_of(request(**asked))
    for delta in deltas:
        if shape is not None:
            shape.add(event({**chunk(), "choices": [{"index": 0, "delta": delta}]}))
    return str((shape and shape.fault(None)) or "")


def pieces(text: str) -> list[dict[str, Any]]:
    return [{"content": text[i : i + 3]} for i in range(0, len(text), 3)]


TEXTS = [
    (JSON, '{"x": 1}', ""), (JSON, '{"x": 1', "invalid_json"), (JSON, "[1]", "invalid_json"),
    (JSON, "Hi", "invalid_json"),
    (SCHEMA, '{"x": 1}', ""), (SCHEMA, '{"x": 1.0, "to": {"x": 2}}', ""), (SCHEMA, '{"x": "1"}', "schema_mismatch"),
    (SCHEMA, '{"x": true}', "schema_mismatch"), (SCHEMA, '{"x": 1, "y": 2}', "schema_mismatch"),
    (SCHEMA, '{"x": 1, "to": {}}', "schema_mismatch"), (SCHEMA, "x", "invalid_json"), ({}, "Hi", ""),
    ({"response_format": {"type": "text"}}, "Hi", ""), ({"response_format": 3}, "Hi", ""),
]  # fmt: skip


@pytest.mark.parametrize(("asked", "text", "fault"), TEXTS)
def test_a_text_is_held_against_the_format_that_was_asked_for(asked: dict[str, Any], text: str, fault: str) -> None:
    assert whole(asked, text) == fault
    assert streamed(asked, *pieces(text)) == fault


CALLS = [('{"x": 1}', ""), ('{"x":', "invalid_arguments"), ('{"y": 1}', "invalid_arguments"), ("", "invalid_arguments"),
         ("3", "invalid_arguments")]  # fmt: skip


@pytest.mark.parametrize(("arguments", "fault"), CALLS)
def test_a_tools_arguments_are_held_against_its_parameters(arguments: str, fault: str) -> None:
    call = {"index": 0, "id": "c", "type": "function", "function": {"name": "go", "arguments": arguments}}
    legacy = {"name": "go", "arguments": arguments}
    takes_nothing = {"tools": [{"type": "function", "function": {"name": "go"}}]}
    assert whole(takes_nothing, None, tool_calls=[{"function": {"name": "go", "arguments": ""}}]) == ""
    functions = {"functions": [TOOLS["tools"][0]["function"]]}
    assert whole(TOOLS, None, tool_calls=[call]) == fault
    assert whole({**TOOLS, **SCHEMA}, None, tool_calls=[call]) == fault
    assert whole(functions, None, function_call=legacy) == fault
    opening = {**call, "function": {"name": "go", "arguments": ""}}
    more = [{"tool_calls": [{"index": 0, "function": {"arguments": letter}}]} for letter in arguments]
    assert streamed(TOOLS, {"tool_calls": [opening]}, {"content": "thinking"}, *more) == fault
    spelled = [{"function_call": {"arguments": letter}} for letter in arguments]
    assert streamed(functions, {"function_call": {"name": "go", "arguments": ""}}, *spelled) == fault
    output = [{"type": "function_call", "name": "go", "arguments": arguments}]
    flat = {"tools": [{"type": "function", "name": "go", "parameters": POINT}]}
    shape = shape_of(request(Kind.RESPONSES, **flat))
    assert shape is not None
    assert (shape.fault({"output": output}) or "") == fault
    shape.add(event({"type": "response.completed", "response": {"output": output}}))
    assert (shape.fault(None) or "") == fault


@pytest.mark.parametrize(("text", "fault"), [('{"x": 1}', ""), ("{}", "schema_mismatch"), ("{", "invalid_json")])
def test_a_responses_text_is_held_against_its_format(text: str, fault: str) -> None:
    asked = {"text": {"format": {"type": "json_schema", "name": "point", "schema": POINT}}}
    shape = shape_of(request(Kind.RESPONSES, **asked))
    assert shape is not None
    message = {"type": "message", "content": [{"type": "output_text", "text": text}]}
    assert (shape.fault({"output": [{"type": "reasoning"}, message]}) or "") == fault
    cut = {"output": [message], "incomplete_details": {"reason": "content_filter"}}
    assert shape.fault(cut) is None
    assert shape.fault({"status": "queued", "output": []}) is None


def test_what_was_refused_filtered_or_is_too_long_has_no_fault_that_is_known() -> None:
    assert whole(JSON, None, refusal="I cannot.") == ""
    filtered = chat("I")
    filtered["choices"][0]["finish_reason"] = "content_filter"
    shape = shape_of(request(**JSON))
    assert shape is not None
    assert shape.fault(filtered) is None
    assert streamed(JSON, {"refusal": "I can"}, {"refusal": "not."}) == ""
    assert streamed(JSON, *({"content": "x" * 300_000} for _ in range(20))) == ""
    assert whole(TOOLS, None, tool_calls=[{"function": {"name": "other", "arguments": "{"}}]) == ""


def test_a_request_that_asks_for_no_shape_is_not_looked_at() -> None:
    assert shape_of(request()) is None
    assert (
        shape_of(read(b'{"model":"e","input":"x","response_format":{"type":"json_object"}}', Kind.EMBEDDINGS)) is None
    )


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(values, values)
def test_no_schema_and_no_value_breaks_the_check(value: object, schema: object) -> None:
    assert fits(value, schema) in (True, False)
    assert fits(value, {"enum": [value], "const": value, "anyOf": [{"type": "null"}, {"const": value}]})


def test_a_schema_without_an_end_ends() -> None:
    loop = {"$ref": "#/$defs/a", "$defs": {"a": {"anyOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/a"}]}}}
    assert fits({"x": 1}, loop)
