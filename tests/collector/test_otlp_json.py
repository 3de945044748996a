"""JSON against protobuf's own reading of the same message, but for the rules in which OTLP differs from it."""

import json
import tracemalloc
from typing import Any

import orjson
import pytest
from google.protobuf.json_format import MessageToDict
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from collector.otlp_json import memory, to_protobuf
from collector.refusals import BadRequest, TooLarge
from tests.collector.emitting import as_otlp

MIB = 1024 * 1024
TRACE = ExportTraceServiceRequest.DESCRIPTOR
SCALARS: dict[int, Any] = {
    1: st.floats(allow_nan=False),  # One NaN is not another, bit by bit; they have a case of their own.
    3: st.integers(-(1 << 63), (1 << 63) - 1),
    4: st.integers(0, (1 << 64) - 1),
    5: st.integers(-(1 << 31), (1 << 31) - 1),
    6: st.integers(0, (1 << 64) - 1),
    7: st.integers(0, (1 << 32) - 1),
    8: st.booleans(),
    9: st.text(max_size=6),
    12: st.binary(max_size=20),
    13: st.integers(0, (1 << 32) - 1),
    14: st.integers(0, 5),
    16: st.integers(-(1 << 63), (1 << 63) - 1),
    17: st.integers(-(1 << 31), (1 << 31) - 1),
}


@st.composite
def messages(draw: st.DrawFn, kind: Any, depth: int = 0) -> Any:
    """A message of that class with any of its fields set."""
    message = kind()
    fields = [f for f in kind.DESCRIPTOR.fields if depth < 9 or f.message_type is None]
    for field in draw(st.lists(st.sampled_from(fields), max_size=4, unique_by=lambda f: f.number)) if fields else ():
        if field.message_type is None:
            values = SCALARS[field.type]
        else:
            values = messages(field.message_type._concrete_class, depth + 1)
        if field.is_repeated:
            getattr(message, field.name).extend(draw(st.lists(values, max_size=2)))
        elif field.message_type is not None:
            getattr(message, field.name).CopyFrom(draw(values))
        else:
            setattr(message, field.name, draw(values))
    return message


@pytest.mark.parametrize("kind", [ExportTraceServiceRequest, ExportLogsServiceRequest, ExportMetricsServiceRequest])
@settings(max_examples=50)
@given(data=st.data(), numbers=st.booleans(), unknown=st.booleans())
def test_every_message_is_the_same_by_json_as_by_protobuf(
    kind: Any, data: st.DataObject, numbers: bool, unknown: bool
) -> None:
    message = data.draw(messages(kind))
    written = MessageToDict(message, use_integers_for_enums=True)
    sent = json.dumps(as_otlp(written, numbers=numbers, unknown=unknown)).encode()
    made = kind.FromString(to_protobuf(sent, kind.DESCRIPTOR, memory_max=64 * MIB))
    assert made.SerializeToString(deterministic=True) == message.SerializeToString(deterministic=True)


KEYS = st.sampled_from(["resourceSpans", "scopeSpans", "spans", "traceId", "kind", "attributes"])
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
)


@given(st.binary(max_size=200) | ANYTHING.map(lambda value: json.dumps(value).encode()))
def test_whatever_comes_is_protobuf_or_a_bad_request(body: bytes) -> None:
    try:
        made = to_protobuf(body, TRACE, memory_max=64 * MIB)
    except BadRequest:
        return
    ExportTraceServiceRequest.FromString(made)


def span(**fields: Any) -> Any:
    """The span that those JSON fields stand for."""
    body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [fields]}]}]}).encode()
    request = ExportTraceServiceRequest.FromString(to_protobuf(body, TRACE, memory_max=64 * MIB))
    return request.resource_spans[0].scope_spans[0].spans[0]


