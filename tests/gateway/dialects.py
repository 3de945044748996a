"""What vendors answer to completions, embeddings and responses, whole and streamed, as OpenAI writes it."""

import json
from typing import Any

from tests.gateway.fakes import event

RESPONSES_USAGE = {
    "input_tokens": 10,
    "input_tokens_details": {"cached_tokens": 4},
    "output_tokens": 5,
    "output_tokens_details": {"reasoning_tokens": 2},
    "total_tokens": 15,
}


def completion(text: str = "Hello.", **more: Any) -> dict[str, Any]:
    """A whole completion."""
    return {
        "id": "cmpl-1",
        "object": "text_completion",
        "created": 1,
        "model": "gpt-3.5-turbo-instruct",
        "choices": [{"index": 0, "text": text, "logprobs": None, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 4, "completion_tokens": 2, "total_tokens": 6},
        **more,
    }


def completion_chunk(text: str = "", *, index: int = 0, finish: str | None = None) -> bytes:
    """One event of a streamed completion."""
    choice = {"index": index, "text": text, "logprobs": None, "finish_reason": finish}
    base = {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "gpt-3.5-turbo-instruct"}
    return event({**base, "choices": [choice]})


def completion_usage(prompt: int = 4, output: int = 2) -> bytes:
    """The event at the tail of a streamed completion."""
    usage = {"prompt_tokens": prompt, "completion_tokens": output, "total_tokens": prompt + output}
    return event(
        {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "m", "choices": [], "usage": usage}
    )


def embeddings(count: int = 1, **more: Any) -> dict[str, Any]:
    """Embeddings of so many inputs, in base64 as the official clients ask for them."""
    data = [{"object": "embedding", "index": i, "embedding": "AACAPwAAAEA="} for i in range(count)]
    usage = {"prompt_tokens": 8, "total_tokens": 8}
    return {"object": "list", "data": data, "model": "text-embedding-3-small", "usage": usage, **more}


def message(text: str = "Hello.") -> dict[str, Any]:
    """An output item."""
    content = [{"type": "output_text", "text": text, "annotations": [], "logprobs": []}]
    return {"id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "content": content}


def response(status: str = "completed", **more: Any) -> dict[str, Any]:
    """A whole response."""
    ended = status == "completed"
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": "gpt-4o-mini-2024-07-18",
        "output": [message()] if ended else [],
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "service_tier": "default" if ended else "auto",
        "usage": RESPONSES_USAGE if ended else None,
        **more,
    }


class Script:
    """Numbers the events of a streamed response, each with its `event:` line, as the API writes them."""

    def __init__(self) -> None:
        self.number = 0

    def __call__(self, kind: str, **fields: Any) -> bytes:
        body = {"type": kind, "sequence_number": self.number, **fields}
        self.number += 1
        return f"event: {kind}\ndata: {json.dumps(body, separators=(',', ':'))}\n\n".encode()

    def opening(self) -> bytes:
        """What comes before anything is said."""
        bare = {"id": "msg_1", "type": "message", "status": "in_progress", "role": "assistant", "content": []}
        part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
        return b"".join(
            [
                self("response.created", response=response("in_progress")),
                self("response.in_progress", response=response("in_progress")),
                self("response.output_item.added", output_index=0, item=bare),
                self("response.content_part.added", item_id="msg_1", output_index=0, content_index=0, part=part),
            ]
        )

    def word(self, text: str) -> bytes:
        """A piece of the answer's text."""
        place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
        return self("response.output_text.delta", **place, delta=text, logprobs=[])

    def ending(self, kind: str = "response.completed", **more: Any) -> bytes:
        """The last event."""
        return self(kind, response=response(kind.removeprefix("response."), usage=RESPONSES_USAGE, **more))


def response_events(*words: str) -> list[bytes]:
    """A whole streamed response: what opens it, its words, what closes it."""
    script = Script()
    opening = script.opening()
    said = [script.word(word) for word in words]
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    done = script("response.output_text.done", **place, text="".join(words), logprobs=[])
    item = script("response.output_item.done", output_index=0, item=message("".join(words)))
    return [opening, *said, done, item, script.ending()]
