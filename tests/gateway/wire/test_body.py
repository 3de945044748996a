"""The body of a chat request: what is checked, and what is sent on."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import InvalidRequest
from gateway.wire.body import DEPTH_MAX, read
from gateway.wire.kinds import Kind

MESSAGES = '"messages":[{"role":"user","content":"Hi"}]'


def body(**changes: Any) -> bytes:
    return json.dumps({"model": "fast", "messages": [], **changes}).encode()


BAD = [
    (b"", None),
    (b"not json", None),
    (b"[]", None),
    (b'"x"', None),
    (b"{}", "model"),
    (body(model=None), "model"),
    (body(model=""), "model"),
    (body(model=7), "model"),
    (b'{"model":"fast"}', "messages"),
    (body(messages=None), "messages"),
    (body(messages={}), "messages"),
    (body(stream="yes"), "stream"),
    (body(stream=1), "stream"),
    (body(stream_options=[]), "stream_options"),
    (body(max_tokens=1.5), "max_tokens"),
    (body(max_tokens=True), "max_tokens"),
    (body(max_tokens=-1), "max_tokens"),
    (body(max_completion_tokens="1"), "max_completion_tokens"),
    (body(n="2"), "n"),
]


@pytest.mark.parametrize(("raw", "param"), BAD, ids=repr)
def test_what_is_no_chat_request_is_refused_by_the_field_that_is_wrong(raw: bytes, param: str | None) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read(raw)
    assert caught.value.param == param
    assert caught.value.status == 400


KINDS_BAD = [
    (Kind.COMPLETIONS, {}, "prompt"),
    (Kind.COMPLETIONS, {"prompt": None}, "prompt"),
    (Kind.COMPLETIONS, {"prompt": {}}, "prompt"),
    (Kind.COMPLETIONS, {"prompt": "x", "best_of": -1}, "best_of"),
    (Kind.COMPLETIONS, {"prompt": "x", "stream_options": 1}, "stream_options"),
    (Kind.EMBEDDINGS, {}, "input"),
    (Kind.EMBEDDINGS, {"input": 5}, "input"),
    (Kind.RESPONSES, {}, "input"),
    (Kind.RESPONSES, {"input": None}, "input"),
    (Kind.RESPONSES, {"input": {}}, "input"),
    (Kind.RESPONSES, {"prompt": "pmpt_1"}, "prompt"),
    (Kind.RESPONSES, {"input": "x", "previous_response_id": 7}, "previous_response_id"),
    (Kind.RESPONSES, {"conversation": []}, "conversation"),
    (Kind.RESPONSES, {"input": "x", "stream": 1}, "stream"),
    (Kind.RESPONSES, {"input": "x", "max_output_tokens": "1"}, "max_output_tokens"),
]


@pytest.mark.parametrize(("kind", "fields", "param"), KINDS_BAD, ids=str)
def test_each_kind_refuses_by_its_own_fields(kind: Kind, fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read(json.dumps({"model": "fast", **fields}).encode(), kind)
    assert caught.value.param == param


KINDS_GOOD = [
    (Kind.COMPLETIONS, {"prompt": "x", "best_of": 4, "n": 2, "max_tokens": 3}, (1, 2, 4, 3)),
    (Kind.COMPLETIONS, {"prompt": [1, 2, 3]}, (1, 1, 0, 0)),
    (Kind.COMPLETIONS, {"prompt": ["a", "b"], "n": 2}, (2, 4, 0, 0)),
    (Kind.COMPLETIONS, {"prompt": [[1], [2], [3]]}, (3, 3, 0, 0)),
    (Kind.EMBEDDINGS, {"input": ["a", "b"], "stream": "no field of theirs"}, (2, 2, 0, 0)),
    (Kind.EMBEDDINGS, {"input": []}, (1, 1, 0, 0)),
    (Kind.RESPONSES, {"input": [{"role": "user"}, {}], "max_output_tokens": 9}, (1, 1, 0, 9)),
    (Kind.RESPONSES, {"conversation": "conv_1"}, (1, 1, 0, 0)),
    (Kind.RESPONSES, {"prompt": {"id": "pmpt_1"}, "input": None}, (1, 1, 0, 0)),
    (Kind.RESPONSES, {"previous_response_id": "resp_1"}, (1, 1, 0, 0)),
]


@pytest.mark.parametrize(("kind", "fields", "read_as"), KINDS_GOOD, ids=str)
def test_each_kind_says_how_much_it_asks_for(kind: Kind, fields: dict[str, Any], read_as: tuple[int, ...]) -> None:
    request = read(json.dumps({"model": "fast", **fields}).encode(), kind)
    assert request.kind is kind
    assert (request.inputs, request.finishes, request.best_of, request.max_output_tokens) == read_as


@pytest.mark.parametrize(
    ("fields", "tool_format"),
    [
        ({}, ""),
        ({"tools": []}, ""),
        ({"tools": "x"}, ""),
        ({"tools": [{}], "functions": [{}]}, "tools"),
        ({"tools": None, "functions": [{}]}, "functions"),
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", [Kind.CHAT, Kind.RESPONSES])
def test_how_tools_are_offered_is_read(kind: Kind, fields: dict[str, Any], tool_format: str) -> None:
    raw = json.dumps({"model": "fast", "messages": [], "input": "x", **fields}).encode()
    assert read(raw, kind).tool_format == tool_format


def test_only_chat_and_completions_are_asked_for_their_usage_on_a_stream() -> None:
    raw = json.dumps({"model": "fast", "messages": [], "input": "x", "prompt": "x", "stream": True}).encode()
    unchanged = json.loads(raw) | {"model": "gpt"}
    responses = unchanged | {"prompt": {}}
    assert json.loads(read(json.dumps(responses).encode(), Kind.RESPONSES).for_upstream("gpt", running_usage=True)) == (
        responses
    )
    assert json.loads(read(raw, Kind.EMBEDDINGS).for_upstream("gpt", running_usage=True)) == unchanged
    assert "stream_options" in json.loads(read(raw, Kind.COMPLETIONS).for_upstream("gpt", running_usage=False))


def test_what_we_decide_by_is_read() -> None:
    request = read(
        body(stream=True, max_tokens=5, max_completion_tokens=9, n=3, stream_options={"include_usage": True})
    )
    assert (request.alias, request.stream, request.max_output_tokens, request.choices) == ("fast", True, 9, 3)
    assert (request.wants_usage, request.wants_running_usage) == (True, False)


@pytest.mark.parametrize("given_null", [body(stream=None, max_tokens=None, n=None, stream_options=None), body()])
def test_null_is_as_good_as_absent(given_null: bytes) -> None:
    request = read(given_null)
    assert (request.stream, request.max_output_tokens, request.choices, request.wants_usage) == (False, 0, 1, False)


def test_only_the_model_changes_in_what_is_sent_on() -> None:
    raw = (
        f'{{ {MESSAGES}, "temperature": 1.0,"big":123456789012345678901234567890, "model" : "fast" ,"x":null}}'.encode()
    )
    sent = read(raw).for_upstream("gpt", running_usage=False)
    assert sent == raw.replace(b'"model" : "fast"', b'"model":"gpt"')


def test_a_stream_is_asked_for_its_usage() -> None:
    request = read(body(stream=True))
    assert json.loads(request.for_upstream("m", running_usage=False))["stream_options"] == {"include_usage": True}
    running = json.loads(request.for_upstream("m", running_usage=True))["stream_options"]
    assert running == {"include_usage": True, "continuous_usage_stats": True}


def test_other_stream_options_stay_and_a_refusal_of_usage_is_the_clients_view_only() -> None:
    request = read(body(stream=True, stream_options={"include_usage": False, "include_obfuscation": False}))
    options = json.loads(request.for_upstream("m", running_usage=False))["stream_options"]
    assert options == {"include_usage": True, "include_obfuscation": False}
    assert not request.wants_usage


def test_a_request_that_does_not_stream_keeps_its_stream_options() -> None:
    request = read(body(stream_options={"include_usage": True}))
    assert json.loads(request.for_upstream("m", running_usage=True))["stream_options"] == {"include_usage": True}


TRICKS = [
    b'{"model":"fast","model":"fast",' + MESSAGES.encode() + b"}",
    b'{"mod\\u0065l":"fast","metadata":{"model":"fast"},' + MESSAGES.encode() + b"}",
    b'{"metadata":{"model":"fast"},"model":"fast",' + MESSAGES.encode() + b"}",
    b'{"model":"f\\u0061st",' + MESSAGES.encode() + b"}",
]


@pytest.mark.parametrize("raw", TRICKS, ids=repr)
def test_no_spelling_of_a_body_smuggles_another_model_past_the_alias(raw: bytes) -> None:
    request = read(raw)
    assert request.alias == "fast"
    sent = json.loads(request.for_upstream("gpt", running_usage=False))
    assert sent == {**json.loads(raw), "model": "gpt"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)
NAMES = st.sampled_from(["model", "messages", "metadata", "stream_options", "tools", 'say "model":"x"', "user"])


@given(st.dictionaries(NAMES, JSON, max_size=5), st.booleans(), st.booleans())
def test_every_other_field_arrives_as_it_was_sent(extra: dict[str, Any], stream: bool, compact: bool) -> None:
    fields = {**extra, "model": "fast", "messages": [extra], "stream": stream}
    if not isinstance(fields.get("stream_options"), dict | None):
        del fields["stream_options"]
    raw = json.dumps(fields, separators=(",", ":") if compact else None).encode()
    sent = json.loads(read(raw).for_upstream("gpt", running_usage=False))
    options = {"stream_options": {**(fields.get("stream_options") or {}), "include_usage": True}} if stream else {}
    assert sent == {**fields, "model": "gpt", **options}


def nested(depth: int) -> bytes:
    """A chat request whose deepest value lies that deep."""
    deep = b"[" * (depth - 1) + b"]" * (depth - 1)
    return b'{"model":"fast","messages":[],"stream":true,"stream_options":{},"x":' + deep + b"}"


def test_a_body_as_deep_as_may_be_can_be_written_anew() -> None:
    request = read(nested(DEPTH_MAX))
    assert b'"include_usage":true' in request.for_upstream("m", running_usage=False)


@pytest.mark.parametrize("depth", [DEPTH_MAX + 1, 900])
def test_a_deeper_body_is_the_callers_fault_and_never_ours(depth: int) -> None:
    with pytest.raises(InvalidRequest, match="254 deep"):
        read(nested(depth))
