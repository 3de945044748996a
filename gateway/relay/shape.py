"""The shape that a request asks its answer to have, and what is wrong with an answer that has not got it.

A chat's `response_format` and a response's `text.format` ask for JSON, perhaps of a schema; a tool's parameters are the
schema of the arguments it is called with. An answer that is no such thing has to be made again, and its attempt says so
(`tollway.answer.fault`). It is only looked at: nothing that the client is sent changes, and of a request that asks for
no shape nothing is kept. An answer that is refused, filtered or longer than what is noted has no fault that is known.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from gateway.domain.json_schema import fits
from gateway.domain.reasons import AnswerFault
from gateway.relay.transcript import STREAM_BYTES_MAX, Transcript
from gateway.wire.body import ModelRequest
from gateway.wire.kinds import Kind

CALL_MARKS = (b"tool_calls", b"function_call")
"""An event with none of these brings no call of a tool."""
ANSWER_BYTES_MAX = STREAM_BYTES_MAX
"""A longer text is not looked at."""
FILTERED = frozenset({"content_filter"})


class Shape:
    """Of one attempt: what was asked for, and what is noted of a stream to hold against it."""

    __slots__ = ("_format", "_noted", "_request", "_transcript")

    def __init__(self, request: ModelRequest, asked: Mapping[str, Any] | None) -> None:
        self._request = request
        self._format = asked
        """The format of the text; None = any."""
        self._transcript = Transcript()
        self._noted = 0

    def add(self, shown: bytes) -> None:
        """More whole events of the stream."""
        if self._format is not None or any(mark in shown for mark in CALL_MARKS):
            self._transcript.add(shown)
            self._noted += len(shown)

    def fault(self, fields: Mapping[str, object] | None) -> AnswerFault | None:
        """What is wrong with the answer: with `fields`, or with the stream where they are None."""
        if fields is None:
            if not self._noted or self._noted > ANSWER_BYTES_MAX:
                return None
            fields = orjson.loads(self._transcript.whole() or b"{}")
        for text, calls in _messages(fields):
            fault = self._of_calls(calls) or self._of_text(text, calls)
            if fault is not None:
                return fault
        return None

    def _of_text(self, text: str | None, calls: list[Mapping[str, Any]]) -> AnswerFault | None:
        if self._format is None or text is None or calls or len(text) > ANSWER_BYTES_MAX:
            return None
        try:
            value = orjson.loads(text)
        except orjson.JSONDecodeError:
            return AnswerFault.INVALID_JSON
        if self._format["type"] == "json_object":
            return None if isinstance(value, dict) else AnswerFault.INVALID_JSON
        return None if fits(value, self._format.get("schema")) else AnswerFault.SCHEMA_MISMATCH

    def _of_calls(self, calls: list[Mapping[str, Any]]) -> AnswerFault | None:
        schemas = _parameters(self._request.fields) if calls else {}
        for call in calls:
            name, arguments = call.get("name"), call.get("arguments")
            if not isinstance(arguments, str) or name not in schemas or len(arguments) > ANSWER_BYTES_MAX:
                continue
            try:
                value = orjson.loads(arguments or "{}")  # Some vendors write no arguments as none at all.
            except orjson.JSONDecodeError:
                return AnswerFault.INVALID_ARGUMENTS
            if not isinstance(value, dict) or not fits(value, schemas[name]):
                return AnswerFault.INVALID_ARGUMENTS
        return None


def shape_of(request: ModelRequest) -> Shape | None:
    """The shape that the request asks for; None = any will do."""
    fields = request.fields
    if request.kind is Kind.CHAT:
        asked = fields.get("response_format")
    elif request.kind is Kind.RESPONSES:
        about = fields.get("text")
        asked = about.get("format") if isinstance(about, dict) else None
    else:
        return None
    known = _format(asked) if asked is not None else None
    return Shape(request, known) if known is not None or request.tool_format else None


def _format(asked: object) -> Mapping[str, Any] | None:
    """`{"type", "schema"}`, wherever the request's kind has the schema; None where any text will do."""
    if not isinstance(asked, dict) or asked.get("type") not in ("json_object", "json_schema"):
        return None
    inner = asked.get("json_schema")
    return {"type": asked["type"], "schema": (inner if isinstance(inner, dict) else asked).get("schema")}


def _parameters(fields: Mapping[str, object]) -> dict[object, object]:
    """The schemas of the tools' arguments, by the tools' names."""
    found: dict[object, object] = {}
    for name in ("tools", "functions"):
        offered = fields.get(name)
        for tool in offered if isinstance(offered, list) else ():
            if isinstance(tool, dict):
                inner = tool.get("function")
                told = inner if isinstance(inner, dict) else tool
                if isinstance(told.get("name"), str):
                    found[told["name"]] = told.get("parameters")
    return found


def _messages(fields: Mapping[str, Any]) -> Iterator[tuple[str | None, list[Mapping[str, Any]]]]:
    """Each choice's text and calls; None for the text of one that was refused or filtered."""
    choices = fields.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        if isinstance(choice, dict):
            inner = choice.get("message")
            # Of a stream the choice is the message: its texts together, its calls by their index.
            message = inner if isinstance(inner, dict) else choice
            spared = bool(message.get("refusal")) or choice.get("finish_reason") in FILTERED
            yield None if spared else _text(message.get("content")), list(_calls(message))
    output, cut = fields.get("output"), fields.get("incomplete_details")
    if isinstance(output, list) and not (isinstance(cut, dict) and cut.get("reason") in FILTERED):
        items = [item for item in output if isinstance(item, dict)]
        yield _said(items), [item for item in items if item.get("type") == "function_call"]


def _text(content: object) -> str | None:
    """ "" for none; None for what is no text."""
    return "" if content is None else content if isinstance(content, str) else None


def _calls(message: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    if isinstance(legacy := message.get("function_call"), dict):
        yield legacy
    calls = message.get("tool_calls")
    for call in calls.values() if isinstance(calls, dict) else calls if isinstance(calls, list) else ():
        inner = call.get("function", call) if isinstance(call, dict) else None
        if isinstance(inner, dict):
            yield inner


def _said(items: list[dict[str, Any]]) -> str | None:
    """A response's text; None where it was refused or there is no message."""
    parts = [
        part
        for item in items
        if item.get("type") == "message" and isinstance(item.get("content"), list)
        for part in item["content"]
        if isinstance(part, dict)
    ]
    if not parts or any(part.get("type") == "refusal" for part in parts):
        return None
    return "".join(part["text"] for part in parts if isinstance(part.get("text"), str))
