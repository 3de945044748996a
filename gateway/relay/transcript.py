"""What a stream said, put together from its events, for tiers whose logging policy keeps content.

A chat's or a completion's deltas become one text per choice and field, with tool calls by name and arguments; of a
response, its last event holds the output already. Nothing here changes what the client is sent, and no stream breaks
for what cannot be read here: that is left out.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from gateway.relay.sse import data_of, events

STREAM_BYTES_MAX = 4 * 1024 * 1024
"""How much of a stream is looked at."""

NO_TEXTS = frozenset({"role", "tool_calls", "finish_reason"})


class Transcript:
    """Notes a stream's events as they pass."""

    __slots__ = ("_pieces", "_room")

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._room = STREAM_BYTES_MAX

    def add(self, piece: bytes) -> None:
        """More of the stream."""
        if self._room > 0:
            self._pieces.append(piece)
            self._room -= len(piece)

    def whole(self) -> bytes:
        """All that was said, as JSON; b"" if nothing was."""
        return said(b"".join(self._pieces))


def said(stream: bytes) -> bytes:
    """What the events of `stream` said together, as JSON; b"" for nothing."""
    try:
        together = _together(stream)
        return orjson.dumps(together) if together else b""
    except orjson.JSONEncodeError:
        return b""  # Nested deeper than it is written, though it was read.


def _together(stream: bytes) -> dict[str, Any]:
    choices: dict[int, dict[str, Any]] = {}
    for fields in _parsed(stream):
        response = fields.get("response")
        if isinstance(response, dict) and response.get("output"):
            return {"output": response["output"]}
        given = fields.get("choices")
        for choice in given if isinstance(given, list) else ():
            if isinstance(choice, dict):
                index = choice.get("index")
                _join(choices.setdefault(index if isinstance(index, int) else 0, {}), choice)
    return {"choices": [{**choices[index], "index": index} for index in sorted(choices)]} if choices else {}


def _parsed(stream: bytes) -> Iterator[Mapping[str, Any]]:
    for event in events(stream):
        data = data_of(event)
        if data is None or not data.startswith(b"{"):
            continue
        try:
            fields = orjson.loads(data)
        except orjson.JSONDecodeError:
            continue
        yield fields


def _join(known: dict[str, Any], choice: Mapping[str, Any]) -> None:
    delta = choice.get("delta")
    texts = {**(delta if isinstance(delta, dict) else {}), "text": choice.get("text")}
    for name, value in texts.items():
        if isinstance(value, str) and value and name not in NO_TEXTS:
            known[name] = known.get(name, "") + value
    legacy = texts.get("function_call")
    if isinstance(legacy, dict):
        _add_call(known.setdefault("function_call", {}), legacy)
    calls = texts.get("tool_calls")
    for call in calls if isinstance(calls, list) else ():
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict):
            _add_call(known.setdefault("tool_calls", {}).setdefault(str(call.get("index", 0)), {}), function)
    if isinstance(finish := choice.get("finish_reason"), str):
        known["finish_reason"] = finish


def _add_call(made: dict[str, Any], fragment: Mapping[str, Any]) -> None:
    for name in ("name", "arguments"):
        if isinstance(value := fragment.get(name), str):
            made[name] = made.get(name, "") + value
