"""A gateway in the test's own loop: the real connection class, application and plane, over real sockets."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import uvicorn
import yaml
from uvicorn.server import ServerState

from gateway.api.admin import Admin
from gateway.api.app import create_app
from gateway.config import RoutingConfig, RoutingFile, load_text
from gateway.control.database import MEMORY, Database
from gateway.domain import clock
from gateway.feedback.answered import LookUp
from gateway.flow.plane import Books, Plane
from gateway.flow.reload import Reread, Serving
from gateway.wire.connection import GatewayConnection, bound_to
from tests.gateway.fakes import FakeBooks

ACME = "acme-key-0123456789"
GLOBEX = "globex-key-0123456789"
VENDOR_KEY = "sk-vendor-secret"
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Made once: httpx would load every certificate of the machine for each client, and these speak plain HTTP."""

CARD = {"currency": "USD", "effective_from": "2023-01-01T00:00:00Z"}


def settings(*urls: str, **changes: Any) -> dict[str, Any]:
    """A configuration with one upstream per url (u0, u1, ...), the alias `fast` on u0 with the others as its ladder."""
    rungs = [{"upstream": f"u{i}", "model": f"m{i}"} for i in range(len(urls))]
    card = {**CARD, "per_million_tokens": {"input": "1", "cache_read": "0.5", "output": "2"}}
    base: dict[str, Any] = {
        "tenants": {
            "acme": {"keys": [ACME], "tiers": ["interactive", "batch"]},
            "globex": {"keys": [GLOBEX], "tiers": ["interactive"]},
        },
        "tiers": {
            "interactive": {"max_inflight": 8, "max_queue": 8, "max_queue_seconds": 5, "first_token_timeout_s": 5},
            "batch": {"max_inflight": 2, "max_queue": 2, "max_queue_seconds": 5},
        },
        "upstreams": {
            f"u{i}": {"base_url": url, "api_key": VENDOR_KEY, "provider": "openai", "account": f"acct{i}"}
            for i, url in enumerate(urls)
        },
        "aliases": {
            "fast": {"tier": "interactive", "targets": rungs[:1], "fallback": rungs[1:]},
            "bulk": {"tier": "batch", "targets": rungs[:1]},
        },
        "fallback": {"max_extra_spend_usd": "1"},
        "rate_cards": [{"provider": "openai", "model": rung["model"], **card} for rung in rungs],
    }
    return merged(base, changes)


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """`base` with `changes` laid over it, mapping by mapping."""
    result = dict(base)
    for name, value in changes.items():
        old = result.get(name)
        result[name] = merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return result


def routing(*urls: str, **changes: Any) -> RoutingConfig:
    """The checked value of `settings`."""
    return load_text(yaml.safe_dump(settings(*urls, **changes)), RoutingFile, env={}).routing()


class Gateway:
    """A gateway that serves."""

    def __init__(self, serving: Serving, books: FakeBooks, port: int, state: ServerState) -> None:
        self.serving = serving
        self.books = books
        self.port = port
        self.state = state
        self._writers: list[asyncio.StreamWriter] = []

    @property
    def plane(self) -> Plane:
        """The one that serves now."""
        return self.serving.plane

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self, key: str = ACME) -> httpx.AsyncClient:
        """An HTTP client with that key."""
        headers = {"authorization": f"Bearer {key}"}
        return httpx.AsyncClient(base_url=self.url, headers=headers, trust_env=False, timeout=20, verify=NO_TLS)

    async def raw(self, data: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection of one's own, with those bytes sent."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self._writers.append(writer)
        writer.write(data)
        return reader, writer

    def hang_up(self) -> None:
        """Close what `raw` opened: a failed test leaves nothing behind that uvloop would wait for."""
        for writer in self._writers:
            writer.close()


@asynccontextmanager
async def gateway(
    config: RoutingConfig,
    books: Books | None = None,
    *,
    database: Database | None = None,
    draw: Callable[[], float] = lambda: 0.0,
    read_again: Callable[[], Reread] | None = None,
    look_up: LookUp | None = None,
) -> AsyncIterator[Gateway]:
    """Serve that configuration for as long as the block lasts. `database` is the caller's to close; without one it is
    in memory. `draw` is what the gateway takes for chance. A reload takes what `read_again` gives then."""
    loop = asyncio.get_running_loop()
    kept = FakeBooks()
    control = database or Database(MEMORY)
    control.open()
    serving = Serving(Plane(config, books or kept, loop, control, draw, look_up), read_again)
    bound = bound_to(serving.plane)
    serving.follow(lambda plane: setattr(bound, "plane", plane))
    server_config = uvicorn.Config(
        create_app(lambda: serving.plane, Admin(serving)), http=bound,
        lifespan="off", log_config=None, access_log=False, ws="none",
        proxy_headers=False, server_header=False,
    )  # fmt: skip
    server_config.load()
    state = ServerState()
    state.default_headers = [(b"date", b"Mon, 23 Nov 2026 12:00:00 GMT")]

    def connection() -> GatewayConnection:
        return bound(server_config, state, {}, loop)

    server = await loop.create_server(connection, "127.0.0.1", 0)
    served = Gateway(serving, kept, server.sockets[0].getsockname()[1], state)
    try:
        yield served
    finally:
        served.hang_up()
        server.close()
        await serving.plane.close()
        for open_connection in tuple(state.connections):
            open_connection.transport.abort()
        await asyncio.sleep(0)
        if database is None:
            control.close()


async def until(condition: Callable[[], object], within_s: float = 5.0) -> None:
    """Return once `condition` holds; fail if it does not within the time."""
    deadline = clock.monotonic() + within_s
    while not condition():
        assert clock.monotonic() < deadline, "it did not come about in time"
        await asyncio.sleep(0.002)


def chat_request(**changes: Any) -> dict[str, Any]:
    """The body of a chat request."""
    return {"model": "fast", "messages": [{"role": "user", "content": "Hi"}], **changes}


def post(body: bytes, *headers: str, key: str = ACME, version: str = "1.1") -> bytes:
    """A chat request as bytes."""
    lines = [
        f"POST /v1/chat/completions HTTP/{version}",
        "host: localhost",
        f"authorization: Bearer {key}",
        f"content-length: {len(body)}",
        *headers,
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body
