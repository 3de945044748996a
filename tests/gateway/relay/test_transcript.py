"""What a stream said is put together whole, and nothing that a vendor sends breaks it."""

import orjson
from hypothesis import given
from hypothesis import strategies as st

from gateway.relay.transcript import STREAM_BYTES_MAX, Transcript, said
from tests.gateway.fakes import DONE, ROLE, chunk, event, events


def test_the_words_of_each_choice_are_joined_with_how_it_ended() -> None:
    second = chunk("Hola")
    second["choices"][0]["index"] = 1
    stream = b"".join([event(second), *events("Hel", "lo")])
    assert orjson.loads(said(stream)) == {
        "choices": [{"content": "Hello", "finish_reason": "stop", "index": 0}, {"content": "Hola", "index": 1}]
    }


def test_tool_calls_are_joined_by_name_and_arguments() -> None:
    def call(**function: str) -> bytes:
        made = chunk()
        made["choices"][0]["delta"] = {"tool_calls": [{"index": 0, "function": function}]}
        return event(made)

    stream = ROLE + call(name="look", arguments='{"a"') + call(arguments=":1}") + DONE
    (choice,) = orjson.loads(said(stream))["choices"]
    assert choice["tool_calls"] == {"0": {"name": "look", "arguments": '{"a":1}'}}


def test_a_completions_texts_are_joined() -> None:
    pieces = [event({"choices": [{"index": 0, "text": word, "finish_reason": None}]}) for word in ("One", " two")]
    assert orjson.loads(said(b"".join(pieces))) == {"choices": [{"index": 0, "text": "One two"}]}


def test_of_a_response_the_last_events_output_is_taken() -> None:
    output = [{"type": "message", "content": [{"type": "output_text", "text": "Hi"}]}]
    stream = event({"type": "response.created", "response": {"output": []}})
    stream += event({"type": "response.completed", "response": {"output": output}})
    assert orjson.loads(said(stream)) == {"output": output}


def test_it_holds_no_more_than_its_bound() -> None:
    transcript = Transcript()
    piece = event(chunk("x" * 1_000_000))
    for _ in range(20):
        transcript.add(piece)
    assert len(transcript.whole()) <= STREAM_BYTES_MAX + len(piece)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["choices", "delta", "index", "tool_calls", "function", "name", "response", "output", "text"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=25,
)


def test_what_is_nested_too_deep_and_what_changes_its_kind_is_left_out() -> None:
    deep = b'{"response": {"output": ' + b"[" * 400 + b"]" * 400 + b"}}"
    assert said(b"data: " + deep + b"\n\n") == b""
    calls = ["text", [{"index": 0, "function": {"name": "look"}}], "text"]
    pieces = [event({"choices": [{"index": 0, "delta": {"tool_calls": call}}]}) for call in calls]
    assert b"look" in said(b"".join(pieces))


@given(st.lists(json_values, max_size=5), st.binary(max_size=30))
def test_nothing_breaks_it(said_by_vendor: list[object], noise: bytes) -> None:
    stream = b"".join(b"data: " + orjson.dumps(value) + b"\n\n" for value in said_by_vendor)
    assert isinstance(said(stream + noise + b"\n\n"), bytes)
