"""Usage taken out of a chunk: nothing else may change."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.relay.usage import raw_usage, without_usage

USAGE = {"prompt_tokens": 1, "completion_tokens_details": {"reasoning_tokens": 2}}
RAW = '{"prompt_tokens":1, "completion_tokens_details": {"reasoning_tokens":2}}'

PLACES = [
    ('{"id":"x","usage":%s}', '{"id":"x"}', '{"id":"x","usage":null}'),
    ('{"usage":%s,"id":"x"}', '{"id":"x"}', '{"usage":null,"id":"x"}'),
    ('{"a":1.50,"usage": %s , "b":1e3}', '{"a":1.50, "b":1e3}', '{"a":1.50,"usage": null , "b":1e3}'),
    ('{"usage":%s}', "{}", '{"usage":null}'),
]


@pytest.mark.parametrize(("template", "gone", "null"), PLACES)
def test_usage_is_cut_out_where_it_stands(template: str, gone: str, null: str) -> None:
    payload = (template % RAW).encode()
    chunk = json.loads(payload)
    assert without_usage(payload, chunk, null=False).decode() == gone
    assert without_usage(payload, chunk, null=True).decode() == null


def test_what_cannot_be_cut_is_written_anew() -> None:
    payload = b'{"usage" : {"prompt_tokens":1},"id":"x"}'
    assert without_usage(payload, json.loads(payload), null=False) == b'{"id":"x"}'


def test_another_usage_further_down_is_not_mistaken_for_the_one() -> None:
    payload = b'{"usage":{"prompt_tokens":1},"choices":[{"usage":{"prompt_tokens":2}}]}'
    left = json.loads(without_usage(payload, json.loads(payload), null=False))
    assert left == {"choices": [{"usage": {"prompt_tokens": 2}}]}


def test_the_vendors_own_text_is_kept_as_it_came() -> None:
    assert raw_usage(f'{{"usage":{RAW}}}'.encode(), USAGE) == RAW
    assert json.loads(raw_usage(b'{"usage" :{}}', USAGE)) == USAGE


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=6), JSON, max_size=4), JSON, st.booleans(), st.booleans())
def test_whatever_else_a_chunk_holds_is_still_there(
    rest: dict[str, object], inner: object, compact: bool, null: bool
) -> None:
    chunk = {**rest, "usage": {"prompt_tokens": 1, "more": inner}}
    payload = json.dumps(chunk, separators=(",", ":") if compact else None).encode()
    left = json.loads(without_usage(payload, chunk, null=null))
    expected = {name: value for name, value in chunk.items() if name != "usage"} | ({"usage": None} if null else {})
    assert left == expected
    assert json.loads(raw_usage(payload, chunk["usage"])) == chunk["usage"]  # type: ignore[arg-type]
