"""The accounts in the control database. Every change is a row of the audit trail, in the same transaction.

A password or a token is given back once, to whoever made it, and kept as a hash. Guessing a password is slow (scrypt)
and grows slower: after five wrong ones in a row an account rests, twice as long each time, up to five minutes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache

from sqlalchemy import Column, Connection, ForeignKey, Integer, String, Table, Text, insert, select, update

from analytics import trail
from analytics.accounts import secrets
from analytics.accounts.roles import Actor, checked
from analytics.control import METADATA, instant, stamp

ACCOUNTS = Table(
    "accounts",
    METADATA,
    Column("name", String(100), primary_key=True),
    Column("roles", Text, nullable=False),
    Column("password", Text, nullable=False),
    Column("made_at", String(27), nullable=False),
    Column("disabled_at", String(27)),
    Column("failures", Integer, nullable=False),
    Column("failed_at", String(27)),
)
"""`roles` are separated by blanks; `failures` are wrong passwords since the last right one."""

TOKENS = Table(
    "tokens",
    METADATA,
    Column("digest", String(64), primary_key=True),
    Column("account", String(100), ForeignKey(ACCOUNTS.c.name), nullable=False),
    Column("made_at", String(27), nullable=False),
    Column("expires_at", String(27), nullable=False),
)

FREE_FAILURES = 5
REST_MAX = timedelta(minutes=5)
TOKEN_DAYS_MAX = 366


class AccountInvalid(ValueError):
    """An account that cannot be made, or does not exist."""


class Unauthenticated(Exception):
    """Nobody we know; the message says what to do and never which part was wrong."""


@dataclass(frozen=True, slots=True)
class Account:
    """An account, without its secrets."""

    name: str
    roles: tuple[str, ...]
    made_at: datetime
    disabled_at: datetime | None


def add(connection: Connection, name: str, roles: Iterable[str], *, by: str, now: datetime) -> str:
    """Make an account; returns its password. Raises AccountInvalid for a name that is taken, RoleInvalid."""
    given = sorted(checked(roles))
    if not name.isascii() or not name.isprintable() or not name.strip() or name != name.strip() or len(name) > 100:
        raise AccountInvalid(f"{name!r} is no name for an account: up to 100 printable ASCII characters")
    if connection.scalar(select(ACCOUNTS.c.name).where(ACCOUNTS.c.name == name)):
        raise AccountInvalid(f"there is an account {name!r} already; names are never used again")
    password = secrets.new_password()
    row = {"name": name, "roles": " ".join(given), "password": secrets.hashed(password), "made_at": stamp(now)}
    connection.execute(insert(ACCOUNTS).values(**row, failures=0))
    trail.append(connection, at=now, actor=by, action="account_added", subject=name, detail={"roles": given})
    return password


def disable(connection: Connection, name: str, *, by: str, now: datetime) -> None:
    """No password and no token of it works from now on. Raises AccountInvalid where there is none."""
    if _row(connection, name).disabled_at is None:
        connection.execute(update(ACCOUNTS).where(ACCOUNTS.c.name == name).values(disabled_at=stamp(now)))
        trail.append(connection, at=now, actor=by, action="account_disabled", subject=name)


def issue(connection: Connection, name: str, *, days: float, by: str, now: datetime) -> str:
    """Make a token of that account for so many days; returns it. Raises AccountInvalid."""
    if not 0 < days <= TOKEN_DAYS_MAX:
        raise AccountInvalid(f"a token lasts for up to {TOKEN_DAYS_MAX} days, not {days:g}")
    if _row(connection, name).disabled_at is not None:
        raise AccountInvalid(f"the account {name!r} is disabled, so it gets no token")
    token, until = secrets.new_token(), now + timedelta(days=days)
    row = {"digest": secrets.digest(token), "account": name, "made_at": stamp(now), "expires_at": stamp(until)}
    connection.execute(insert(TOKENS).values(**row))
    trail.append(connection, at=now, actor=by, action="token_issued", subject=name, detail={"expires_at": stamp(until)})
    return token


def authenticate(connection: Connection, token: str, *, now: datetime) -> Actor:
    """Who sends that token. Raises Unauthenticated for one that is unknown or expired, or of a disabled account."""
    joined = select(ACCOUNTS.c.name, ACCOUNTS.c.roles, ACCOUNTS.c.disabled_at, TOKENS.c.expires_at).join(
        TOKENS, TOKENS.c.account == ACCOUNTS.c.name
    )
    row = connection.execute(joined.where(TOKENS.c.digest == secrets.digest(token))).first()
    if row is None or row.disabled_at is not None or row.expires_at <= stamp(now):
        raise Unauthenticated(
            "the token is unknown, expired or of a disabled account: `tollway accounts token NAME` makes one"
        )
    return Actor(row.name, frozenset(row.roles.split()))


def accounts(connection: Connection) -> Sequence[Account]:
    """All of them, by name."""
    return [
        Account(
            row.name,
            tuple(row.roles.split()),
            instant(row.made_at),
            instant(row.disabled_at) if row.disabled_at else None,
        )
        for row in connection.execute(select(ACCOUNTS).order_by(ACCOUNTS.c.name))
    ]


def sign_in(connection: Connection, name: str, password: str, *, now: datetime) -> Actor | None:
    """Who that is; None = not the password, or no such account, or it rests after too many wrong ones.

    It does not raise, since a wrong password must be counted: let the transaction commit.
    """
    row = connection.execute(select(ACCOUNTS).where(ACCOUNTS.c.name == name)).first()
    kept = row.password if row else _nobodys()
    resting = row is not None and rests_until(row.failures, row.failed_at) > now
    right = not resting and secrets.matches(password, kept)
    if row is None or resting or row.disabled_at is not None:
        return None
    counted = {"failures": 0, "failed_at": None} if right else {"failures": row.failures + 1, "failed_at": stamp(now)}
    connection.execute(update(ACCOUNTS).where(ACCOUNTS.c.name == name).values(**counted))
    if not right:
        return None
    return Actor(name, frozenset(row.roles.split()))


def rests_until(failures: int, failed_at: str | None) -> datetime:
    """Until when no password is tried, after so many wrong ones in a row. Pure."""
    if failed_at is None:
        return instant("0001-01-01T00:00:00.000000Z")
    rest = timedelta() if failures < FREE_FAILURES else min(timedelta(seconds=2 ** (failures - 4)), REST_MAX)
    return instant(failed_at) + rest


def _row(connection: Connection, name: str) -> Account:
    found = next((each for each in accounts(connection) if each.name == name), None)
    if found is None:
        raise AccountInvalid(f"there is no account {name!r}; `tollway accounts list` shows them")
    return found


@cache
def _nobodys() -> str:
    """What a password for no account is held against, so that names cannot be told apart by time."""
    return secrets.hashed(secrets.new_password())
