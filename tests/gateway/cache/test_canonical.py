"""Canonical bodies: what means the same has the same bytes, and nothing else has."""

import itertools
import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cache.canonical import (
    DEPTH_MAX,
    IRRELEVANT,
    UNORDERED,
    TooDeep,
    canonical,
    counted_headers,
    framing,
    prompt_start,
)

names = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
scalars = (
    st.none() | st.booleans() | st.integers(-(2**53), 2**63) | st.floats(allow_nan=False, allow_infinity=False) | names
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3), max_leaves=8
)
fields = st.dictionaries(st.sampled_from(["messages", "tools", "x", "n", "user"]) | names, values, max_size=4)


def body(**changes: Any) -> dict[str, Any]:
    return {"model": "fast", "messages": [{"role": "user", "content": "Hi"}], "temperature": 0, **changes}


def meaning(value: object, *, ordered: bool) -> object:
    """What a value says, told by Python's own equality: numbers by their worth, true apart from 1."""
    if isinstance(value, dict):
        pairs = [(name, meaning(inner, ordered=ordered)) for name, inner in value.items()]
        return ("object", tuple(pairs if ordered else sorted(pairs, key=lambda pair: pair[0])))
    if isinstance(value, list):
        return ("array", tuple(meaning(inner, ordered=ordered) for inner in value))
    return ("bool", value) if isinstance(value, bool) else value


def said(of: dict[str, Any]) -> object:
    return sorted(
        (name, meaning(value, ordered=name not in UNORDERED)) for name, value in of.items() if name not in IRRELEVANT
    )


@given(fields, fields)
def test_two_bodies_have_the_same_bytes_exactly_when_they_mean_the_same(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    assert (canonical(one) == canonical(other)) == (said(one) == said(other))


@given(fields, st.randoms(use_true_random=False))
def test_how_a_body_is_written_does_not_count(given_fields: dict[str, Any], random: Any) -> None:
    """Key order on top and in messages, white space, escapes, and 1.0 for 1."""

    def rewritten(value: object, *, ordered: bool) -> object:
        if isinstance(value, dict):
            pairs = [(name, rewritten(inner, ordered=ordered)) for name, inner in value.items()]
            if not ordered:
                random.shuffle(pairs)
            return dict(pairs)
        if isinstance(value, list):
            return [rewritten(inner, ordered=ordered) for inner in value]
        if type(value) is int and abs(value) <= 2**53 and random.random() < 0.5:
            return float(value)
        return value

    pairs = [(name, rewritten(value, ordered=name not in UNORDERED)) for name, value in given_fields.items()]
    random.shuffle(pairs)
    text = json.dumps(dict(pairs), ensure_ascii=True, indent=random.choice([None, 2]))
    assert canonical(orjson.loads(text)) == canonical(orjson.loads(orjson.dumps(given_fields)))


CORPUS = [
    body(),
    body(temperature=0.5),
    body(temperature=False),
    body(temperature=None),
    {name: value for name, value in body().items() if name != "temperature"},
    body(messages=[{"role": "system", "content": "Hi"}]),
    body(messages=[{"role": "user", "content": "Hi "}]),
    body(messages=[{"role": "user", "content": "Hi"}] * 2),
    body(messages=[{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]),
    body(messages=[{"role": "user", "content": "Hi", "name": "a"}]),
    body(messages=[{"role": "user", "content": "\u00e9"}]),
    body(messages=[{"role": "user", "content": "e\u0301"}]),
    body(messages=[{"role": "user", "content": "1"}]),
    body(messages=[{"role": "user", "content": 1}]),
    body(seed=1),
    body(seed="1"),
    body(seed=2**63),
    body(seed=2**63 - 1),
    body(n=2),
    body(stop=["a", "b"]),
    body(stop=["b", "a"]),
    body(stop="ab"),
    body(max_tokens=5),
    body(max_completion_tokens=5),
    body(logit_bias={"1": 2}),
    body(logit_bias={"2": 1}),
    body(service_tier="flex"),
    body(reasoning_effort="low"),
    body(something_new={}),
    body(something_new=[]),
    body(something_new=None),
    body(response_format={"type": "json_object"}),
    body(response_format={"json_schema": {"properties": {"a": {}, "b": {}}}}),
    body(response_format={"json_schema": {"properties": {"b": {}, "a": {}}}}),
    body(tools=[{"function": {"name": "f", "parameters": {"properties": {"a": {}, "b": {}}}}}]),
    body(tools=[{"function": {"name": "f", "parameters": {"properties": {"b": {}, "a": {}}}}}]),
]


def test_no_two_different_requests_of_a_corpus_collide() -> None:
    assert [(a, b) for a, b in itertools.combinations(CORPUS, 2) if canonical(a) == canonical(b)] == []


@pytest.mark.parametrize("name", sorted(IRRELEVANT))
def test_what_cannot_change_the_answer_is_left_out(name: str) -> None:
    assert canonical(body(**{name: "x"})) == canonical(body(**{name: "y"})) == canonical(body())


def test_a_body_too_deep_for_a_form_says_so_and_one_just_within_has_it() -> None:
    def nested(depth: int) -> Any:
        return orjson.loads("[" * depth + "]" * depth)

    assert canonical({"x": nested(DEPTH_MAX)})
    with pytest.raises(TooDeep):
        canonical({"x": nested(DEPTH_MAX + 1)})
    with pytest.raises(TooDeep):
        prompt_start({"messages": nested(1000)}, 64)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({}, {"stream": False}, True),
        ({}, {"stream": None}, True),
        ({}, {"stream": True}, False),
        ({"stream_options": {"include_usage": True}}, {}, True),
        ({"stream": True}, {"stream": True, "stream_options": None}, True),
        ({"stream": True}, {"stream": True, "stream_options": {"include_usage": False}}, True),
        ({"stream": True}, {"stream": True, "stream_options": {"include_usage": True}}, False),
        ({"stream": True}, {"stream": True, "stream_options": {"continuous_usage_stats": True}}, False),
    ],
)
def test_an_answer_is_framed_as_its_caller_asked(one: dict[str, Any], other: dict[str, Any], same: bool) -> None:
    assert (framing(one) == framing(other)) is same


def test_of_the_headers_those_count_that_choose_how_a_vendor_answers() -> None:
    quiet = [
        (b"user-agent", b"x"),
        (b"x-stainless-package-version", b"1"),
        (b"accept", b"*/*"),
        (b"x-request-id", b"r"),
    ]
    assert counted_headers(quiet) == b""
    assert counted_headers([(b"openai-beta", b"a")]) != counted_headers([(b"openai-beta", b"b")]) != b""
    both = [(b"openai-beta", b"a"), (b"anthropic-version", b"1")]
    assert counted_headers(both) == counted_headers(both[::-1])


def test_a_prompts_start_is_its_tools_then_its_messages_and_no_longer_than_asked() -> None:
    long = body(messages=[{"role": "system", "content": "s" * 500}, {"role": "user", "content": "one"}])
    longer = body(messages=[*long["messages"], {"role": "user", "content": "two"}], seed=4)
    assert prompt_start(long, 128) == prompt_start(longer, 128)
    assert len(prompt_start(long, 128)) == 128
    assert prompt_start(long, 4096) != prompt_start(longer, 4096)
    assert prompt_start({**long, "tools": [{"type": "function"}]}, 128) != prompt_start(long, 128)
    assert prompt_start({"prompt": "Once"}, 64) == b'"Once"'
    assert prompt_start({}, 64) == b""
