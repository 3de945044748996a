"""Who is looking, and what of the books they may see.

There is no login yet. So the dashboards answer on loopback only, to requests that name loopback as their host (a page
on some other site can make a browser knock here, but cannot give it that name), and whoever reaches them is `OPERATOR`,
who may see every tenant. All the same, every query asks `tenants_seen`, so that a principal bound to tenants can never
widen its view by editing an address: when logins come, they set the principal here and nothing else changes.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass

from analytics.accounts import NoAccess, roles

__all__ = [
    "OPERATOR",
    "NoAccess",
    "NotLoopback",
    "Principal",
    "current",
    "is_loopback",
    "require_loopback",
    "tenants_seen",
]


class NotLoopback(ValueError):
    """The dashboards were told to listen where others can reach them, and they have no login."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Someone who looks at the books. `tenants` None means all of them."""

    name: str
    tenants: frozenset[str] | None = None


OPERATOR = Principal("operator on this machine")

_current: ContextVar[Principal] = ContextVar("principal", default=OPERATOR)


def current() -> Principal:
    """The principal of the request that is being answered."""
    return _current.get()


def tenants_seen(principal: Principal, asked: Sequence[str]) -> tuple[str, ...]:
    """As analytics.accounts.roles.tenants_seen."""
    return roles.tenants_seen(principal.name, principal.tenants, asked)


def require_loopback(host: str) -> None:
    """Raise NotLoopback unless `host` is an address of this machine only."""
    if not is_loopback(host):
        raise NotLoopback(
            f"the dashboards have no login yet and show every tenant's money: listen on 127.0.0.1, not {host}, "
            "and reach it from elsewhere through ssh -L"
        )


def is_loopback(host: str) -> bool:
    """Whether a host name or address, with or without port and brackets, is this machine's loopback."""
    name = host.strip().lower()
    name = (
        name[1:].partition("]")[0]
        if name.startswith("[")
        else name.rpartition(":")[0]
        if name.count(":") == 1
        else name
    )
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
