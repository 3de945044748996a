"""Events as bytes: where they end, and what they carry."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.relay import sse
from gateway.relay.sse import EventTooLong, Splitter, data_of, events


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\r\r", b"\n\r\n"], ids=repr)
def test_an_event_ends_at_a_blank_line_however_lines_end(end: bytes) -> None:
    splitter = Splitter()
    first, second = b"data: 1" + end, b"data: 2" + end
    assert splitter.feed(first + second + b"data: 3") == first + second
    assert list(events(first + second)) == [first, second]
    assert splitter.rest() == b"data: 3"


def test_the_start_of_an_event_waits_for_its_end() -> None:
    splitter = Splitter()
    assert splitter.feed(b"data: 1\n") == b""
    assert splitter.feed(b"\nda") == b"data: 1\n\n"
    assert splitter.feed(b"ta: 2\n\n") == b"data: 2\n\n"
    assert splitter.rest() == b""


LINE = st.sampled_from([b"data: {}", b": keep-alive", b'data: {"a":"b"}', b"event: x\ndata: 1", b"id: 1"])


@given(st.lists(LINE, max_size=8), st.sampled_from([b"\n", b"\r\n"]), st.data())
def test_no_cut_of_a_stream_changes_a_byte_of_it(lines: list[bytes], newline: bytes, data: st.DataObject) -> None:
    whole = b"".join(line.replace(b"\n", newline) + newline * 2 for line in lines) + b"data: tail"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=12)))
    splitter = Splitter()
    out = [splitter.feed(whole[a:b]) for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True) if a < b]
    assert b"".join(out) + splitter.rest() == whole
    assert all(data_of(event) is not None or b"data" not in event for piece in out for event in events(piece))


def test_an_event_that_does_not_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "EVENT_BYTES_MAX", 10)
    splitter = Splitter()
    assert splitter.feed(b"data: 1234") == b""
    with pytest.raises(EventTooLong):
        splitter.feed(b"5")


DATA = [
    (b"data: {}\n\n", b"{}"),
    (b"data:{}\n\n", b"{}"),
    (b"data: {}\r\n\r\n", b"{}"),
    (b"event: x\ndata: 1\nid: 3\n\n", b"1"),
    (b"data: {\ndata: }\n\n", b"{\n}"),
    (b"data: {}", b"{}"),
    (b"\ndata: {}\n\n", b"{}"),
    (b"data: [DONE]\n\n", b"[DONE]"),
    (b": keep-alive\n\n", None),
    (b"\n\n", None),
    (b"data\n\n", b""),
]


@pytest.mark.parametrize(("event", "data"), DATA, ids=repr)
def test_an_events_data_is_read_as_the_standard_says(event: bytes, data: bytes | None) -> None:
    assert data_of(event) == data
