"""What an upstream's whole answer means: an answer to relay, or a failure and whose it is."""

from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from gateway.domain.reasons import Reason
from gateway.relay.relay import text
from gateway.relay.responses import finish_reason
from gateway.upstream.sink import Headers

ANSWER_BYTES_MAX = 64 * 1024 * 1024
"""A whole answer longer than this is taken for an upstream gone wrong."""

FORWARDED = frozenset({b"content-type", b"retry-after", b"retry-after-ms", b"x-should-retry"})
FORWARDED_PREFIX = b"x-ratelimit-"

AUTH_CODES = frozenset(
    {
        "invalid_api_key",
        "authentication_error",
        "invalid_authentication",
        "unauthenticated",
        "permission_denied",
        "permission_error",
    }
)
"""An error with one of these, in any case, is about our own credentials, whatever status it came under."""

CONTEXT_CODES = frozenset({"context_length_exceeded", "string_above_max_length", "context_too_long"})
FILTER_CODES = frozenset({"content_filter", "content_policy_violation", "ResponsibleAIPolicyViolation"})
CONTEXT_WORDS = ("maximum context length", "context window", "prompt is too long")


@dataclass(frozen=True, slots=True)
class VendorAnswer:
    """An upstream's answer as a client may see it."""

    status: int
    head: bytes
    """The header lines that are forwarded."""
    body: bytes


def forwarded(headers: Headers) -> bytes:
    """The header lines that go on to the client: the content's type and what tells it when to come back."""
    lines: list[bytes] = []
    for name, value in headers:
        if name in FORWARDED or name.startswith(FORWARDED_PREFIX):
            lines += (name, b": ", value, b"\r\n")
    return b"".join(lines)


def parsed(body: bytes) -> Mapping[str, object] | None:
    """The JSON object in `body`, or None if that is not what it holds."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None


def is_error(fields: Mapping[str, object]) -> bool:
    """Whether a body that came under status 200 is an error all the same; a response may have failed half-way."""
    if not fields.get("error"):
        return fields.get("status") == "failed" and fields.get("object") == "response"
    return fields.get("status") == "failed" or not any(fields.get(name) for name in ("choices", "output", "data"))


def status_of(fields: Mapping[str, object] | None) -> int:
    """The HTTP status that an error under status 200 should have had: the number it names, or 502."""
    error = fields.get("error") if fields else None
    for code in (error.get("code"), error.get("status")) if isinstance(error, dict) else ():
        number = int(code) if isinstance(code, str) and code.isdecimal() and len(code) == 3 else code
        if isinstance(number, int) and 400 <= number <= 599:
            return number
    return 502


def blame(status: int, fields: Mapping[str, object] | None) -> Reason:
    """Why a status of 300 or more is no answer."""
    if any(word.lower() in AUTH_CODES for word in _words(fields)):
        return Reason.UPSTREAM_AUTH
    if status == 429:
        return Reason.RATE_LIMITED
    if status >= 500 or status in (408, 425):
        return Reason.SERVER_ERROR
    if status in (401, 403) and not _names(fields, FILTER_CODES):
        return Reason.UPSTREAM_AUTH
    if status < 400:
        return Reason.BAD_RESPONSE
    if _names(fields, CONTEXT_CODES) or any(words in _message(fields) for words in CONTEXT_WORDS):
        return Reason.CONTEXT_TOO_LONG
    return Reason.CONTENT_FILTER if _names(fields, FILTER_CODES) else Reason.CALLER_ERROR


def _names(fields: Mapping[str, object] | None, codes: frozenset[str]) -> bool:
    return not codes.isdisjoint(_words(fields))


def _words(fields: Mapping[str, object] | None) -> list[str]:
    """What the error calls itself."""
    error = fields.get("error") if fields else None
    if not isinstance(error, dict):
        return []
    return [word for name in ("code", "type", "status") if isinstance(word := error.get(name), str)]


def _message(fields: Mapping[str, object] | None) -> str:
    error = fields.get("error") if fields else None
    message = error.get("message") if isinstance(error, dict) else None
    return message.lower() if isinstance(message, str) else ""


def identity(fields: Mapping[str, object]) -> tuple[str, str, str, str]:
    """The id, the model, the first choice's finish reason and the service tier of a whole answer; "" where none is."""
    choices = fields.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    finish = text(first.get("finish_reason")) if isinstance(first, dict) else ""
    if fields.get("object") == "response":
        finish = finish_reason(fields)
    return text(fields.get("id")), text(fields.get("model")), finish, text(fields.get("service_tier"))
