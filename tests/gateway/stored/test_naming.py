"""What a body names is found wherever it stands, however it is spelled, and nothing else is."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.stored.naming import KEYS, Name, Named, Stored, brought_by, mentions, named_in


def read(body: bytes | dict[str, Any]) -> Named:
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    if not mentions(raw, response=True):
        return Named((), (), plain=True)
    return named_in(raw, orjson.loads(raw))


def names(body: bytes | dict[str, Any]) -> set[tuple[str, str]]:
    return {(name.kind.value, name.id) for name in read(body).names}


FILE = ("file", "file-1")
PLACES: dict[str, tuple[dict[str, Any], tuple[str, str]]] = {
    "the response before": ({"previous_response_id": "resp_1"}, ("response", "resp_1")),
    "a conversation by its id": ({"conversation": "conv_1"}, ("conversation", "conv_1")),
    "a conversation as an object": ({"conversation": {"id": "conv_1"}}, ("conversation", "conv_1")),
    "a chat message's file": (
        {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1"}}]}]}, FILE,
    ),
    "an input's file": ({"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "file-1"}]}]}, FILE),
    "an input's image": ({"input": [{"content": [{"type": "input_image", "file_id": "file-1"}]}]}, FILE),
    "a tool's answer": (
        {"input": [{"type": "function_call_output", "output": [{"type": "input_file", "file_id": "file-1"}]}]}, FILE,
    ),
    "a container's files": (
        {"tools": [{"type": "code_interpreter", "container": {"type": "auto", "file_ids": ["file-1"]}}]}, FILE,
    ),
    "a container": ({"tools": [{"type": "code_interpreter", "container": "cntr_1"}]}, ("container", "cntr_1")),
    "a vector store": ({"tools": [{"type": "file_search", "vector_store_ids": ["vs_1"]}]}, ("vector_store", "vs_1")),
    "a mask": ({"tools": [{"type": "image_generation", "input_image_mask": {"file_id": "file-1"}}]}, FILE),
    "a prompt's variable": (
        {"prompt": {"id": "p", "variables": {"doc": {"type": "input_file", "file_id": "file-1"}}}}, FILE,
    ),
    "a batch's input": ({"input_file_id": "file-1"}, FILE),
    "an item": ({"input": [{"type": "item_reference", "id": "msg_1"}]}, ("item", "msg_1")),
    "an item without its type": ({"input": [{"id": "msg_1"}]}, ("item", "msg_1")),
    "an item with no type to speak of": ({"input": [{"id": "msg_1", "type": None}]}, ("item", "msg_1")),
    "reasoning that the vendor keeps": ({"input": [{"type": "reasoning", "id": "rs_1"}]}, ("item", "rs_1")),
    "an image that the vendor keeps": ({"input": [{"type": "image_generation_call", "id": "ig_1"}]}, ("item", "ig_1")),
}  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_a_name_is_found_in_every_place_a_vendor_reads_one(place: str) -> None:
    body, name = PLACES[place]
    assert names({"model": "fast", **body}) == {name}


CALLERS_WORDS: dict[str, dict[str, Any]] = {
    "metadata": {"metadata": {"file_id": "mine"}},
    "a tool's schema": {"tools": [{"parameters": {"properties": {"file_id": {"type": "string", "default": "x"}}}}]},
    "an answer's schema": {"text": {"format": {"schema": {"properties": {"container": {"const": "x"}}}}}},
    "the name of a variable": {"prompt": {"id": "p", "variables": {"file_id": "a text"}}},
    "a text": {"messages": [{"role": "user", "content": 'What is {"file_id": "file-1"}?'}]},
    "a whole message with its id": {"input": [{"type": "message", "role": "assistant", "id": "msg_1", "content": []}]},
    "a message that leaves its type out": {"input": [{"role": "user", "id": "x", "content": "hi"}]},
    "a tool call": {"messages": [{"role": "assistant", "tool_calls": [{"id": "call_1", "type": "function"}]}]},
}


@pytest.mark.parametrize("place", CALLERS_WORDS)
def test_a_callers_own_words_name_nothing(place: str) -> None:
    assert read({"model": "fast", **CALLERS_WORDS[place]}).names == ()


SMUGGLED = [
    b'{"previous_response_id": "foreign", "previous_response_id": "mine"}',
    b'{"input": [{"content": [{"file_id": "foreign"}]}], "input": "hi"}',
    b'{"input": [{"id": "foreign"}], "input": "hi"}',
    b'{"input": [{"type": "reasoning", "id": "foreign"}], "input": []}',
    b'{"input": [{"type": "reasoning", "id": "foreign", "id": "mine"}]}',
    b'{"file\\u005fid": "foreign"}',
    b'{"previous_response_i\\u0064": "foreign"}',
    b'{"\\u0069nput": [{"\\u0069d": "foreign"}]}',
    b'{"metadata": {}, "a": {"file_id": "foreign"}, "a": {}}',
]


@pytest.mark.parametrize("body", SMUGGLED)
def test_bytes_that_could_be_read_to_name_something_else_are_not_plain(body: bytes) -> None:
    found = read(body)
    assert not found.plain or ("foreign" in {name.id for name in found.names})
    assert found.plain is False


def test_encrypted_reasoning_is_carried_and_not_named() -> None:
    found = read({"input": [{"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"}]})
    assert (found.names, found.carried) == ((), ("rs_1",))


json_values = st.recursive(
    st.none() | st.booleans() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)


@given(
    around=st.lists(st.sampled_from(["input", "tools", "a", "content"]) | st.just(0), max_size=40),
    key=st.sampled_from(sorted(set(KEYS) - {"conversation", "container"})),
    beside=st.dictionaries(st.text(max_size=6), json_values, max_size=3),
    ascii_only=st.booleans(),
)
def test_however_deep_it_stands_and_whatever_stands_beside_it_a_name_is_found(
    around: list[str | int], key: str, beside: dict[str, Any], ascii_only: bool
) -> None:
    value: Any = {**beside, key: "the-id"}
    for step in around:
        value = [value] if isinstance(step, int) else {step: value}
    raw = json.dumps({"model": "fast", "x": value}, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    try:
        fields = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return
    assert mentions(raw, response=False)
    assert Name(KEYS[key], "the-id", key) in named_in(raw, fields).names


@given(json_values)
def test_what_is_serialised_anew_is_read_the_same_and_is_plain(value: Any) -> None:
    raw = orjson.dumps({"input": [value], "file_id": "x"})
    first = named_in(raw, orjson.loads(raw))
    again = orjson.dumps(orjson.loads(raw))
    assert named_in(again, orjson.loads(again)).names == first.names


def test_an_answer_brings_its_own_id_and_those_of_what_it_put_out() -> None:
    output = [{"type": "reasoning", "id": "rs_1"}, {"type": "code_interpreter_call", "id": "ci_1", "container_id": "c"}]
    assert brought_by({"id": "resp_1", "output": output}) == [
        (Stored.RESPONSE, "resp_1"), (Stored.ITEM, "rs_1"), (Stored.ITEM, "ci_1"), (Stored.CONTAINER, "c"),
    ]  # fmt: skip
    assert brought_by({"id": 7, "output": None}) == []
