"""The routes of files, batches and stored responses, as FastAPI and the API's description know them."""

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI, Request
from starlette.responses import Response

from gateway.api.openapi import ERROR_SCHEMA
from gateway.config import Tenant
from gateway.flow.plane import Plane
from gateway.stored import batches, files, responses, uploading
from gateway.stored.call import Call, Work, served

ERRORS = {
    401: "No key, or an unknown one.",
    404: "None of that id is the caller's own.",
    429: "The caller has too many requests for stored objects under way.",
    502: "What keeps it was not reached, or gave an answer that cannot be read.",
    503: "Who owns what is not known at present, or what it used cannot be recorded.",
    504: "What keeps it did not answer in time.",
}
BAD_REQUEST = {400: "The request is not one; `param` names the field, and a fault in a batch's file its line."}
UNPAID = {402: "The tenant's month could not pay for it."}
TOO_LARGE = {413: "The file is longer than gateway.max_file_bytes."}

JSON_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["input_file_id", "endpoint", "completion_window"],
                    "properties": {
                        "input_file_id": {"type": "string", "minLength": 1, "description": "A file of your own."},
                        "endpoint": {"type": "string"},
                        "completion_window": {"type": "string"},
                        "metadata": {"type": ["object", "null"]},
                    },
                    "additionalProperties": True,
                }
            }
        },
    }
}
FORM_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file", "purpose"],
                    "properties": {
                        "file": {"type": "string", "format": "binary"},
                        "purpose": {
                            "type": "string",
                            "description": "With `batch`: JSON lines whose `body.model` is one of your aliases.",
                        },
                    },
                    "additionalProperties": True,
                }
            }
        },
    }
}
ALIAS_HEADER = {
    "name": "x-tollway-alias",
    "in": "header",
    "required": False,
    "schema": {"type": "string"},
    "description": "The model that the file is for, where it could go to several places.",
}


def _query(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "schema": schema}


AFTER = _query("after", {"type": "string"})
ORDER = _query("order", {"type": "string", "enum": ["asc", "desc"]})
FILE_QUERY = [
    AFTER, _query("limit", {"type": "integer", "minimum": 1, "maximum": files.LIMIT}), ORDER,
    _query("purpose", {"type": "string"}),
]  # fmt: skip
BATCH_QUERY = [AFTER, _query("limit", {"type": "integer", "minimum": 1, "maximum": batches.LIMIT_MAX})]
STREAM_QUERY = [_query("stream", {"type": "boolean"}), _query("starting_after", {"type": "integer"})]

Described = tuple[str, str, Work, str, dict[str, Any], dict[int, str]]

ROUTES: tuple[Described, ...] = (
    ("POST", "/v1/files", uploading.create, "Upload a file", {"parameters": [ALIAS_HEADER], **FORM_BODY},
     BAD_REQUEST | TOO_LARGE),
    ("GET", "/v1/files", files.listing, "Your files", {"parameters": FILE_QUERY}, BAD_REQUEST),
    ("GET", "/v1/files/{id}", files.retrieve, "A file", {}, {}),
    ("DELETE", "/v1/files/{id}", files.delete, "Delete a file", {}, {}),
    ("GET", "/v1/files/{id}/content", files.content, "A file's content", {}, {}),
    ("POST", "/v1/batches", batches.create, "Run a file of requests", JSON_BODY,
     BAD_REQUEST | UNPAID | {413: "Too long."}),
    ("GET", "/v1/batches", batches.listing, "Your batches", {"parameters": BATCH_QUERY}, BAD_REQUEST),
    ("GET", "/v1/batches/{id}", batches.retrieve, "A batch", {}, {}),
    ("POST", "/v1/batches/{id}/cancel", batches.cancel, "Cancel a batch", {}, {}),
    ("GET", "/v1/responses/{id}", responses.retrieve, "A stored response", {"parameters": STREAM_QUERY}, {}),
    ("DELETE", "/v1/responses/{id}", responses.delete, "Delete a stored response", {}, {}),
    ("POST", "/v1/responses/{id}/cancel", responses.cancel, "Cancel a background response", {}, {}),
    ("GET", "/v1/responses/{id}/input_items", responses.input_items, "What a stored response was made of", {}, {}),
)  # fmt: skip


def install(app: FastAPI, plane_of: Callable[[], Plane], tenant_of: Callable[[Request], Tenant]) -> None:
    """Add them to the application."""
    for method, path, work, summary, described, errors in ROUTES:
        app.add_api_route(
            path,
            _endpoint(path, work, plane_of, tenant_of),
            methods=[method],
            summary=summary,
            name=f"{work.__module__.rpartition('.')[2]}_{work.__name__}",
            openapi_extra={"security": [{"key": []}], **_with_id(path, described)},
            responses={code: _error(text) for code, text in sorted({**ERRORS, **errors}.items())},
        )


def _endpoint(
    path: str, work: Work, plane_of: Callable[[], Plane], tenant_of: Callable[[Request], Tenant]
) -> Callable[[Request], Any]:  # fmt: skip
    async def endpoint(request: Request) -> Response:
        call = Call(plane_of(), request, tenant_of(request), path)
        if request.method != "POST":
            call.body_read.set()
        return await served(call, work)

    return endpoint


def _with_id(path: str, described: dict[str, Any]) -> dict[str, Any]:
    if "{id}" not in path:
        return described
    own = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
    return {**described, "parameters": [own, *described.get("parameters", [])]}


def _error(text: str) -> dict[str, Any]:
    return {"description": text, "content": {"application/json": {"schema": ERROR_SCHEMA}}}
