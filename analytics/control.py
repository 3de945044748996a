"""The control database as analytics meets it: transactions that somebody hands in, and the tables kept there.

Accounts, periods, exceptions' owners and the audit trail need compare-and-swap and outlive every process; facts do not
live here. Which database it is, whoever composes the process decides. Instants are text that sorts as they do.
"""

from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Protocol

from sqlalchemy import Connection, MetaData

METADATA = MetaData()
"""The tables of all of analytics that keeps any."""


class ControlDown(RuntimeError):
    """The control database cannot be had, or failed; the message holds no password."""


class Control(Protocol):
    """Transactions of the control database, one after the other, each committed at its block's end."""

    def transaction(self) -> AbstractContextManager[Connection]:
        """One transaction, taken for writing from its start. Raises ControlDown."""


def stamp(at: datetime) -> str:
    """An instant as the tables keep it: UTC to the microsecond, so that text order is the order of time."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def instant(text: str) -> datetime:
    """The instant that `stamp` wrote."""
    return datetime.fromisoformat(text)
