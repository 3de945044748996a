"""Whose failure an upstream's answer is: a status and what the body calls itself, to one reason.

What only our operator can mend is never laid at the caller's door: refused credentials, an unpaid account, and a model
or a route that the upstream does not have, since the caller named an alias and we put the vendor's name in its place.
"""

import re
from collections.abc import Mapping

from gateway.domain.reasons import Reason

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

ACCOUNT_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})
"""An error with one of these says that our account is out of money, not that the caller is too fast, whatever status it
came under: another rung may serve, and the words are the operator's to read."""

AUTH_PHRASES = re.compile(
    r"\b(?:incorrect|invalid|missing|expired|revoked|unknown|wrong|unrecognized|malformed|no)\b[^.\"]{0,20}"
    r"\b(?:api|access|bearer|secret|x-api)[ _-]?(?:key|token)s?\b"
    r"|\bapi[ _-]?key\b[^.\"]{0,20}\b(?:not|invalid|incorrect|expired|missing|revoked|disabled)\b"
    r"|\binvalid (?:authentication|credentials)\b|\bnot authenticated\b"
)
"""The same, where only the words tell. A bare `unauthorized` may be about a tool server of the caller's own."""

CONTEXT_CODES = frozenset({"context_length_exceeded", "string_above_max_length", "context_too_long"})
CONTEXT_WORDS = ("maximum context length", "context window", "prompt is too long")
FILTER_CODES = frozenset({"content_filter", "content_policy_violation", "ResponsibleAIPolicyViolation"})
MODEL_CODES = frozenset(
    {"model_not_found", "invalid_model", "model_not_exist", "model_not_supported", "DeploymentNotFound"}
)
"""The upstream does not know the name that we put in the alias's place."""
MODEL_PHRASE = re.compile(r"\b(?:model|deployment)\b.*\b(?:not exist|not found|no such|not supported|unknown)\b")

STATUS_OF_WORD = {
    "rate_limit_exceeded": 429,
    "rate_limit_error": 429,
    "insufficient_quota": 429,
    "billing_hard_limit_reached": 429,
    "billing_not_active": 429,
    "invalid_request_error": 400,
    "invalid_prompt": 400,
    "context_length_exceeded": 400,
    "content_filter": 400,
    "content_policy_violation": 400,
    "model_not_found": 404,
    "not_found_error": 404,
    "overloaded_error": 503,
}
"""What errors without a number of their own mean by their names."""


def is_error(fields: Mapping[str, object]) -> bool:
    """Whether a body that came under status 200 is an error all the same; a response may have failed half-way."""
    if fields.get("object") == "error":
        return True
    if fields.get("object") == "response" and fields.get("status") == "failed":
        return True
    return bool(fields.get("error")) and not any(fields.get(name) for name in ("choices", "output", "data"))


def status_of(fields: Mapping[str, object] | None) -> int:
    """The HTTP status that an error under status 200 should have had: the number it names, or what its name means, or
    502."""
    error = _error(fields)
    for code in (error.get("code"), error.get("status")):
        number = int(code) if isinstance(code, str) and code.isdecimal() and len(code) == 3 else code
        if isinstance(number, int) and 400 <= number <= 599:
            return number
    return next((STATUS_OF_WORD[word] for word in _words(fields) if word in STATUS_OF_WORD), 502)


def blame(status: int, fields: Mapping[str, object] | None) -> Reason:
    """Why a status of 300 or more is no answer."""
    words, message = _words(fields), _message(fields)
    if any(word.lower() in AUTH_CODES | ACCOUNT_CODES for word in words) or AUTH_PHRASES.search(message):
        return Reason.UPSTREAM_AUTH
    if status == 429:
        return Reason.RATE_LIMITED
    if status >= 500 or status in (408, 425):
        return Reason.SERVER_ERROR
    if status < 400:
        return Reason.BAD_RESPONSE
    if not FILTER_CODES.isdisjoint(words):
        return Reason.CONTENT_FILTER
    if status in (401, 402, 403):
        return Reason.UPSTREAM_AUTH
    if not CONTEXT_CODES.isdisjoint(words) or any(known in message for known in CONTEXT_WORDS):
        return Reason.CONTEXT_TOO_LONG
    return Reason.NOT_SERVED if _lacks(status, fields) else Reason.CALLER_ERROR


def _lacks(status: int, fields: Mapping[str, object] | None) -> bool:
    """Whether the upstream has no such model or no such route."""
    if status == 405 or not MODEL_CODES.isdisjoint(_words(fields)):
        return True
    error = _error(fields)
    if error.get("param") == "model":
        return True  # The one member whose value is ours.
    return status == 404 and (not error or MODEL_PHRASE.search(_message(fields)) is not None)


def _error(fields: Mapping[str, object] | None) -> Mapping[str, object]:
    """The members of the error, in OpenAI's envelope or without one; empty where there are none."""
    if not fields:
        return {}
    error = fields.get("error")
    return error if isinstance(error, dict) else fields if fields.get("object") == "error" else {}


def _words(fields: Mapping[str, object] | None) -> list[str]:
    """What the error calls itself."""
    error = _error(fields)
    return [word for name in ("code", "type", "status") if isinstance(word := error.get(name), str)]


def _message(fields: Mapping[str, object] | None) -> str:
    message = _error(fields).get("message")
    if message is None and fields:
        message = next((fields[name] for name in ("error", "message", "detail") if name in fields), None)
    return message.lower() if isinstance(message, str) else ""
