"""The ASGI door in front of everything: who may knock, which paths exist, and the headers each answer carries.

It is around the whole because Dash runs its own hooks for some of its paths only: a deep link to a page skips them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dashboards.access import is_loopback

API = "/api/"
"""What is below it asks for a token of its own, and is an app of its own."""
PREFIXES = ("/_dash-", "/assets/", "/csv/")
PATHS = frozenset({"/_favicon.ico", "/healthz", "/readyz", "/metrics"})
HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


class Front:
    """Passes what exists to the app: a page's path as `/`, where Dash serves its index with all its hooks run."""

    def __init__(self, app: ASGIApp, pages: Iterable[str], *, home: str, api: ASGIApp | None = None) -> None:
        self._app = app
        self._api = api
        self._pages = frozenset(pages)
        self._home = home

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008, "reason": "not used here"})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, query = scope["path"], scope["query_string"].decode("latin-1")
        if not is_loopback(_header(scope, b"host")):
            await _say(send, 421, "The dashboards have no login yet, so they answer to localhost and 127.0.0.1 only.")
        elif path == "/":
            await _redirect(send, f"{self._home}?{query}" if query else self._home)
        elif path in self._pages:
            await self._app({**scope, "path": "/", "raw_path": b"/"}, receive, _with_headers(send))
        elif self._api and path.startswith(API):
            await self._api(scope, receive, _with_headers(send))
        elif path in PATHS or path.startswith(PREFIXES):
            await self._app(scope, receive, _with_headers(send))
        else:
            pages = ", ".join(sorted(self._pages))
            await _say(send, 404, f"There is nothing at {json.dumps(path[:200])}. There are: {pages}.")


def _header(scope: Scope, name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *HEADERS]}
        await send(message)

    return sending


async def _say(send: Send, status: int, text: str) -> None:
    body = f"{text}\n".encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode()), *HEADERS]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _redirect(send: Send, where: str) -> None:
    headers = [(b"location", where.encode("latin-1")), (b"content-length", b"0"), *HEADERS]
    await send({"type": "http.response.start", "status": 307, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
