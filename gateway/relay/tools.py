"""The tool calls in an answer, in a stream and in the history that a request brings, so that equal ones can be told.

Two calls are equal when they name the same tool and their arguments are the same JSON, however it is written. What is
no JSON is compared as it stands. A stream is looked at beside its relay, only where a tier's fuse counts tool calls.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import orjson

from gateway.limits.fuse import ToolCall
from gateway.relay.sse import data_of, events

MARKS = (b"tool_calls", b"function_call", b"custom_tool_call")
"""An event with none of these brings no tool call."""
ARGUMENTS_BYTES_MAX = 1_048_576
"""Of a streamed call's arguments as much is kept; what is longer is compared by its start."""


def of_answer(body: bytes) -> list[ToolCall]:
    """The calls that a whole answer makes (chat or responses)."""
    fields = _parsed(body) if any(mark in body for mark in MARKS) else None
    if fields is None:
        return []
    calls = [call for choice in _mappings(fields.get("choices")) for call in _of_message(choice.get("message"))]
    return calls + list(_of_items(fields.get("output")))


def of_history(fields: Mapping[str, object]) -> list[ToolCall]:
    """The calls in the messages (chat) or the input items (responses) of a request, oldest first."""
    calls = [call for message in _mappings(fields.get("messages")) for call in _of_message(message)]
    return calls + list(_of_items(fields.get("input")))


class StreamedCalls:
    """Gathers the calls of one stream from the whole events that went to the client."""

    __slots__ = ("_open", "_whole")

    def __init__(self) -> None:
        self._open: dict[tuple[str, str], _Fragments] = {}
        self._whole: list[ToolCall] = []

    def feed(self, passed: bytes) -> None:
        """Take in a run of whole events."""
        if not any(mark in passed for mark in MARKS):
            return
        for event in events(passed):
            payload = data_of(event)
            if payload is None:
                continue
            chunk = _parsed(payload)
            if chunk is not None:
                self._take(chunk)

    def calls(self) -> list[ToolCall]:
        """All calls, once the stream has ended."""
        return self._whole + [_call(part.name, "".join(part.arguments)) for part in self._open.values()]

    def _take(self, chunk: Mapping[str, object]) -> None:
        if chunk.get("type") == "response.output_item.done":
            self._whole += _of_items([chunk.get("item")])
        for choice in _mappings(chunk.get("choices")):
            delta = choice.get("delta")
            if not isinstance(delta, Mapping):
                continue
            if isinstance(legacy := delta.get("function_call"), Mapping):
                self._fragment((str(choice.get("index")), "function_call"), legacy)
            for call in _mappings(delta.get("tool_calls")):
                inner = call.get("function") or call.get("custom")
                if isinstance(inner, Mapping):
                    self._fragment((str(choice.get("index")), str(call.get("index", call.get("id")))), inner)

    def _fragment(self, key: tuple[str, str], inner: Mapping[str, object]) -> None:
        part = self._open.setdefault(key, _Fragments("", [], 0))
        part.name = part.name or _text(inner.get("name"))
        more = _text(inner.get("arguments")) or _text(inner.get("input"))
        if part.size < ARGUMENTS_BYTES_MAX:
            part.arguments.append(more)
            part.size += len(more)


@dataclass(slots=True)
class _Fragments:
    """What came of one streamed call."""

    name: str
    arguments: list[str]
    size: int


def _of_message(message: object) -> Iterator[ToolCall]:
    if not isinstance(message, Mapping):
        return
    if isinstance(legacy := message.get("function_call"), Mapping):
        yield _call(_text(legacy.get("name")), legacy.get("arguments"))
    for call in _mappings(message.get("tool_calls")):
        inner = call.get("function") or call.get("custom")
        if isinstance(inner, Mapping):
            yield _call(_text(inner.get("name")), inner.get("arguments", inner.get("input")))


def _of_items(items: object) -> Iterator[ToolCall]:
    for item in _mappings(items):
        if item.get("type") in ("function_call", "custom_tool_call"):
            yield _call(_text(item.get("name")), item.get("arguments", item.get("input")))


def _call(name: str, arguments: object) -> ToolCall:
    parsed = arguments
    if isinstance(arguments, str):
        try:
            parsed = orjson.loads(arguments)
        except orjson.JSONDecodeError:
            parsed = arguments
    try:
        canonical = orjson.dumps(parsed, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:  # Nested deeper than can be written again.
        canonical = _text(arguments).encode()
    return ToolCall(name, hashlib.blake2b(canonical, digest_size=16).digest())


def _parsed(text: bytes) -> Mapping[str, object] | None:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None


def _mappings(value: object) -> Iterator[Mapping[str, object]]:
    for item in value if isinstance(value, list) else ():
        if isinstance(item, Mapping):
            yield item


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
