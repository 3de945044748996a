"""What the API answers when it does not do what was asked: one envelope, with the field at fault and the way out.

{"error": {"code": ..., "message": ..., "field": ... or null, "blockers": [...]}}

400  invalid_request, cursor_unknown, month_invalid
401  unauthenticated
403  forbidden
404  not_found
409  blocked, wrong_state, not_prepared, same_person, figures_changed, earlier_month_open, later_month_closed,
     reason_missing, contested
500  books_broken
503  store_unavailable, control_unavailable
"""

from collections.abc import Callable
from typing import Any

from clickhouse_connect.driver.exceptions import ClickHouseError
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from analytics.accounts import Forbidden
from analytics.accounts.book import Unauthenticated
from analytics.control import ControlDown
from analytics.exceptions import ExceptionUnknown
from analytics.pack import ControlBroken
from analytics.periods.book import Contested
from analytics.periods.close import StepRefused
from analytics.reconciliation import IdentityBroken
from analytics.windows import MonthInvalid

CODES = {
    "invalid_request": 400,
    "cursor_unknown": 400,
    "month_invalid": 400,
    "unauthenticated": 401,
    "forbidden": 403,
    "not_found": 404,
    "blocked": 409,
    "wrong_state": 409,
    "not_prepared": 409,
    "same_person": 409,
    "figures_changed": 409,
    "earlier_month_open": 409,
    "later_month_closed": 409,
    "reason_missing": 409,
    "contested": 409,
    "books_broken": 500,
    "store_unavailable": 503,
    "control_unavailable": 503,
}


class Wrong(Exception):
    """Something about the request itself; `field` is the parameter or body field at fault."""

    def __init__(self, code: str, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.field = field


def install(app: FastAPI) -> None:
    """Answer every error that is ours in the envelope."""
    plain: dict[type[Exception], str] = {
        Unauthenticated: "unauthenticated",
        Forbidden: "forbidden",
        ExceptionUnknown: "not_found",
        Contested: "contested",
        MonthInvalid: "month_invalid",
        IdentityBroken: "books_broken",
        ControlBroken: "books_broken",
        ControlDown: "control_unavailable",
    }
    for kind, code in plain.items():
        app.add_exception_handler(kind, _as(code))
    app.add_exception_handler(Wrong, _wrong)
    app.add_exception_handler(StepRefused, _refused)
    app.add_exception_handler(RequestValidationError, _unread)
    app.add_exception_handler(HTTPException, _of_framework)
    app.add_exception_handler(ClickHouseError, _store)
    app.add_exception_handler(OSError, _store)


def envelope(code: str, message: str, field: str | None = None, blockers: list[dict[str, str]] | None = None) -> Any:
    """The error as an answer."""
    error = {"code": code, "message": message, "field": field, "blockers": blockers or []}
    headers = {"www-authenticate": "Bearer"} if code == "unauthenticated" else {}
    return JSONResponse({"error": error}, CODES[code], headers)


def _as(code: str) -> Callable[[Request, Exception], Any]:
    def answer(request: Request, error: Exception) -> Any:
        return envelope(code, str(error))

    return answer


def _wrong(request: Request, error: Exception) -> Any:
    assert isinstance(error, Wrong)  # noqa: S101 - what it is installed for
    return envelope(error.code, str(error), error.field)


def _refused(request: Request, error: Exception) -> Any:
    assert isinstance(error, StepRefused)  # noqa: S101 - what it is installed for
    found = [{"kind": each.kind.value, "of": each.of, "message": each.words} for each in error.refused.blockers]
    return envelope(error.refused.code, error.refused.words, blockers=found)


def _unread(request: Request, error: Exception) -> Any:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - what it is installed for
    first = error.errors()[0]
    field = ".".join(str(each) for each in first["loc"][1:]) or str(first["loc"][0])
    return envelope("invalid_request", f"{field}: {first['msg']}; /api/v1/openapi.json says what is taken", field)


def _of_framework(request: Request, error: Exception) -> Any:
    assert isinstance(error, HTTPException)  # noqa: S101 - what it is installed for
    if error.status_code == 404:
        return envelope("not_found", f"nothing is at {request.url.path}; /api/v1/openapi.json lists what there is")
    answer = envelope("invalid_request", f"{request.method} is not taken here: {error.detail}")
    answer.status_code = error.status_code
    return answer


def _store(request: Request, error: Exception) -> Any:
    said = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
    return envelope("store_unavailable", f"the store did not answer: {said}; `tollway doctor` says why")
