"""How the chat route is described: it lives below the framework, which therefore cannot describe it by itself."""

from typing import Any

CHAT_PATH = "/v1/chat/completions"

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
    400: "The body is not a chat request.",
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


def chat_operation() -> dict[str, Any]:
    """The OpenAPI operation of POST /v1/chat/completions: what we check; all other fields pass through."""
    body = {
        "type": "object",
        "required": ["model", "messages"],
        "properties": {
            "model": {"type": "string", "minLength": 1, "description": "One of your aliases; GET /v1/models."},
            "messages": {"type": "array", "items": {"type": "object"}},
            "stream": {"type": ["boolean", "null"]},
            "stream_options": {"type": ["object", "null"]},
            "max_tokens": {"type": ["integer", "null"], "minimum": 0},
            "max_completion_tokens": {"type": ["integer", "null"], "minimum": 0},
            "n": {"type": ["integer", "null"], "minimum": 0},
        },
        "additionalProperties": True,
    }
    answer = {
        "description": "The vendor's own answer; server-sent events when `stream` is true.",
        "content": {
            "application/json": {"schema": {"type": "object"}},
            "text/event-stream": {"schema": {"type": "string"}},
        },
    }
    return {
        "operationId": "create_chat_completion",
        "summary": "A chat completion",
        "security": [{"key": []}],
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": {"200": answer, **{str(code): _error(text) for code, text in ERROR_TEXTS.items()}},
    }
