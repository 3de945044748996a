import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector.otlp import KEY_BYTES, NO_KEY, digest, span_key, span_keys, split_keys, without
from collector.refusals import BadRequest
from tests.collector.emitting import body, keys


def nested(shape: list[list[int]]) -> bytes:
    """A request with a resource for each list and a scope of so many spans for each number in it."""
    request = ExportTraceServiceRequest()
    for scopes in shape:
        resource = request.resource_spans.add()
        resource.resource.attributes.add(key="service.name").value.string_value = "s"
        for count in scopes:
            scope = resource.scope_spans.add()
            for _ in range(count):
                scope.spans.add(trace_id=os.urandom(16), span_id=os.urandom(8), name="n")
    encoded: bytes = request.SerializeToString()
    return encoded


def test_the_keys_of_a_request_are_its_ids_in_their_order() -> None:
    sent = keys(3)
    assert split_keys(span_keys(body(sent))) == sent


def test_requests_joined_are_one_request() -> None:
    sent = keys(4)
    assert split_keys(span_keys(body(sent[:1]) + body(sent[1:]))) == sent


@pytest.mark.parametrize("data", [b"\xff\xff", b"hello, world", body(keys(3))[:-3]])
def test_what_is_not_a_request_is_refused(data: bytes) -> None:
    with pytest.raises(BadRequest):
        span_keys(data)


def test_an_empty_request_has_no_keys() -> None:
    assert span_keys(b"") == b""


def test_a_span_without_ids_has_the_key_that_is_like_no_other() -> None:
    assert span_key(b"", b"") == NO_KEY


def test_odd_ids_get_keys_of_their_own_that_do_not_shift_their_neighbours() -> None:
    good = keys(1)[0]
    request = ExportTraceServiceRequest()
    spans = request.resource_spans.add().scope_spans.add().spans
    for trace_id, span_id in [(b"abc", b"de"), (b"ab", b"cde"), (good[:16], good[16:])]:
        spans.add(trace_id=trace_id, span_id=span_id)
    found = split_keys(span_keys(request.SerializeToString()))
    assert found[2] == good
    assert len({*found}) == 3
    assert all(len(one) == KEY_BYTES for one in found)


@given(st.lists(st.lists(st.integers(0, 3), max_size=3), max_size=3), st.data())
def test_taking_spans_out_leaves_the_others_in_their_order(shape: list[list[int]], data: st.DataObject) -> None:
    whole = nested(shape)
    sent = split_keys(span_keys(whole))
    dropped = data.draw(st.sets(st.integers(0, max(len(sent) - 1, 0))))
    rest = without(whole, dropped)
    assert split_keys(span_keys(rest)) == [one for i, one in enumerate(sent) if i not in dropped]
    parsed = ExportTraceServiceRequest.FromString(rest)
    for resource in parsed.resource_spans:
        assert resource.resource.attributes[0].value.string_value == "s"
        assert all(len(scope.spans) for scope in resource.scope_spans) or not dropped


def test_taking_all_spans_out_leaves_nothing() -> None:
    assert without(nested([[2, 1], [3]]), range(6)) == b""


def test_a_digest_tells_bodies_apart() -> None:
    assert digest(b"a") == digest(b"a") != digest(b"b")
