import os
import resource

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector.framing import frame, without
from collector.otlp import KEY_BYTES, NO_KEY, WHOLE_BYTES_MAX, body_digest, read_spans, span_key, split_keys
from collector.refusals import BadRequest, TooLarge
from gateway.domain.attributes import SCOPE
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
    assert split_keys(read_spans(body(sent)).keys) == sent


def test_requests_joined_are_one_request() -> None:
    sent = keys(4)
    assert split_keys(read_spans(body(sent[:1]) + body(sent[1:])).keys) == sent


@pytest.mark.parametrize("data", [b"\xff\xff", b"hello, world", body(keys(3))[:-3]])
def test_what_is_not_a_request_is_refused(data: bytes) -> None:
    with pytest.raises(BadRequest):
        read_spans(data)


def test_an_empty_request_has_no_keys() -> None:
    assert read_spans(b"").keys == b""


def test_a_request_is_a_gateways_own_where_each_scope_says_so_and_nothing_stands_beside_the_spans() -> None:
    own, strange = body(keys(2), scope=SCOPE), body(keys(1))
    beside = b"\xaa\xb5\x18\x03abc"  # Field 50005, a text.
    padding = body(keys(1), scope=SCOPE, attributes=WHOLE_BYTES_MAX // 40)
    tried = (
        own,
        own + own,
        own + padding,
        strange,
        own + strange,
        own + beside,
        own + padding + beside,
        padding + strange,
    )
    assert [read_spans(one).own for one in tried] == [True, True, True, False, False, False, False, False]


def test_a_span_without_ids_has_the_key_that_is_like_no_other() -> None:
    assert span_key(b"", b"") == NO_KEY


def test_odd_ids_get_keys_of_their_own_that_do_not_shift_their_neighbours() -> None:
    good = keys(1)[0]
    request = ExportTraceServiceRequest()
    spans = request.resource_spans.add().scope_spans.add().spans
    for trace_id, span_id in [(b"abc", b"de"), (b"ab", b"cde"), (good[:16], good[16:])]:
        spans.add(trace_id=trace_id, span_id=span_id)
    found = split_keys(read_spans(request.SerializeToString()).keys)
    assert found[2] == good
    assert len({*found}) == 3
    assert all(len(one) == KEY_BYTES for one in found)


@given(st.lists(st.lists(st.integers(0, 3), max_size=3), max_size=3), st.data())
def test_taking_spans_out_leaves_the_others_in_their_order(shape: list[list[int]], data: st.DataObject) -> None:
    whole = nested(shape)
    sent = split_keys(read_spans(whole).keys)
    dropped = data.draw(st.sets(st.integers(0, max(len(sent) - 1, 0))))
    rest = without(whole, dropped)
    assert split_keys(read_spans(rest).keys) == [one for i, one in enumerate(sent) if i not in dropped]
    parsed = ExportTraceServiceRequest.FromString(rest)
    for group in parsed.resource_spans:
        assert group.resource.attributes[0].value.string_value == "s"
        assert all(len(scope.spans) for scope in group.scope_spans)


def test_taking_all_spans_out_leaves_nothing() -> None:
    assert without(nested([[2, 1], [3]]), range(6)) == b""


def test_a_request_is_known_again_by_its_spans_and_its_length_and_without_ids_by_its_bytes() -> None:
    a, b = keys(2)
    assert body_digest(b"body", a + b) == body_digest(b"body", a + b) == body_digest(b"BODY", a + b)
    assert (
        len({body_digest(*one) for one in ((b"body", a + b), (b"body", b + a), (b"body", a), (b"longer", a + b))}) == 4
    )
    assert body_digest(b"body", a + NO_KEY) != body_digest(b"BODY", a + NO_KEY)


def field(number: int, content: bytes) -> bytes:
    """A field with a length."""
    length, head = len(content), bytearray([number << 3 | 2])
    while length > 0x7F:
        head.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes([*head, length]) + content


def test_a_large_body_has_the_keys_of_its_parts() -> None:
    parts = [body(keys(40), attributes=300) for _ in range(5)]
    assert len(b"".join(parts)) > WHOLE_BYTES_MAX
    assert read_spans(b"".join(parts)).keys == b"".join(read_spans(part).keys for part in parts)


def test_a_large_body_is_refused_for_one_bad_span_in_it() -> None:
    large = body(keys(200), attributes=300)
    bad = field(1, field(2, field(2, b"\x0a\xffshort")))
    assert len(large) > WHOLE_BYTES_MAX
    with pytest.raises(BadRequest):
        read_spans(large + bad)


@pytest.mark.parametrize("around", ["resource", "scope"])
def test_a_large_body_is_refused_for_what_stands_around_its_spans(around: str) -> None:
    large = body(keys(200), attributes=300)
    bad = field(1, b"\xff\xff")
    with pytest.raises(BadRequest):
        read_spans(large + field(1, bad if around == "resource" else field(2, bad)))


@pytest.mark.parametrize(
    "bomb",
    [
        field(1, field(2, b"\x12\x00" * 4_000_000)),
        field(1, b"\x12\x00" * 4_000_000),
        b"\x0a\x00" * 4_000_000,
        field(1, field(2, b"\x28\x00" * 4_000_000)),
        field(1, field(2, field(2, b"\x4a\x00" * 9_000_000))),
        field(1, field(1, b"\x0a\x00" * 9_000_000)),
    ],
    ids=["spans", "scopes", "resources", "numbers", "attributes", "resource attributes"],
)
def test_millions_of_empty_messages_are_refused_before_they_become_objects(bomb: bytes) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(TooLarge):
        read_spans(bomb)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 1024


@pytest.mark.parametrize(("spans", "taken"), [(98, True), (99, False)])
def test_spans_scopes_and_resources_are_counted_together(
    spans: int, taken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("collector.framing.FIELDS_MAX", 100)
    large = field(1, field(2, b"\x12\x00" * spans))
    if taken:
        assert len(frame(large).resources[0].scopes[0].spans) == spans
    else:
        with pytest.raises(TooLarge):
            frame(large)


@given(st.binary(max_size=60))
def test_no_bytes_make_the_frame_fail_in_another_way_than_by_refusing(data: bytes) -> None:
    for tried in (data, field(1, data), field(1, field(2, data))):
        try:
            frame(tried)
        except (BadRequest, TooLarge):
            continue


def test_taking_spans_out_touches_no_other_byte() -> None:
    first, second = body(keys(1), attributes=2), body(keys(1), attributes=3)
    assert without(first + second, {0}) == second
    assert without(first + second, ()) == first + second
    odd = field(1, b"\x78\x07" + field(2, b"\x55abcd" + field(2, b"span")) + field(9, b"unknown"))
    assert without(odd, ()) == field(1, b"\x78\x07" + field(9, b"unknown") + field(2, b"\x55abcd" + field(2, b"span")))
