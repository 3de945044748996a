"""The vendor's routes, as one ASGI application.

POST /v1/chat/completions   GET /v1/models          with one of the vendor's keys
GET /v1/organization/costs  GET /export/cost.csv    with its admin key
                            GET /export/focus.csv   likewise
GET /healthz
GET /_witness/ledger        GET /_witness/summary   only where the settings say so: for tests
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs

import orjson

from deploy.demo.vendor import asgi, clock, costs, focus, invoice, misbilling, wire
from deploy.demo.vendor.asgi import Receive, Scope, Send
from deploy.demo.vendor.chat import Chat
from deploy.demo.vendor.ledger import Cause, Ledger, Row
from deploy.demo.vendor.settings import Settings

Query = Mapping[str, list[str]]


class Vendor:
    """One vendor."""

    def __init__(self, settings: Settings, ledger: Ledger) -> None:
        self._settings = settings
        self._ledger = ledger
        self._chat = Chat(settings, ledger)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        path, method = scope["path"], scope["method"]
        if (method, path) == ("POST", "/v1/chat/completions"):
            await self._chat(scope, receive, send, now=clock.utc_now())
            return
        query = parse_qs(scope["query_string"].decode("latin-1"))
        try:
            status, body, kind = self._get(method, path, query, asgi.header(scope, b"authorization"))
        except costs.PeriodInvalid as error:
            status, body, kind = _error(400, str(error))
        await asgi.answer(send, status, body, kind)

    def _get(self, method: str, path: str, query: Query, authorization: str) -> tuple[int, bytes, str]:
        key = authorization.removeprefix("Bearer ")
        if method != "GET":
            return _error(404, f"Invalid URL ({method} {path})")
        if path == "/healthz":
            return _json({"status": "ok", "vendor": self._settings.name})
        if path.startswith("/_witness/") and self._settings.witness:
            return self._witness(path, query)
        if path == "/v1/models":
            return self._models() if key in self._settings.keys else _error(401, "Incorrect API key")
        exports = {
            "/v1/organization/costs": self._costs,
            "/export/cost.csv": self._csv,
            "/export/focus.csv": self._focus,
        }
        if path in exports:
            return exports[path](query) if key == self._settings.admin_key else _error(401, "This needs an admin key")
        return _error(404, f"Invalid URL (GET {path})")

    def _models(self) -> tuple[int, bytes, str]:
        data = [
            {"id": name, "object": "model", "created": 0, "owned_by": "simulated"} for name in self._settings.models
        ]
        return _json({"object": "list", "data": data})

    def _costs(self, query: Query) -> tuple[int, bytes, str]:
        start = _instant(query, "start_time")
        end = _instant(query, "end_time") if "end_time" in query else clock.utc_now()
        text = costs.costs_page(
            self._lines(start, end),
            start,
            end,
            group_by=query.get("group_by", []) + query.get("group_by[]", []),
            limit=_limit(query),
            page=_one(query, "page", ""),
            org=self._settings.organization_id,
        )
        return 200, text.encode(), "application/json"

    def _lines(self, start: datetime, end: datetime) -> list[invoice.Line]:
        rows = self._ledger.rows(start, end)
        return misbilling.invoiced(rows, self._settings.models.values(), self._settings.billing)[0]

    def _focus(self, query: Query) -> tuple[int, bytes, str]:
        start, end = _instant(query, "from"), _instant(query, "to")
        text = focus.export(self._lines(start, end), start.date().replace(day=1), self._settings)
        return 200, text.encode(), "text/csv; charset=utf-8"

    def _csv(self, query: Query) -> tuple[int, bytes, str]:
        start, end = _instant(query, "from"), _instant(query, "to")
        lines = self._lines(start, end)
        return 200, costs.csv_export(lines, start, end, self._settings).encode(), "text/csv; charset=utf-8"

    def _witness(self, path: str, query: Query) -> tuple[int, bytes, str]:
        rows = self._ledger.rows(
            _instant(query, "from") if "from" in query else None, _instant(query, "to") if "to" in query else None
        )
        if path == "/_witness/ledger":
            return _json([row.plain() for row in rows])
        if path == "/_witness/summary":
            return _json(summary(rows, self._settings))
        return _error(404, f"Invalid URL (GET {path})")


def summary(rows: list[Row], settings: Settings) -> dict[str, Any]:
    """What was billed for those rows, and what the invoice makes of it; decimal strings, USD."""
    lines, confessed = misbilling.invoiced(rows, settings.models.values(), settings.billing)
    by_cause = {cause: sum((row.billed_usd for row in rows if row.cause is cause), Decimal(0)) for cause in Cause}
    return {
        "requests": len(rows),
        "invoiced_usd": f"{sum((line.amount for line in lines), Decimal(0)):f}",
        "exact_usd": f"{sum((line.exact for line in lines), Decimal(0)):f}",
        "rounding_usd": f"{sum((line.rounded - line.exact for line in lines), Decimal(0)):f}",
        "surcharge_usd": f"{sum((line.surcharge for line in lines), Decimal(0)):f}",
        "faults": [
            {"fault": each.injection.fault, "more": f"{each.more:f}", "less": f"{each.less:f}"} for each in confessed
        ],
        "billed_by_cause": {str(cause): f"{amount:f}" for cause, amount in by_cause.items()},
    }


def _instant(query: Query, name: str) -> datetime:
    """A Unix time or an ISO date. Raises PeriodInvalid."""
    text = _one(query, name, "")
    try:
        if text.isdigit():
            return datetime.fromtimestamp(int(text), UTC)
        found = datetime.fromisoformat(text)
    except (ValueError, OverflowError, OSError) as error:
        raise costs.PeriodInvalid(f"{name}: {text!r} is neither a Unix time nor an ISO date") from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _limit(query: Query) -> int:
    text = _one(query, "limit", str(costs.PAGE_DAYS_DEFAULT))
    if not text.isdigit():
        raise costs.PeriodInvalid(f"limit: {text!r} is not a number")
    return int(text)


def _one(query: Query, name: str, default: str) -> str:
    return query[name][0] if name in query else default


def _json(value: object) -> tuple[int, bytes, str]:
    return 200, orjson.dumps(value), "application/json"


def _error(status: int, message: str) -> tuple[int, bytes, str]:
    kind = "authentication_error" if status == 401 else "invalid_request_error"
    return status, wire.error_body(message, kind=kind), "application/json"
