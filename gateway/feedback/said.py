"""The body of POST /v1/feedback, checked: one request or response of the caller's, and what it says of the answer."""

import re
from collections.abc import Mapping

from gateway.domain.attempt import Verdict
from gateway.domain.fact import fact
from gateway.errors import InvalidRequest
from gateway.wire.body import object_in

BODY_BYTES_MAX = 8192
ID_MAX = 256
_REASON = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
_FIELDS = ("request_id", "response_id", "verdict", "reason", "score")


@fact(frozen=True, slots=True, kw_only=True)
class Said:
    """What a tenant said."""

    request_id: str
    """One of this and `response_id` is ""."""
    response_id: str
    verdict: Verdict
    reason: str
    score: float | None


def read(body: bytes) -> Said:
    """The feedback in a body. Raises InvalidRequest naming the field that is wrong."""
    fields = object_in(body)
    for name in fields:
        if name not in _FIELDS:
            raise InvalidRequest(f"There is no field {name[:64]!r}; there are {', '.join(_FIELDS)}.", param=name[:64])
    request_id, response_id = _id(fields, "request_id"), _id(fields, "response_id")
    if bool(request_id) == bool(response_id):
        message = (
            "Name one request: `request_id` (x-tollway-request-id of its answer), or `response_id` (the answer's id)."
        )
        raise InvalidRequest(message, param="request_id")
    verdict = fields.get("verdict")
    if not isinstance(verdict, str) or verdict not in tuple(Verdict):
        raise InvalidRequest(f"`verdict` must be one of {', '.join(Verdict)}.", param="verdict")
    reason = fields.get("reason")
    if reason is not None and not (isinstance(reason, str) and (reason == "" or _REASON.fullmatch(reason))):
        words = "`reason` must be one word of at most 64 small letters, digits and _ . -, such as wrong_language."
        raise InvalidRequest(words, param="reason")
    return Said(
        request_id=request_id,
        response_id=response_id,
        verdict=Verdict(verdict),
        reason=reason or "",
        score=_score(fields),
    )


def _id(fields: Mapping[str, object], name: str) -> str:
    value = fields.get(name)
    if value is None:
        return ""
    if not isinstance(value, str) or not 0 < len(value) <= ID_MAX or not value.isprintable():
        raise InvalidRequest(f"`{name}` must be a text of 1 to {ID_MAX} printable characters.", param=name)
    return value


def _score(fields: Mapping[str, object]) -> float | None:
    value = fields.get("score")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise InvalidRequest("`score` must be a number from 0 to 1.", param="score")
    return float(value)