def test_the_example_of_the_specification_is_read() -> None:
    found = span(
        traceId="5B8EFFF798038103D269B633813FC60C",
        spanId="eee19b7ec3c1b174",
        parentSpanId="",
        kind=2,
        startTimeUnixNano="1544712660000000000",
        endTimeUnixNano=1544712661000000000,
        attributes=[
            {"key": "bytes", "value": {"bytesValue": "aGk_-w"}},
            {"key": "list", "value": {"arrayValue": {"values": [{"intValue": "-7"}, {"doubleValue": "NaN"}]}}},
            {"key": "map", "value": {"kvlistValue": {"values": [{"key": "a", "value": {"boolValue": False}}]}}},
            {"key": "empty", "value": {"stringValue": ""}},
            {"key": "none", "value": None},
        ],
    )
    assert found.trace_id.hex() == "5b8efff798038103d269b633813fc60c"
    assert (found.span_id.hex(), found.parent_span_id) == ("eee19b7ec3c1b174", b"")
    assert (found.kind, found.start_time_unix_nano) == (Span.SPAN_KIND_SERVER, 1544712660000000000)
    given_bytes, array, table, empty, none = (attribute.value for attribute in found.attributes)
    assert given_bytes.bytes_value == b"hi?\xfb"
    assert array.array_value.values[0].int_value == -7
    assert table.kvlist_value.values[0].value.WhichOneof("value") == "bool_value"
    assert empty.WhichOneof("value") == "string_value"
    assert none.WhichOneof("value") is None


def test_keys_of_the_proto_file_are_unknown_and_so_ignored() -> None:
    assert span(trace_id="5b8efff798038103d269b633813fc60c", name="x").trace_id == b""


@pytest.mark.parametrize(
    ("fields", "place", "says"),
    [
        ({"traceId": "5b8"}, "traceId", "hexadecimal"),
        ({"spanId": "zz"}, "spanId", "hexadecimal"),
        ({"kind": "SPAN_KIND_CLIENT"}, "kind", "as its number"),
        ({"kind": True}, "kind", "whole number"),
        ({"startTimeUnixNano": "1e18"}, "startTimeUnixNano", "not a whole number"),
        ({"startTimeUnixNano": "1_0"}, "startTimeUnixNano", "not a whole number"),
        ({"startTimeUnixNano": -1}, "startTimeUnixNano", "not between 0"),
        ({"startTimeUnixNano": str(1 << 64)}, "startTimeUnixNano", "not between 0"),
        ({"startTimeUnixNano": 1.5}, "startTimeUnixNano", "whole number"),
        ({"name": 7}, "name", "a text is needed, not a number"),
        ({"attributes": {}}, "attributes", "a list is needed, not an object"),
        ({"attributes": [None]}, "attributes[0]", "an object is needed, not null"),
        ({"attributes": [{"value": {"boolValue": 1}}]}, "attributes[0].value.boolValue", "true or false"),
        ({"attributes": [{"value": {"bytesValue": "a"}}]}, "attributes[0].value.bytesValue", "base64"),
        ({"attributes": [{"value": {"doubleValue": "x"}}]}, "attributes[0].value.doubleValue", "not a number"),
        ({"attributes": [{"value": {"intValue": 1, "boolValue": True}}]}, "attributes[0].value", "exclude each other"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(fields: dict[str, Any], place: str, says: str) -> None:
    with pytest.raises(BadRequest) as caught:
        span(**fields)
    assert str(caught.value).startswith(f"resourceSpans[0].scopeSpans[0].spans[0].{place}: ")
    assert says in str(caught.value)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b'{"resourceSpans": "\\ud800"}', b"null"])
def test_what_is_not_a_json_object_is_a_bad_request(body: bytes) -> None:
    with pytest.raises(BadRequest):
        to_protobuf(body, TRACE, memory_max=MIB)


def nested(depth: int) -> Any:
    return {"arrayValue": {"values": [nested(depth - 1)]}} if depth else {"intValue": 1}


def test_values_nest_as_deep_as_protobuf_lets_them() -> None:
    assert span(attributes=[{"key": "deep", "value": nested(40)}]).attributes[0].key == "deep"
    with pytest.raises(BadRequest, match="within each other"):
        span(attributes=[{"key": "deep", "value": nested(60)}])


@pytest.mark.parametrize("piece", [b"{},", b"[],", b'"\xf0\x9f\x99\x82",', b'{"a":1},', b"1.5,", b'"ab",'])
def test_the_memory_that_json_takes_is_never_much_more_than_what_is_reckoned(piece: bytes) -> None:
    body = b"[" + piece * 50_000 + b"0]"
    tracemalloc.start()
    kept = orjson.loads(body)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(kept) == 50_001
    assert peak <= 1.1 * memory(body)


def test_json_that_would_burst_the_memory_is_refused_before_it_is_decoded() -> None:
    with pytest.raises(TooLarge, match="smaller batches, or protobuf"):
        to_protobuf(b'{"resourceSpans":[' + b"{}," * 100_000 + b"{}]}", TRACE, memory_max=16 * MIB)
