"""POST /v1/feedback, as FastAPI and the API's description know it."""

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from starlette.requests import ClientDisconnect

from gateway.api.openapi import ERROR_SCHEMA
from gateway.config import Tenant
from gateway.domain import clock
from gateway.domain.attempt import Verdict
from gateway.errors import BodyTooLarge, InvalidRequest
from gateway.feedback.said import BODY_BYTES_MAX, ID_MAX, read
from gateway.flow.plane import Plane

ID = {"type": "string", "minLength": 1, "maxLength": ID_MAX}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["verdict"],
    "properties": {
        "request_id": {**ID, "description": "`x-tollway-request-id` of the answer."},
        "response_id": {**ID, "description": "The answer's own `id`; this or `request_id`."},
        "verdict": {"type": "string", "enum": [verdict.value for verdict in Verdict]},
        "reason": {"type": ["string", "null"], "maxLength": 64, "description": "A word, such as wrong_language."},
        "score": {"type": ["number", "null"], "minimum": 0, "maximum": 1},
    },
    "oneOf": [{"required": ["request_id"]}, {"required": ["response_id"]}],
    "additionalProperties": False,
}
ERRORS = {
    400: "Not feedback; `param` names the field.",
    401: "No key, or an unknown one.",
    404: "`request_not_found`: the caller has no such request.",
    413: "The body is too long.",
    429: "The caller's requests per minute are spent.",
    503: "`feedback_unavailable`, `journal_unavailable`: it cannot be taken at present.",
}


def install(app: FastAPI, plane_of: Callable[[], Plane], tenant_of: Callable[[Request], Tenant]) -> None:
    """Add the route."""

    @app.post(
        "/v1/feedback",
        summary="Say what the answer to one of your requests was worth",
        openapi_extra={
            "security": [{"key": []}],
            "requestBody": {"required": True, "content": {"application/json": {"schema": SCHEMA}}},
        },
        responses={code: _error(text) for code, text in ERRORS.items()},
    )
    async def feedback(request: Request) -> Response:
        plane, tenant = plane_of(), tenant_of(request)
        quota = plane.throttle.quota_of(tenant.name)
        if quota is not None:
            plane.throttle.admit(quota, 0, clock.monotonic())
        said = read(await _body(request))
        answered = await plane.desk.take(plane.books, tenant.name, said)
        plane.metrics.feedback.add(said.verdict)
        shown = {
            "object": "feedback",
            "request_id": answered.request_id,
            "verdict": said.verdict,
            "reason": said.reason or None,
            "score": said.score,
        }
        return JSONResponse(shown, headers={"x-tollway-request-id": answered.request_id})


async def _body(request: Request) -> bytes:
    pieces, size = [], 0
    try:
        async for piece in request.stream():
            size += len(piece)
            if size > BODY_BYTES_MAX:
                raise BodyTooLarge(f"Feedback is at most {BODY_BYTES_MAX} bytes.")
            pieces.append(piece)
    except ClientDisconnect:
        raise InvalidRequest("The connection ended before the body did.") from None
    return b"".join(pieces)


def _error(text: str) -> dict[str, Any]:
    return {"description": text, "content": {"application/json": {"schema": ERROR_SCHEMA}}}
