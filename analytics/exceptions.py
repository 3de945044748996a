"""What no explanation settles, each with an id that stays: somebody owns it, and says what was found out.

Owners and notes live in the control database, each change a row of the audit trail; the figures stay in the store. A
month that is signed or closed takes no more of either: its pack has what was known.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Column, Connection, String, Table, Text, delete, insert, select

from analytics import trail
from analytics.control import METADATA
from analytics.reconciliation.summary import Reconciliation
from analytics.reconciliation.variance import Line, Part

EXCEPTIONAL = frozenset({"UNEXPLAINED", "UNTRACKED_CHARGE", "UNBILLED_USAGE", "DUPLICATE"})
"""The classes of variance that somebody has to look into."""

OWNED = Table(
    "exceptions",
    METADATA,
    Column("month", String(7), primary_key=True),
    Column("exception_id", String(16), primary_key=True),
    Column("owner", String(100), nullable=False),
    Column("note", Text, nullable=False),
)

NOTE_MAX = 2000


class ExceptionUnknown(LookupError):
    """The month has no exception of that id."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A part of a line that somebody has to look into."""

    exception_id: str
    line: Line
    part: Part


@dataclass(frozen=True, slots=True)
class Care:
    """Who looks into it, and what was found out; "" = nobody, nothing."""

    owner: str = ""
    note: str = ""


NOBODYS = Care()


def findings(month: Reconciliation) -> list[Finding]:
    """The parts that no explanation settles, the largest first."""
    found = [
        Finding(_identify(month.month, line, part, number), line, part)
        for line in month.lines
        for number, part in enumerate(line.parts)
        if part.variance_class.value in EXCEPTIONAL
    ]
    return sorted(found, key=lambda each: (-each.part.amount.copy_abs(), each.line.key, each.exception_id))


def _identify(month: str, line: Line, part: Part, number: int) -> str:
    """The same while the line has that part: what it costs may change, and its owner and note stay."""
    of_class = [at for at, each in enumerate(line.parts) if each.variance_class is part.variance_class]
    said = "|".join((month, *map(str, line.key), part.variance_class.value, str(of_class.index(number))))
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def cares(connection: Connection, month: str) -> Mapping[str, Care]:
    """Owner and note of the month's exceptions, by id; most have none."""
    rows = connection.execute(select(OWNED).where(OWNED.c.month == month))
    return {row.exception_id: Care(row.owner, row.note) for row in rows}


def take_care(connection: Connection, month: str, exception_id: str, care: Care, *, by: str, now: datetime) -> None:
    """Write owner and note; the audit trail keeps what they were."""
    before = cares(connection, month).get(exception_id, NOBODYS)
    if before == care:
        return
    same = (OWNED.c.month == month, OWNED.c.exception_id == exception_id)
    connection.execute(delete(OWNED).where(*same))
    row = {"month": month, "exception_id": exception_id, "owner": care.owner, "note": care.note}
    connection.execute(insert(OWNED).values(**row))
    detail = {"before": {"owner": before.owner, "note": before.note}, "after": {"owner": care.owner, "note": care.note}}
    trail.append(
        connection, at=now, actor=by, action="exception_noted", subject=f"{month}/{exception_id}", detail=detail
    )
