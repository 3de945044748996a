"""Each dialect's stream, cut at every byte and written with every line end: the same is passed on and learned."""

import json
from collections.abc import Callable

import pytest

from gateway.relay.relay import Relay
from gateway.relay.responses import ResponsesRelay
from gateway.relay.stream import StreamRelay, Wants
from tests.gateway.dialects import Script, completion_chunk, completion_usage, response, response_events
from tests.gateway.fakes import DONE, ROLE, chunk, event, events

BOM = b"\xef\xbb\xbf"
ODDS = (
    b": keep-alive\n\n",
    b"event: from.the.future\n\n",
    b"id: 7\nretry: 10\n\n",
    b'event: from.the.future\ndata: {"type": "from.the.future", "x": 1}\n\n',
    b"data: no JSON\n\n",
    b"data\n\n",
)
"""Events that no dialect knows: they arrive as they came."""

Make = Callable[[], Relay]


def chats(*, tail: bool = True) -> Make:
    return lambda: StreamRelay(Wants(tail=tail, running=False), running_usage=False)


def woven(whole: list[bytes]) -> list[bytes]:
    """With odd events behind the first and before the last."""
    return [whole[0], *ODDS, *whole[1:-1], *ODDS, whole[-1]]


STREAMS: dict[str, tuple[Make, list[bytes]]] = {
    "chat": (chats(), woven(events("Hel", "lo"))),
    "completions": (
        chats(),
        woven(
            [completion_chunk("Hel"), completion_chunk("lo"), completion_chunk(finish="stop"), completion_usage(), DONE]
        ),
    ),
    "responses": (ResponsesRelay, woven(response_events("Hel", "lo"))),
}
ENDS = [b"\n", b"\r\n", b"\r"]


def learned(relay: Relay) -> tuple[object, ...]:
    said = json.loads(relay.usage_raw) if relay.usage is not None else None
    return relay.done, relay.complete, relay.response_id, relay.model, relay.finish_reason, said, relay.error


def passed(make: Make, pieces: list[bytes]) -> tuple[bytes, tuple[object, ...]]:
    relay = make()
    shown = b"".join(relay.feed(piece) for piece in pieces) + relay.finish()
    return shown, learned(relay)


def lines(shown: bytes) -> bytes:
    """However lines end; what stands behind the last event's end is nothing to a reader."""
    return shown.replace(b"\r\n", b"\n").replace(b"\r", b"\n").rstrip(b"\n")


@pytest.mark.parametrize("end", ENDS, ids=repr)
@pytest.mark.parametrize("start", [b"", BOM], ids=["", "BOM"])
@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_cut_at_any_byte_is_passed_on_and_understood_as_if_whole(name: str, start: bytes, end: bytes) -> None:
    make, pieces = STREAMS[name]
    plain = b"".join(pieces)
    whole = start + plain.replace(b"\n", end)
    expected = passed(make, [plain])[1]
    assert expected[0] is True
    for cut in range(len(whole) + 1):
        shown, learned_of = passed(make, [piece for piece in (whole[:cut], whole[cut:]) if piece])
        assert lines(shown) == lines(whole)
        assert learned_of == expected
    shown, learned_of = passed(make, [whole[i : i + 1] for i in range(len(whole))])
    assert (lines(shown), learned_of) == (lines(whole), expected)


@pytest.mark.parametrize("end", ENDS, ids=repr)
def test_usage_that_nobody_asked_for_is_taken_out_wherever_the_stream_is_cut(end: bytes) -> None:
    plain = b"".join(events("Hi"))
    whole, wanted = plain.replace(b"\n", end), b"".join(events("Hi", usage=False))
    for cut in range(len(whole) + 1):
        shown, _ = passed(chats(tail=False), [piece for piece in (whole[:cut], whole[cut:]) if piece])
        read = [line for line in lines(shown).split(b"\n") if line]
        assert read == [line for line in lines(wanted).split(b"\n") if line]


FAULT = {"message": "Overloaded.", "type": "server_error", "param": None, "code": "x"}
BROKEN: dict[str, tuple[Make, bytes, bytes]] = {
    "chat": (chats(), ROLE + event(chunk("Hi")), event({"error": FAULT})),
    "completions": (chats(), completion_chunk("Hi"), event({"error": FAULT})),
    "responses": (
        ResponsesRelay,
        Script().opening() + Script().word("Hi"),
        event({"type": "response.failed", "response": response("failed", error=FAULT)}),
    ),
    "responses, an error event": (
        ResponsesRelay,
        Script().word("Hi"),
        b"event: error\n" + event({**FAULT, "type": "error"}),
    ),
}


@pytest.mark.parametrize("end", ENDS, ids=repr)
@pytest.mark.parametrize("folded", [False, True], ids=["", "many data lines"])
@pytest.mark.parametrize("name", BROKEN)
def test_a_vendors_error_is_held_back_wherever_the_stream_is_cut(name: str, folded: bool, end: bytes) -> None:
    make, before, fault = BROKEN[name]
    if folded:
        fault = fault.replace(b', "', b',\ndata: "').replace(b',"', b',\ndata: "')
    whole = (before + fault).replace(b"\n", end)
    for cut in range(len(whole) + 1):
        relay = make()
        shown = b"".join(relay.feed(piece) for piece in (whole[:cut], whole[cut:]) if piece) + relay.finish()
        assert b"Overloaded" not in shown
        assert relay.error is not None
        assert json.loads(relay.error)["error"]["message"] == "Overloaded."


def test_an_error_in_a_streams_first_event_is_seen_behind_a_byte_order_mark() -> None:
    relay = chats()()
    assert relay.feed(BOM + event({"error": FAULT})) == b""
    assert relay.error is not None
