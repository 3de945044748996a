"""Clients of the store: clickhouse-connect over HTTP, to the embedded store or to any ClickHouse, sync or async.

Every option that matters is said here. No session is kept, so one client may serve several threads or tasks. The
password goes in a header, never in the URL.
"""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import clickhouse_connect
from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import OperationalError

from sql.addresses import addresses
from sql.credentials import READER, WRITER

CONNECT_SECONDS = 5
WRITE_SECONDS = 300
READ_SECONDS = 120


def writer(url: str, password: str, *, user: str = WRITER, ca: Path | None = None) -> Client:
    """A client that may insert and change the schema, of the first of the addresses in `url` that answers.

    Raises ValueError for one that is not http(s)://host[:port], the driver's OperationalError where none answers. `ca`
    is what an https server's certificate is signed by; None = one of the system's CAs. So it is for the others.
    """
    return _first(url, lambda one: clickhouse_connect.get_client(**options(one, user, password, WRITE_SECONDS, ca)))


def reader(url: str, password: str, *, user: str = READER, ca: Path | None = None) -> Client:
    """A client that may only ask."""
    return _first(url, lambda one: clickhouse_connect.get_client(**options(one, user, password, READ_SECONDS, ca)))


async def async_reader(url: str, password: str, *, user: str = READER, ca: Path | None = None) -> AsyncClient:
    """An async client that may only ask; made on the loop that will use it."""
    *others, last = addresses(url)
    for one in others:
        with contextlib.suppress(OperationalError):
            return await clickhouse_connect.get_async_client(**options(one, user, password, READ_SECONDS, ca))
    return await clickhouse_connect.get_async_client(**options(last, user, password, READ_SECONDS, ca))


def _first(url: str, connect: Callable[[str], Client]) -> Client:
    *others, last = addresses(url)
    for one in others:
        with contextlib.suppress(OperationalError):
            return connect(one)
    return connect(last)


def options(url: str, user: str, password: str, seconds: int, ca: Path | None = None) -> dict[str, Any]:
    """What clickhouse-connect is told, each option that matters. Raises ValueError for an address it cannot take."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"the store's URL is http://host:port or https://host:port, not {parts.hostname!r}")
    if parts.username or parts.password:
        raise ValueError("the store's URL carries a password: give it by file or environment instead")
    remote = parts.hostname not in ("127.0.0.1", "localhost", "::1")
    return {
        "interface": parts.scheme,
        "host": parts.hostname,
        "port": parts.port or (8443 if parts.scheme == "https" else 8123),
        "username": user,
        "password": password,
        "database": "__default__",
        "compress": remote,
        "connect_timeout": CONNECT_SECONDS,
        "send_receive_timeout": seconds,
        "query_limit": 0,
        "autogenerate_session_id": False,
        "autogenerate_query_id": True,
        "tz_mode": "naive_utc",
        "client_name": "tollway",
        "ca_cert": str(ca) if ca else None,
    }
