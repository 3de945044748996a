"""Members replaced in the client's own bytes, and nothing else touched."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.splice import spliced


def put(text: bytes, **changed: object) -> bytes:
    return spliced(text, orjson.loads(text), changed)


def test_each_member_is_replaced_where_it_stands_and_what_is_new_comes_first() -> None:
    text = b'{ "b": 1.0, "user" : "ann" ,"model":"fast","big":123456789012345678901234567890}'
    assert put(text, model="m", user="x", fresh={"a": 1}) == (
        b'{"fresh":{"a":1}, "b": 1.0, "user":"x" ,"model":"m","big":123456789012345678901234567890}'
    )


def test_a_name_that_is_a_value_too_is_still_spliced() -> None:
    text = b'{"messages": [{"role": "user"}, {"role":"user" }], "user": "ann", "n": 1.0}'
    assert put(text, user="x") == text.replace(b'"user": "ann"', b'"user":"x"')


DOUBTS = [
    b'{"user":"ann","user":"bob"}',
    b'{"metadata":{"user":"bob"},"user":"ann"}',
    b'{"us\\u0065r":"ann","metadata":{"user":"bob"}}',
    b'{"\\u0075ser":"ann"}',
    b'{"user":7,"x":"user"}',
]


@pytest.mark.parametrize("text", DOUBTS, ids=repr)
def test_where_it_is_in_doubt_which_member_is_meant_the_object_is_written_again(text: bytes) -> None:
    assert json.loads(put(text, user="x")) == {**json.loads(text), "user": "x"}


def test_an_escaped_underscore_hides_no_second_key() -> None:
    text = b'{"prompt\\u005fcache_key":"mine","metadata":{"prompt_cache_key":"other"}}'
    assert json.loads(put(text, prompt_cache_key="x")) == {
        "prompt_cache_key": "x",
        "metadata": {"prompt_cache_key": "other"},
    }


OURS = st.sampled_from(["model", "user", "prompt_cache_key", "safety_identifier", "role"])
NAMES = OURS | st.sampled_from(['say "user":"x"', "é", "super user"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | NAMES | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(NAMES, JSON, min_size=1, max_size=6), st.dictionaries(OURS, st.text(max_size=5)), st.booleans())
def test_the_result_is_the_object_with_those_members_changed(
    fields: dict[str, Any], changed: dict[str, str], ascii_only: bool
) -> None:
    text = json.dumps(fields, ensure_ascii=ascii_only).encode()
    assert json.loads(put(text, **changed)) == {**fields, **changed}
