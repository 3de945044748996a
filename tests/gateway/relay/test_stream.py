"""A chat stream on its way through: what goes on, when, and what is learned."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.relay.stream import StreamRelay, Wants
from tests.gateway.dialects import completion_chunk, completion_usage
from tests.gateway.fakes import DONE, ROLE, chunk, event, events, usage_chunk

NOTHING = Wants(tail=False, running=False)
TAIL = Wants(tail=True, running=False)
RUNNING = Wants(tail=True, running=True)
SOME = {"prompt_tokens": 10, "completion_tokens": 1}


def relay(wants: Wants = NOTHING, *, running_usage: bool = False) -> StreamRelay:
    return StreamRelay(wants, running_usage=running_usage)


def delta(**fields: Any) -> bytes:
    return event({**chunk(), "choices": [{"index": 0, "delta": fields, "finish_reason": None}]})


def test_nothing_goes_on_before_the_first_real_token_and_then_all_of_it() -> None:
    passing = relay()
    assert passing.feed(ROLE) == b""
    assert not passing.open
    word = event(chunk("Hi"))
    assert passing.feed(word) == ROLE + word
    assert passing.open
    assert passing.token_seen
    assert passing.feed(word) == word


TOKENS = [
    {"content": "x"},
    {"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": ""}}]},
    {"reasoning_content": "x"},
    {"reasoning": "x"},
    {"refusal": "x"},
    {"function_call": {"name": "f"}},
]


@pytest.mark.parametrize("fields", TOKENS, ids=lambda fields: next(iter(fields)))
def test_a_token_is_whatever_carries_some_of_the_answer(fields: dict[str, Any]) -> None:
    passing = relay()
    assert passing.feed(delta(**fields)) != b""
    assert passing.token_seen


@pytest.mark.parametrize("fields", [{"role": "assistant"}, {"content": ""}, {"content": None}, {"tool_calls": []}, {}])
def test_a_delta_that_carries_nothing_is_no_token(fields: dict[str, Any]) -> None:
    assert relay().feed(delta(**fields)) == b""


def test_a_finish_without_a_word_opens_the_stream_too() -> None:
    passing = relay()
    finish = event(chunk(finish="content_filter"))
    assert passing.feed(finish) == finish
    assert passing.finish_reason == "content_filter"


def test_a_stream_that_brings_much_and_no_token_is_not_held_for_ever() -> None:
    passing = relay()
    comment = b": " + b"x" * 1000 + b"\n\n"
    held = b"".join(comment for _ in range(StreamRelay.hold_bytes_max // len(comment)))
    assert passing.feed(held) == b""
    assert passing.feed(comment) == held + comment
    assert not passing.token_seen


def test_the_usage_chunk_is_for_who_asked() -> None:
    sent = events("Hi")
    assert relay().feed(b"".join(sent)) == b"".join([*sent[:-2], DONE])
    assert relay(TAIL).feed(b"".join(sent)) == b"".join(sent)


def test_a_chunk_without_choices_or_usage_is_not_taken_for_one() -> None:
    prompt_filter = event({**chunk(), "choices": [], "prompt_filter_results": []})
    sent = [prompt_filter, *events("Hi", usage=False)]
    assert relay().feed(b"".join(sent)) == b"".join(sent)


def test_usage_of_null_changes_nothing() -> None:
    passing = relay()
    passing.feed(event(chunk("Hi", usage=None)))
    word = event(chunk("Hi", usage=None))
    assert passing.feed(word) == word
    assert passing.usage is None


def test_the_tails_usage_is_final_and_anothers_is_not() -> None:
    passing = relay()
    passing.feed(event(chunk("Hi", usage=SOME)))
    assert (passing.usage, passing.usage_is_final) == (SOME, False)
    passing.feed(event(usage_chunk(10, 7)))
    assert passing.usage is not None
    assert (passing.usage["completion_tokens"], passing.usage_is_final) == (7, True)
    assert json.loads(passing.usage_raw) == passing.usage


def test_running_usage_without_choices_is_final_only_once_the_answer_is_complete() -> None:
    passing = relay(running_usage=True)
    passing.feed(event(chunk("Hi")) + event(usage_chunk(10, 1)))
    assert not passing.usage_is_final
    passing.feed(event(chunk("more")))
    passing.feed(event(chunk(finish="stop")))
    assert not passing.usage_is_final
    passing.feed(event(usage_chunk(10, 2)))
    assert passing.usage_is_final


def test_usage_right_before_done_is_final_even_if_nothing_was_said_to_finish() -> None:
    passing = relay(running_usage=True)
    passing.feed(event(chunk("Hi")) + event(usage_chunk(10, 1)) + DONE)
    assert passing.usage_is_final


@pytest.mark.parametrize("running_usage", [False, True])
def test_usage_is_not_final_once_more_of_the_answer_comes_behind_it(running_usage: bool) -> None:
    passing = relay(running_usage=running_usage)
    passing.feed(event(chunk("Hi")) + event(usage_chunk(10, 1)))
    passing.feed(event(chunk("more")))
    passing.feed(event(chunk(finish="stop")) + DONE)
    assert passing.complete
    assert not passing.usage_is_final


def test_usage_that_comes_with_the_end_of_all_choices_is_final() -> None:
    passing = StreamRelay(NOTHING, running_usage=True, choices=2)

    def finish(index: int) -> bytes:
        return event({**chunk(), "choices": [{"index": index, "delta": {}, "finish_reason": "stop"}], "usage": SOME})

    passing.feed(finish(1))
    assert (passing.usage_is_final, passing.complete) == (False, False)
    passing.feed(finish(0))
    assert (passing.usage_is_final, passing.complete) == (True, True)


@pytest.mark.parametrize(
    ("wants", "shown"),
    [(NOTHING, event(chunk("Hi"))), (TAIL, event(chunk("Hi", usage=None))), (RUNNING, event(chunk("Hi", usage=SOME)))],
)
def test_running_usage_is_for_who_asked(wants: Wants, shown: bytes) -> None:
    assert relay(wants, running_usage=True).feed(event(chunk("Hi", usage=SOME))) == shown


def test_a_total_in_the_finishing_chunk_is_left_to_who_asked_for_a_total() -> None:
    passing = relay(TAIL, running_usage=True)
    passing.feed(event(chunk("Hi", usage=SOME)))
    finish = event(chunk(finish="stop", usage=SOME))
    assert passing.feed(finish) == finish


def test_the_answer_names_itself_once() -> None:
    passing = relay()
    passing.feed(b"".join(events("Hi")))
    assert (passing.response_id, passing.model, passing.finish_reason) == (
        "chatcmpl-1",
        "gpt-4o-mini-2024-07-18",
        "stop",
    )
    assert passing.done
    assert passing.complete


def test_an_error_in_band_is_kept_and_nothing_follows_it() -> None:
    passing = relay()
    passing.feed(event(chunk("Hi")))
    broken = event({"error": {"message": "overloaded", "code": 503}})
    assert passing.feed(broken + event(chunk("more"))) == b""
    assert passing.error_event == broken
    assert passing.error is not None
    assert json.loads(passing.error)["error"]["code"] == 503
    assert passing.feed(event(chunk("more"))) == b""


def test_an_error_before_the_first_token_shows_nothing() -> None:
    passing = relay()
    assert passing.feed(ROLE + event({"error": {"message": "overloaded"}})) == b""
    assert passing.error is not None
    assert not passing.open


def test_nothing_goes_on_behind_done() -> None:
    passing = relay()
    assert passing.feed(event(chunk("Hi")) + DONE + event(chunk("more"))) == event(chunk("Hi")) + DONE
    assert passing.feed(event(chunk("more"))) == b""


def test_the_streams_end_completes_an_event_that_lacks_its_blank_line() -> None:
    passing = relay()
    assert passing.feed(event(chunk("Hi")) + b"data: [DONE]\n") == event(chunk("Hi"))
    assert passing.finish() == b"data: [DONE]\n"
    assert passing.done


def test_text_that_looks_like_a_mark_is_only_text() -> None:
    passing = relay()
    passing.feed(event(chunk("Hi")))
    word = event(chunk('"usage":{"x":1} "error" data: [DONE] "finish_reason":"stop"'))
    assert passing.feed(word) == word
    assert not passing.done
    assert passing.usage is None
    assert passing.error is None
    assert passing.finish_reason == ""


STYLES = [(",", ":"), (", ", ": "), (" , ", " : ")]


@pytest.mark.parametrize("separators", STYLES)
def test_usage_is_found_however_a_vendor_spaces_its_json(separators: tuple[str, str]) -> None:
    texts = [chunk("Hi"), chunk("Hi"), chunk(finish="stop"), usage_chunk(10, 2)]
    sent = [f"data: {json.dumps(text, separators=separators)}\n\n".encode() for text in texts]
    passing = relay()
    shown = b"".join(passing.feed(piece) for piece in [*sent, DONE])
    assert shown == b"".join([*sent[:-1], DONE])
    assert passing.usage is not None
    assert passing.usage["completion_tokens"] == 2
    assert passing.finish_reason == "stop"


@given(st.lists(st.text(min_size=1, max_size=6), min_size=1, max_size=6), st.data(), st.sampled_from([NOTHING, TAIL]))
def test_how_a_stream_was_cut_up_changes_nothing(words: list[str], data: st.DataObject, wants: Wants) -> None:
    whole = b"".join(events(*words))
    at_once = relay(wants)
    expected = at_once.feed(whole) + at_once.finish()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=10)))
    passing = relay(wants)
    shown = [passing.feed(whole[a:b]) for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True) if a < b]
    assert b"".join(shown) + passing.finish() == expected
    assert (passing.usage, passing.finish_reason, passing.done) == (at_once.usage, at_once.finish_reason, True)


def test_a_completions_text_is_its_token() -> None:
    passing = relay()
    assert passing.feed(completion_chunk("")) == b""
    word = completion_chunk("Hi")
    assert passing.feed(word) == completion_chunk("") + word
    assert passing.feed(completion_chunk(finish="length") + completion_usage() + DONE) == (
        completion_chunk(finish="length") + DONE
    )
    assert (passing.finish_reason, passing.usage_is_final, passing.response_id) == ("length", True, "cmpl-1")


def test_the_service_tier_is_the_one_the_vendor_named_last() -> None:
    passing = relay()
    passing.feed(event(chunk("Hi", service_tier="auto")) + event(chunk(finish="stop", service_tier="flex")))
    assert passing.service_tier == "flex"
