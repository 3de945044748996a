"""A chat's or a completion's stream on its way through: chunks of choices, and [DONE].

Two things the client did not ask for are taken out again: the usage chunk at the tail, and usage in running chunks.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from gateway.relay.relay import Relay, text
from gateway.relay.usage import without_usage

TOKEN_FIELDS = ("content", "tool_calls", "reasoning_content", "reasoning", "refusal", "function_call", "audio")
"""The fields of a delta that carry something of the answer."""


@dataclass(frozen=True, slots=True)
class Wants:
    """What of the usage the client asked to see."""

    tail: bool
    running: bool


class StreamRelay(Relay):
    """The relay of a stream of choices."""

    __slots__ = ("_canonical", "_choices", "_finished", "_running_usage", "_usage_closes", "_wants")

    marks = re.compile(rb'"(?:usage": ?\{|finish_reason": ?"|error")')

    def __init__(self, wants: Wants, *, running_usage: bool, choices: int = 1) -> None:
        """`choices` is how many the client asked for: the answer is complete when as many have finished."""
        super().__init__()
        self._choices = choices
        self._finished: set[object] = set()
        self._wants = wants
        self._running_usage = running_usage
        self._canonical = not running_usage
        self._usage_closes = False
        """The usage stood where a total stands, and no more of the answer has come since."""

    @property
    def complete(self) -> bool:
        """Whether the stream said all it had to say."""
        return self.done or len(self._finished) >= self._choices

    @property
    def usage_is_final(self) -> bool:
        """The usage came after the answer, or with its end: it is the vendor's total."""
        return self._usage_closes and (self.complete or not self._running_usage)

    @property
    def _looks_at_all(self) -> bool:
        return not (self.token_seen and self._canonical) or self.done or self.error is not None

    def _over(self, event: bytes) -> bytes:
        self.done = True
        return event

    def _read(self, event: bytes, payload: bytes, chunk: Mapping[str, object]) -> bytes:
        if chunk.get("error"):
            self.error = payload
            self.error_event = event
            return b""
        if not self.response_id:
            self._identify(event, chunk)
        if tier := text(chunk.get("service_tier")):
            self.service_tier = tier
        self._answer(chunk)
        return self._usage(event, payload, chunk)

    def _identify(self, event: bytes, chunk: Mapping[str, object]) -> None:
        self.response_id = text(chunk.get("id"))
        self.model = text(chunk.get("model"))
        if b'" :' in event or event.count(b"\n") > 2:
            self._canonical = False  # Not as anyone's serialiser writes it: marks would miss, so look at each event.

    def _answer(self, chunk: Mapping[str, object]) -> None:
        choices = chunk.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if not isinstance(choice, dict):
                continue
            if reason := choice.get("finish_reason"):
                self.token_seen = True
                self._finished.add(choice.get("index"))
                if not self.finish_reason or choice.get("index") == 0:
                    self.finish_reason = text(reason)
            delta = choice.get("delta")
            undecided = self._usage_closes or not self.token_seen
            if undecided and (choice.get("text") or _carries(delta)):
                self.token_seen = True
                self._usage_closes = False

    def _usage(self, event: bytes, payload: bytes, chunk: Mapping[str, object]) -> bytes:
        usage = chunk.get("usage")
        if not isinstance(usage, dict):
            return event
        self.usage = usage
        self._usage_payload = payload
        self._usage_closes = self.token_seen and (not chunk.get("choices") or self.complete)
        if self._usage_closes:
            self._canonical = False  # Look at what comes behind it: if it is more of the answer, this was no total.
        if not chunk.get("choices"):
            return event if self._wants.tail else b""
        # A vendor without a tail chunk puts its total into the chunk that ends the answer.
        total_asked_for = bool(self.finish_reason) and self._wants.tail
        if not self._running_usage or self._wants.running or total_asked_for:
            return event
        return b"data: " + without_usage(payload, chunk, null=self._wants.tail) + b"\n\n"


def _carries(delta: object) -> bool:
    """Whether a delta has something of the answer in it."""
    return isinstance(delta, dict) and any(delta.get(field) for field in TOKEN_FIELDS)
