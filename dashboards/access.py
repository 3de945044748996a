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


class NoAccess(Exception):
    """The principal asked for tenants that are not its own."""


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
    """The tenants to put into a query: `asked`, or all that the principal may see. Raises NoAccess for any other.

    An empty answer means all tenants and is given only to a principal without bounds.
    """
    if principal.tenants is None:
        return tuple(asked)
    if not principal.tenants:
        raise NoAccess(f"{principal.name} has no tenant yet. Ask an administrator for one.")
    if foreign := sorted(set(asked) - principal.tenants):
        raise NoAccess(f"{principal.name} may not see {', '.join(foreign)}.")
    return tuple(asked) or tuple(sorted(principal.tenants))


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
