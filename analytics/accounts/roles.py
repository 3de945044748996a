"""Roles and what each may do. Pure.

finance            reads everything; prepares a month and owns its exceptions
finance_approver   the same, and reviews, closes and reopens
sre                reads everything
admin              reads everything, and the accounts
tenant:<id>        reads the spend of that tenant, and nothing else

Roles add up. Whoever has no role but those of tenants is bound to them.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

TENANT = "tenant:"


class Right(StrEnum):
    """What an actor may do beyond reading its own tenants' spend."""

    READ = "read every tenant's books"
    PREPARE = "prepare a month"
    REVIEW = "review, close or reopen a month"
    ACCOUNTS = "see accounts"


RIGHTS = {
    "finance": frozenset({Right.READ, Right.PREPARE}),
    "finance_approver": frozenset({Right.READ, Right.PREPARE, Right.REVIEW}),
    "sre": frozenset({Right.READ}),
    "admin": frozenset({Right.READ, Right.ACCOUNTS}),
}


class RoleInvalid(ValueError):
    """A text that names no role."""


class Forbidden(Exception):
    """The actor's roles do not go so far."""


class NoAccess(Forbidden):
    """The actor asked for tenants that are not its own."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Someone known by name. The roles were checked when they were given."""

    name: str
    roles: frozenset[str]

    @property
    def rights(self) -> frozenset[Right]:
        """All that the roles allow together."""
        return frozenset(right for role in self.roles for right in RIGHTS.get(role, ()))

    @property
    def tenants(self) -> frozenset[str] | None:
        """The tenants it is bound to; None = it may see every one."""
        if Right.READ in self.rights:
            return None
        return frozenset(role.removeprefix(TENANT) for role in self.roles if role.startswith(TENANT))

    def require(self, right: Right) -> None:
        """Raise Forbidden, naming the roles that would do, unless the actor has that right."""
        if right not in self.rights:
            able = ", ".join(sorted(role for role, rights in RIGHTS.items() if right in rights))
            raise Forbidden(f"{self.name} may not {right}: that takes the role {able}")


def checked(roles: Iterable[str]) -> frozenset[str]:
    """The roles, if each is one. Raises RoleInvalid."""
    found = frozenset(roles)
    for role in sorted(found):
        if role not in RIGHTS and re.fullmatch(rf"{TENANT}[\w.-]{{1,100}}", role, re.ASCII) is None:
            raise RoleInvalid(f"{role!r} is no role; write {', '.join(RIGHTS)} or {TENANT}NAME")
    if not found:
        raise RoleInvalid(f"an account needs a role: {', '.join(RIGHTS)} or {TENANT}NAME")
    return found


def tenants_seen(name: str, tenants: frozenset[str] | None, asked: Sequence[str]) -> tuple[str, ...]:
    """The tenants to put into a query: `asked`, or all that the actor may see. Raises NoAccess for any other.

    An empty answer means all tenants and is given only to an actor without bounds.
    """
    if tenants is None:
        return tuple(asked)
    if not tenants:
        raise NoAccess(f"{name} has no tenant yet. Ask an administrator for one.")
    if foreign := sorted(set(asked) - tenants):
        raise NoAccess(f"{name} may not see {', '.join(foreign)}.")
    return tuple(asked) or tuple(sorted(tenants))
