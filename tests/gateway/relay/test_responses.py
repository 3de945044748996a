"""A stream of the Responses API on its way through: what goes on, when, and what is learned."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import StreamBroken
from gateway.relay.responses import ResponsesRelay
from tests.gateway.dialects import RESPONSES_USAGE, Script, response, response_events
from tests.gateway.fakes import DONE


def test_nothing_goes_on_before_the_first_real_token_and_then_all_of_it() -> None:
    script, passing = Script(), ResponsesRelay()
    opening = script.opening()
    assert passing.feed(opening) == b""
    word = script.word("Hi")
    assert passing.feed(word) == opening + word
    more = script.word("more")
    assert passing.feed(more) == more


CALL = {"id": "fc_1", "type": "function_call", "name": "weather", "arguments": "", "call_id": "c"}
TOKENS: list[tuple[str, dict[str, Any]]] = [
    ("response.output_text.delta", {"delta": "x"}),
    ("response.refusal.delta", {"delta": "x"}),
    ("response.function_call_arguments.delta", {"delta": "{"}),
    ("response.custom_tool_call_input.delta", {"delta": "x"}),
    ("response.reasoning_text.delta", {"delta": "x"}),
    ("response.reasoning_summary_text.delta", {"delta": "x"}),
    ("response.output_item.added", {"item": CALL}),
    ("response.output_item.done", {"item": CALL}),
    ("response.web_search_call.in_progress", {"item_id": "ws_1"}),
    ("response.mcp_call.in_progress", {"item_id": "mcp_1"}),
    ("response.image_generation_call.partial_image", {"partial_image_b64": "x"}),
    ("response.from_the_future.delta", {"delta": {"a": 1}}),
]


@pytest.mark.parametrize(("kind", "fields"), TOKENS, ids=lambda value: value if isinstance(value, str) else "")
def test_a_token_is_whatever_carries_some_of_the_answer(kind: str, fields: dict[str, Any]) -> None:
    passing = ResponsesRelay()
    token = Script()(kind, **fields)
    assert passing.feed(token) == token
    assert passing.token_seen


FRAMES: list[tuple[str, dict[str, Any]]] = [
    ("response.queued", {"response": response("queued")}),
    ("response.output_text.delta", {"delta": ""}),
    ("response.output_item.added", {"item": {"type": "reasoning", "summary": []}}),
    ("response.reasoning_summary_part.added", {"part": {"text": ""}}),
    ("response.from_the_future", {"x": 1}),
    ("keepalive", {}),
]


@pytest.mark.parametrize(("kind", "fields"), FRAMES, ids=lambda value: value if isinstance(value, str) else "")
def test_what_only_frames_an_answer_is_no_token(kind: str, fields: dict[str, Any]) -> None:
    assert ResponsesRelay().feed(Script()(kind, **fields)) == b""


def test_the_last_event_ends_it_and_brings_the_usage() -> None:
    sent = b"".join(response_events("Hel", "lo"))
    passing = ResponsesRelay()
    assert passing.feed(sent) == sent
    assert (passing.done, passing.complete, passing.usage_is_final) == (True, True, True)
    assert passing.usage == RESPONSES_USAGE
    assert json.loads(passing.usage_raw) == RESPONSES_USAGE
    assert (passing.response_id, passing.model) == ("resp_1", "gpt-4o-mini-2024-07-18")
    assert (passing.finish_reason, passing.service_tier) == ("stop", "default")


def test_nothing_goes_on_behind_the_last_event() -> None:
    passing = ResponsesRelay()
    sent = b"".join(response_events("Hi"))
    assert passing.feed(sent + DONE + Script().word("more")) == sent
    assert passing.feed(Script().word("more")) == b""


def test_done_is_no_end_of_a_response() -> None:
    script, passing = Script(), ResponsesRelay()
    sent = script.opening() + script.word("Hi")
    assert passing.feed(sent + DONE) == sent
    assert not passing.complete


def test_a_response_cut_short_by_its_bound_has_ended_well() -> None:
    script, passing = Script(), ResponsesRelay()
    sent = script.word("Hi") + script.ending("response.incomplete", incomplete_details={"reason": "max_output_tokens"})
    assert passing.feed(sent) == sent
    assert (passing.complete, passing.finish_reason, passing.usage_is_final) == (True, "length", True)


def test_an_end_without_a_word_opens_the_stream_too() -> None:
    script, passing = Script(), ResponsesRelay()
    sent = script.opening() + script.ending()
    assert passing.feed(sent) == sent


FAULT = {"code": "rate_limit_exceeded", "message": "Slow down."}
FAULTS: list[tuple[str, dict[str, Any]]] = [
    ("error", {**FAULT, "param": None}),
    ("error", {"error": FAULT}),
    ("response.failed", {"response": response("failed", error=FAULT)}),
]


@pytest.mark.parametrize(("kind", "fields"), FAULTS, ids=["error", "nested error", "failed"])
@pytest.mark.parametrize("begun", [True, False])
def test_the_vendors_failure_is_kept_in_one_envelope_and_nothing_follows_it(
    kind: str, fields: dict[str, Any], begun: bool
) -> None:
    script, passing = Script(), ResponsesRelay()
    opening = script.opening() + (script.word("Hi") if begun else b"")
    assert passing.feed(opening) == (opening if begun else b"")
    broken = script(kind, **fields)
    assert passing.feed(broken + script.word("more")) == b""
    assert passing.error_event == broken
    assert passing.error is not None
    assert json.loads(passing.error) == {"error": {**FAULT, "type": "server_error", "param": None}}
    assert (passing.open, passing.complete) == (begun, False)


def test_a_chat_like_error_is_one_too() -> None:
    passing = ResponsesRelay()
    assert passing.feed(b'data: {"error":{"message":"overloaded","type":"t","code":503}}\n\n') == b""
    assert passing.error is not None
    assert json.loads(passing.error)["error"] == {"message": "overloaded", "type": "t", "param": None, "code": 503}


def test_a_failure_that_says_nothing_is_one_all_the_same() -> None:
    passing = ResponsesRelay()
    assert passing.feed(Script()("response.failed", response=response("failed"))) == b""
    assert passing.error is not None


def test_the_usage_of_a_failed_response_is_the_vendors_total() -> None:
    passing = ResponsesRelay()
    passing.feed(Script()("response.failed", response=response("failed", usage=RESPONSES_USAGE)))
    assert (passing.usage, passing.usage_is_final) == (RESPONSES_USAGE, True)


def test_text_that_looks_like_an_ending_is_only_text() -> None:
    script, passing = Script(), ResponsesRelay()
    passing.feed(script.word("Hi"))
    word = script.word('{"type":"response.completed"} "error" "response.failed" data: [DONE]')
    assert passing.feed(word) == word
    assert not passing.done
    assert passing.error is None


def test_our_own_end_in_band_takes_the_next_number() -> None:
    script, passing = Script(), ResponsesRelay()
    passing.feed(script.opening() + script.word("Hi"))
    passing.feed(script.word('a trap: "sequence_number":99') + b": a comment\n\n")
    passing.feed(b": another\n\n")
    lines = passing.broken(StreamBroken("It broke.")).decode().split("\n")
    assert lines[0] == "event: error"
    assert json.loads(lines[1].removeprefix("data: ")) == {
        "type": "error", "code": "stream_broken", "message": "It broke.", "param": None,
        "sequence_number": script.number,
    }  # fmt: skip
    assert lines[2:] == ["", ""]


STYLES = [(",", ":"), (", ", ": "), (" , ", " : ")]


@pytest.mark.parametrize("separators", STYLES)
def test_the_end_is_found_however_a_vendor_spaces_its_json(separators: tuple[str, str]) -> None:
    passing = ResponsesRelay()
    script = Script()
    script_fields = [("response.output_text.delta", {"delta": "x"}), ("response.completed", {"response": response()})]
    for kind, fields in script_fields:
        text = json.dumps({"type": kind, "sequence_number": script.number, **fields}, separators=separators)
        passing.feed(f"data: {text}\r\n\r\n".encode())
    assert (passing.done, passing.usage) == (True, RESPONSES_USAGE)


@given(st.lists(st.text(min_size=1, max_size=6), min_size=1, max_size=5), st.data())
def test_how_a_stream_was_cut_up_changes_nothing(words: list[str], data: st.DataObject) -> None:
    whole = b"".join(response_events(*words))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=10)))
    passing = ResponsesRelay()
    shown = [passing.feed(whole[a:b]) for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True) if a < b]
    assert b"".join(shown) + passing.finish() == whole
    assert (passing.usage, passing.done) == (RESPONSES_USAGE, True)
