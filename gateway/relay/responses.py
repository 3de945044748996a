"""A stream of the Responses API on its way through: typed events, the last of which names the response's end.

`response.completed`, `response.incomplete` and `response.cancelled` end it well; `response.failed` and `error` are the
vendor's own failure; a stream that ends with none of these was broken off. Usage stands in the last event alone.
"""

import re
from collections.abc import Mapping

import orjson

from gateway.errors import GatewayError
from gateway.relay.relay import Relay, text

ENDINGS = frozenset({"response.completed", "response.incomplete", "response.cancelled"})
FAILED = "response.failed"

FRAMES = frozenset({"message", "reasoning"})
"""Items that say nothing yet when they are added; any other is the model's decision to call something."""

NUMBER = re.compile(rb'"sequence_number"\s*:\s*(\d+)')


class ResponsesRelay(Relay):
    """The relay of a stream of typed events."""

    __slots__ = ("_last", "_usage_closes")

    marks = re.compile(rb'"(?:response\.(?:completed|incomplete|cancelled|failed)|error)"')
    hold_bytes_max = 4_194_304
    """The first two events repeat the request's instructions and tools."""

    def __init__(self) -> None:
        super().__init__()
        self._last = b""
        """The events that were passed on last: they hold the last sequence number the client has."""
        self._usage_closes = False

    @property
    def usage_is_final(self) -> bool:
        """The usage came with the response's end: it is the vendor's total."""
        return self._usage_closes

    @property
    def running(self) -> bool:
        """A response that the client was given, and whose end was not seen."""
        return self.open and bool(self.response_id) and not self.finish_reason

    def broken(self, error: GatewayError) -> bytes:
        """An event of `type: error` whose number follows the last one that went on."""
        last = b"".join(NUMBER.findall(self._last)[-1:])
        body = {
            "type": "error",
            "code": error.code,
            "message": error.message,
            "param": error.param,
            "sequence_number": int(last) + 1 if last else 0,
        }
        return b"event: error\ndata: " + orjson.dumps(body) + b"\n\n"

    def _pass(self, whole: bytes) -> bytes:
        shown = super()._pass(whole)
        if b'"sequence_number"' in shown:
            self._last = shown
        return shown

    def _over(self, event: bytes) -> bytes:
        return b""  # Not of this dialect; here it would make a broken stream look whole.

    def _read(self, event: bytes, payload: bytes, fields: Mapping[str, object]) -> bytes:
        kind = text(fields.get("type"))
        response = fields.get("response")
        if isinstance(response, dict):
            self._learn(payload, response)
            self._usage_closes = self.usage is not None and (kind in ENDINGS or kind == FAILED)
        if kind in ENDINGS:
            self.done = self.token_seen = True
            self.finish_reason = finish_reason(response if isinstance(response, dict) else {})
        elif fault := _fault(kind, fields):
            self.error = orjson.dumps({"error": fault})
            self.finish_reason = "failed" if kind == FAILED else ""
            self.error_event = event
            return b""
        elif not self.token_seen:
            self.token_seen = _carries(kind, fields)
        return event

    def _learn(self, payload: bytes, response: Mapping[str, object]) -> None:
        self.response_id = text(response.get("id")) or self.response_id
        self.model = text(response.get("model")) or self.model
        self.service_tier = text(response.get("service_tier")) or self.service_tier
        usage = response.get("usage")
        if isinstance(usage, dict):
            self.usage = usage
            self._usage_payload = payload


def finish_reason(response: Mapping[str, object]) -> str:
    """Why a response ended, in the words of a chat's finish_reason: the books know one vocabulary."""
    details = response.get("incomplete_details")
    reason = text(details.get("reason")) if isinstance(details, dict) else ""
    if reason:
        return "length" if reason == "max_output_tokens" else reason
    status = text(response.get("status"))
    if status not in ("", "completed"):
        return status
    output = response.get("output")
    items = output if isinstance(output, list) else []
    called = any(isinstance(item, dict) and item.get("type") in CALLS for item in items)
    return "tool_calls" if called else "stop"


CALLS = frozenset({"function_call", "custom_tool_call", "local_shell_call", "shell_call", "apply_patch_call",
                   "computer_call"})  # fmt: skip
"""Items that wait for the client's own tools."""


def _carries(kind: str, fields: Mapping[str, object]) -> bool:
    """Whether an event brings something of the answer, or shows that the model's own tools are at work."""
    if kind.endswith(".delta"):
        return bool(fields.get("delta"))
    if kind == "response.output_item.added":
        item = fields.get("item")
        return isinstance(item, dict) and item.get("type") not in FRAMES
    return kind.endswith(".done") or "_call." in kind


def _fault(kind: str, fields: Mapping[str, object]) -> Mapping[str, object] | None:
    """The vendor's error in an event, with the members that OpenAI's envelope has."""
    if kind not in (FAILED, "error", ""):
        return None
    response = fields.get("response")
    holder = response if kind == FAILED and isinstance(response, dict) else fields
    inner = holder.get("error")
    if not isinstance(inner, dict):
        if not kind:
            return None
        inner = {**holder, "type": ""}  # The `error` event has the members itself; its type is the event's.
    return {
        "message": text(inner.get("message")) or "The response failed.",
        "type": text(inner.get("type")) or "server_error",
        "param": inner.get("param"),
        "code": inner.get("code"),
    }
