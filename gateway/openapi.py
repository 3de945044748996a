"""How the data path is described: it lives below the framework, which therefore cannot describe it by itself.

A body's schema says exactly what gateway/wire/body.py checks; all other fields pass through.
"""

from typing import Any

from gateway.wire.kinds import Kind

ERROR_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
            },
        }
    },
}

ERROR_TEXTS = {
    400: "The body is not such a request; `param` names the field.",
    401: "No key, or an unknown one.",
    403: "The key may not use that tier.",
    404: "No such model among the caller's own.",
    413: "The body is too long.",
    429: "The tier's queue is full, or the vendor's own answer.",
    502: "No upstream could answer.",
    503: "The tier's queue was too slow, or every upstream rests.",
    504: "The answer took longer than the tier allows.",
}


def _error(text: str) -> dict[str, Any]:
    return {"description": text, "content": {"application/json": {"schema": ERROR_SCHEMA}}}


ERROR_RESPONSES: dict[int | str, dict[str, Any]] = {401: _error(ERROR_TEXTS[401])}


MODEL = {"type": "string", "minLength": 1, "description": "One of your aliases; GET /v1/models."}
WHOLE = {"type": ["integer", "null"], "minimum": 0}
STREAM = {"stream": {"type": ["boolean", "null"]}, "stream_options": {"type": ["object", "null"]}}

FIELDS: dict[Kind, dict[str, Any]] = {
    Kind.CHAT: {
        "messages": {"type": "array"},
        **STREAM,
        "max_tokens": WHOLE,
        "max_completion_tokens": WHOLE,
        "n": WHOLE,
    },
    Kind.COMPLETIONS: {
        "prompt": {"type": ["string", "array"]},
        **STREAM,
        "max_tokens": WHOLE,
        "n": WHOLE,
        "best_of": WHOLE,
    },
    Kind.EMBEDDINGS: {"input": {"type": ["string", "array"]}},
    Kind.RESPONSES: {
        "input": {"type": ["string", "array", "null"]},
        "prompt": {"type": ["object", "null"]},
        "previous_response_id": {"type": ["string", "null"]},
        "conversation": {"type": ["string", "object", "null"]},
        **STREAM,
        "max_output_tokens": WHOLE,
    },
}
REQUIRED = {Kind.CHAT: "messages", Kind.COMPLETIONS: "prompt", Kind.EMBEDDINGS: "input"}
SUMMARIES = {
    Kind.CHAT: "A chat completion",
    Kind.COMPLETIONS: "A completion of a prompt",
    Kind.EMBEDDINGS: "Embeddings",
    Kind.RESPONSES: "A response",
}


def body_schema(kind: Kind) -> dict[str, Any]:
    """The schema of a request's body."""
    required = [REQUIRED[kind]] if kind in REQUIRED else []
    schema: dict[str, Any] = {
        "type": "object",
        "required": ["model", *required],
        "properties": {"model": MODEL, **FIELDS[kind]},
        "additionalProperties": True,
    }
    if kind is Kind.RESPONSES:
        contexts = ("input", "prompt", "previous_response_id", "conversation")
        schema["anyOf"] = [{"required": [name], "properties": {name: {"not": {"type": "null"}}}} for name in contexts]
    return schema


def operation(kind: Kind) -> dict[str, Any]:
    """The OpenAPI operation of a POST to that kind's route."""
    content: dict[str, Any] = {"application/json": {"schema": {"type": "object"}}}
    if kind is not Kind.EMBEDDINGS:
        content["text/event-stream"] = {"schema": {"type": "string"}}
    words = "The vendor's own answer" + ("." if len(content) == 1 else "; server-sent events when `stream` is true.")
    body = {"required": True, "content": {"application/json": {"schema": body_schema(kind)}}}
    return {
        "operationId": f"create_{kind}",
        "summary": SUMMARIES[kind],
        "security": [{"key": []}],
        "requestBody": body,
        "responses": {
            "200": {"description": words, "content": content},
            **{str(code): _error(text) for code, text in ERROR_TEXTS.items()},
        },
    }
