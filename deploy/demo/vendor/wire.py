"""OpenAI's chat wire, as bytes: whole answers, chunks of streams, errors. Nothing here waits, counts or charges."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from deploy.demo.vendor.ask import Ask
from deploy.demo.vendor.words import answer_word

DONE = b"data: [DONE]\n\n"
FINGERPRINT = "fp_simulated"


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer in the making: the request, how it is named, and what its prompt came to."""

    ask: Ask
    response_id: str
    created: int
    model: str
    """The snapshot that answers."""
    cached: int
    """Prompt tokens that the cache had."""

    def usage(self, generated: int) -> dict[str, Any]:
        """The usage after `generated` tokens of output, over all choices."""
        prompt = len(self.ask.prompt)
        return {
            "prompt_tokens": prompt,
            "completion_tokens": generated,
            "total_tokens": prompt + generated,
            "prompt_tokens_details": {"cached_tokens": self.cached, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
        }

    @property
    def finish_reason(self) -> str:
        """The simulated model always ends its thought in exactly the tokens it was given."""
        return "tool_calls" if self.ask.tools else "stop"

    def whole(self) -> bytes:
        """The body of an answer that is not streamed."""
        choices = [
            {"index": index, "message": self._message(), "logprobs": None, "finish_reason": self.finish_reason}
            for index in range(self.ask.choices)
        ]
        usage = self.usage(self.ask.words * self.ask.choices)
        return orjson.dumps({**self._head("chat.completion"), "choices": choices, "usage": usage})

    def opening(self) -> bytes:
        """The chunk that names the role and has no token yet, hence no running usage either."""
        delta = {"role": "assistant", "content": None if self.ask.tools else "", "refusal": None}
        return b"".join(self._chunk(index, delta, None) for index in range(self.ask.choices))

    def step(self, number: int) -> bytes:
        """The chunks of one token more in each choice; `number` counts from 0."""
        delta = self._delta(number)
        return b"".join(
            self._chunk(
                index, delta, self.usage(number * self.ask.choices + index + 1) if self.ask.running_usage else None
            )
            for index in range(self.ask.choices)
        )

    def ending(self) -> bytes:
        """The finish of each choice, the usage if it was asked for, and the end mark."""
        running = self.usage(self.ask.words * self.ask.choices) if self.ask.running_usage else None
        pieces = [self._chunk(index, {}, running, self.finish_reason) for index in range(self.ask.choices)]
        if self.ask.include_usage:
            usage = self.usage(self.ask.words * self.ask.choices)
            pieces.append(_event({**self._head("chat.completion.chunk"), "choices": [], "usage": usage}))
        return b"".join((*pieces, DONE))

    def _head(self, kind: str) -> dict[str, Any]:
        return {
            "id": self.response_id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "service_tier": "default",
            "system_fingerprint": FINGERPRINT,
        }

    def _chunk(self, index: int, delta: Mapping[str, Any], usage: Any, finish: str | None = None) -> bytes:
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
        chunk = {**self._head("chat.completion.chunk"), "choices": [choice]}
        if self.ask.include_usage:
            chunk["usage"] = usage
        return _event(chunk)

    def _delta(self, number: int) -> dict[str, Any]:
        if not self.ask.tools:
            return {"content": self._word(number)}
        call, step, last = self._call_step(number)
        name = self.ask.tools[call]
        piece = _arguments_piece(step, last, self._word(number).strip())
        if step:
            return {"tool_calls": [{"index": call, "function": {"arguments": piece}}]}
        function = {"name": name, "arguments": piece}
        return {"tool_calls": [{"index": call, "id": self._call_id(call), "type": "function", "function": function}]}

    def _call_step(self, number: int) -> tuple[int, int, bool]:
        """Which call a token belongs to (they take turns), its place in that call, and whether it ends the call."""
        calls = len(self.ask.tools)
        return number % calls, number // calls, number + calls >= self.ask.words

    def _message(self) -> dict[str, Any]:
        if not self.ask.tools:
            text = "".join(self._word(number) for number in range(self.ask.words))
            return {"role": "assistant", "content": text, "refusal": None}
        calls = []
        for call, name in enumerate(self.ask.tools):
            steps = [n for n in range(self.ask.words) if n % len(self.ask.tools) == call]
            arguments = "".join(_arguments_piece(*self._call_step(n)[1:], self._word(n).strip()) for n in steps)
            function = {"name": name, "arguments": arguments}
            calls.append({"id": self._call_id(call), "type": "function", "function": function})
        return {"role": "assistant", "content": None, "tool_calls": calls, "refusal": None}

    def _call_id(self, call: int) -> str:
        return f"call_{self.response_id.removeprefix('chatcmpl-')}_{call}"

    def _word(self, number: int) -> str:
        return answer_word(self.created, number) + ("" if number + 1 == self.ask.words else " ")


def _arguments_piece(step: int, last: bool, word: str) -> str:
    """One token's worth of a call's JSON arguments: the pieces of a call, joined, are an object."""
    if step == 0:
        return "{}" if last else '{"text": "'
    return f'{word}"}}' if last else f"{word} "


def _event(chunk: Mapping[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(chunk) + b"\n\n"


def error_body(message: str, *, kind: str, param: str | None = None, code: str | None = None) -> bytes:
    """OpenAI's error object."""
    return orjson.dumps({"error": {"message": message, "type": kind, "param": param, "code": code}})
