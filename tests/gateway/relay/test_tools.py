"""Tool calls as they stand in answers, streams and histories."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.limits.fuse import ToolCall
from gateway.relay import tools
from tests.gateway.fakes import DONE, ROLE, chat, chunk, event

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=3),
    max_leaves=6,
)


def tool_call(arguments: str, name: str = "search", **more: Any) -> dict[str, Any]:
    return {"id": "call_1", "type": "function", "function": {"name": name, "arguments": arguments}, **more}


def history(*calls: dict[str, Any]) -> list[ToolCall]:
    messages = [{"role": "user", "content": "Go"}, {"role": "assistant", "content": None, "tool_calls": list(calls)}]
    return tools.of_history({"messages": messages})


def streamed(*deltas: dict[str, Any], cut: int = 1) -> list[ToolCall]:
    gathered = tools.StreamedCalls()
    for delta in deltas:
        gathered.feed(ROLE + event({**chunk(), "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}))
    gathered.feed(DONE)
    return gathered.calls()


@given(values, st.sampled_from([None, 2]))
def test_equal_arguments_are_equal_however_they_are_written(value: Any, indent: int | None) -> None:
    plain, other = json.dumps({"q": value, "n": 1}), json.dumps({"n": 1, "q": value}, indent=indent, ensure_ascii=False)
    assert history(tool_call(plain)) == history(tool_call(other))


def test_another_tool_or_another_argument_is_another_call() -> None:
    calls = history(tool_call('{"q":1}'), tool_call('{"q":2}'), tool_call('{"q":1}', name="read"), tool_call("{q"))
    assert len(set(calls)) == 4


@given(values, st.integers(1, 7))
def test_a_streamed_call_is_the_call_of_the_whole_answer(value: Any, size: int) -> None:
    arguments = json.dumps({"q": value})
    pieces = [arguments[i : i + size] for i in range(0, len(arguments), size)]
    deltas = [{"tool_calls": [{"index": 0, **tool_call("")}]}]
    deltas += [{"tool_calls": [{"index": 0, "function": {"arguments": piece}}]} for piece in pieces]
    message = {"role": "assistant", "tool_calls": [tool_call(arguments)]}
    whole = chat(choices=[{"index": 0, "message": message, "finish_reason": "tool_calls"}])
    assert streamed(*deltas) == tools.of_answer(json.dumps(whole).encode()) == history(tool_call(arguments))


def test_parallel_calls_are_kept_apart_by_choice_and_index() -> None:
    first = {"tool_calls": [{"index": i, **tool_call("{}", name=f"t{i}")} for i in (0, 1)]}
    more = {"tool_calls": [{"index": 1, "function": {"arguments": ""}}]}
    assert [call.name for call in streamed(first, more)] == ["t0", "t1"]


def test_the_old_function_call_and_a_custom_tool_count_too() -> None:
    old = tools.of_history({"messages": [{"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}}]})
    custom = history({"id": "c", "type": "custom", "custom": {"name": "f", "input": "{}"}})
    assert (
        old == custom == streamed({"function_call": {"name": "f", "arguments": "{}"}}) == history(tool_call("{}", "f"))
    )


def test_items_of_the_responses_api_are_calls() -> None:
    item = {"type": "function_call", "call_id": "c", "name": "search", "arguments": '{"q": 1}'}
    gathered = tools.StreamedCalls()
    gathered.feed(b"event: x\n" + event({"type": "response.output_item.done", "item": item}))
    asked = tools.of_history({"input": [{"role": "user", "content": "Go"}, item]})
    answered = tools.of_answer(json.dumps({"object": "response", "output": [{"type": "message"}, item]}).encode())
    assert gathered.calls() == asked == answered == history(tool_call('{"q":1}'))


@given(st.binary(max_size=200) | values.map(lambda value: json.dumps({"choices": value, "tool_calls": value}).encode()))
def test_nothing_an_upstream_sends_is_a_fault(body: bytes) -> None:
    assert tools.of_answer(body) == []
    gathered = tools.StreamedCalls()
    gathered.feed(b"data: " + body + b"\n\n")
    assert gathered.calls() == []


@given(values)
def test_nothing_in_a_streamed_call_is_a_fault(value: Any) -> None:
    streamed({"tool_calls": [{"index": value, "function": {"name": value, "arguments": value}}, value]})


def test_arguments_too_deep_to_be_written_again_are_compared_as_they_stand() -> None:
    deep = "[" * 500 + "]" * 500
    assert history(tool_call(deep)) == history(tool_call(deep)) != history(tool_call(deep + " "))


@given(values, values)
def test_nothing_a_client_sends_is_a_fault(messages: Any, call: Any) -> None:
    tools.of_history({"messages": messages, "input": messages})
    tools.of_history({"messages": [{"tool_calls": [{"function": {"name": call, "arguments": call}}, call]}]})
