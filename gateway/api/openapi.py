"""How the data path is described: it lives below the framework, which therefore cannot describe it by itself.

A body's schema says exactly what gateway/wire/body.py checks; all other fields pass through.
"""

from typing import Any

from gateway.errors import GatewayError
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

ELSEWHERE = frozenset(
    {"unknown_route", "config_rejected", "upstream_failed", "request_not_found", "feedback_unavailable"}
)
"""Codes that no request for an answer can meet."""


def codes_by_status(root: type[GatewayError] = GatewayError) -> dict[int, list[str]]:
    """Every code of our own, by its HTTP status; both in order."""
    found: dict[int, set[str]] = {}
    waiting = [root]
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        found.setdefault(kind.status, set()).add(kind.code)
    return {status: sorted(found[status]) for status in sorted(found)}


def _error(text: str) -> dict[str, Any]:
    return {"description": text, "content": {"application/json": {"schema": ERROR_SCHEMA}}}


ERROR_RESPONSES: dict[int | str, dict[str, Any]] = {401: _error("`invalid_api_key`")}
MODEL_RESPONSES = {**ERROR_RESPONSES, 404: _error("`model_not_found`")}


def _errors() -> dict[str, Any]:
    described: dict[str, Any] = {}
    for status, codes in codes_by_status().items():
        if here := [code for code in codes if code not in ELSEWHERE]:
            described[str(status)] = _error("Ours: " + ", ".join(f"`{code}`" for code in here) + "; or the vendor's.")
    described["default"] = {"description": "The vendor's own error, as it was sent.", "content": {"*/*": {}}}
    return described


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
HEADERS = {
    name: {"schema": {"type": "string"}, "description": text}
    for name, text in {
        "x-request-id": "The caller's, else the vendor's, else ours.",
        "x-tollway-request-id": "The one on the books.",
        "x-tollway-alias": "The model that was asked for.",
        "x-tollway-tier": "The tier it was served in.",
        "x-tollway-upstream": "Who answered.",
        "x-tollway-cache": "hit, miss, off or bypass.",
        "x-tollway-batch-size": "Of a micro-batch: how many requests shared the call.",
        "x-tollway-usage": "Of a micro-batch: `estimated`, as the usage is a share of the call's.",
        "x-tollway-queue-seconds": "How long it waited for a slot.",
        "x-tollway-fallback-depth": "0 for the first choice.",
        "x-tollway-fallback-reason": "Why the attempt before did not do.",
        "x-tollway-estimated-cost-usd": "What a fallback was expected to cost.",
    }.items()
}
PARAMETERS = [
    {"name": name, "in": "header", "required": False, "schema": {"type": "string"}, "description": text}
    for name, text in {
        "x-request-id": "What the caller names its request: 1 to 128 visible ASCII characters, else one is made.",
        "x-tollway-tier": "A tier other than the model's own, where the key may use it.",
        "x-tollway-session": "What belongs together: an agent's run, a conversation. Only a hash of it is kept.",
        "x-tollway-cache": "Of the answer cache: use (although there is chance in the answer) or no-store.",
    }.items()
]
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
        content["text/event-stream"] = {}
    words = "The vendor's own answer" + ("." if len(content) == 1 else "; server-sent events when `stream` is true.")
    body = {"required": True, "content": {"application/json": {"schema": body_schema(kind)}}}
    return {
        "operationId": f"create_{kind}",
        "summary": SUMMARIES[kind],
        "security": [{"key": []}],
        "parameters": PARAMETERS,
        "requestBody": body,
        "responses": {
            "200": {"description": words, "content": content, "headers": HEADERS},
            **_errors(),
        },
    }
