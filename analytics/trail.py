"""The audit trail: who did what to what, when and with which figures. Rows are appended, chained by their hashes, and
neither changed nor deleted: the database itself refuses both.

A row's hash is over the row before it, so whoever edits one behind the database's back breaks every later link, and
`broken` says where. It does not keep out someone who rewrites the whole chain: for that, a pack carries the hash of the
last row, and packs leave the house.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import DDL, Column, Connection, Integer, String, Table, Text, event, insert, select

from analytics.control import METADATA, instant, stamp

TRAIL = Table(
    "audit_trail",
    METADATA,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("at", String(27), nullable=False),
    Column("actor", String(200), nullable=False),
    Column("action", String(40), nullable=False),
    Column("subject", String(200), nullable=False),
    Column("detail", Text, nullable=False),
    Column("previous", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
)

FIRST = "0" * 64
"""What the first row names as the one before it."""

_REFUSE = {
    "sqlite": [
        f"CREATE TRIGGER audit_trail_no_{verb} BEFORE {verb.upper()} ON audit_trail "
        "BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END"
        for verb in ("update", "delete")
    ],
    "postgresql": [
        "CREATE OR REPLACE FUNCTION audit_trail_refuse() RETURNS trigger AS $$ "
        "BEGIN RAISE EXCEPTION 'the audit trail is append-only'; END $$ LANGUAGE plpgsql",
        "CREATE TRIGGER audit_trail_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_trail "
        "FOR EACH STATEMENT EXECUTE FUNCTION audit_trail_refuse()",
    ],
}
for _dialect, _statements in _REFUSE.items():
    for _statement in _statements:
        event.listen(TRAIL, "after_create", DDL(_statement).execute_if(dialect=_dialect))  # type: ignore[no-untyped-call]


@dataclass(frozen=True, slots=True)
class Entry:
    """One row. `detail` is what the action is about: totals, a reason, a change's two sides."""

    number: int
    at: datetime
    actor: str
    action: str
    subject: str
    detail: Mapping[str, object]
    hash: str


def append(
    connection: Connection,
    *,
    at: datetime,
    actor: str,
    action: str,
    subject: str,
    detail: Mapping[str, object] | None = None,
) -> str:
    """Add a row behind the last one; returns its hash. `detail` is written as JSON, so it holds no Decimal."""
    last = connection.execute(select(TRAIL.c.number, TRAIL.c.hash).order_by(TRAIL.c.number.desc()).limit(1)).first()
    number, previous = (last.number + 1, last.hash) if last else (1, FIRST)
    row = {
        "number": number,
        "at": stamp(at),
        "actor": actor,
        "action": action,
        "subject": subject,
        "detail": json.dumps(detail or {}, sort_keys=True, ensure_ascii=False),
        "previous": previous,
    }
    digest = _hash(row)
    connection.execute(insert(TRAIL).values(**row, hash=digest))
    return digest


def last_hash(connection: Connection) -> str:
    """The hash of the newest row: it stands for the whole trail."""
    return connection.scalar(select(TRAIL.c.hash).order_by(TRAIL.c.number.desc()).limit(1)) or FIRST


def entries(connection: Connection, *, subject: str = "", after: int = 0, limit: int = 1000) -> Sequence[Entry]:
    """The rows after that number, oldest first, of one subject where it is given."""
    wanted = select(TRAIL).where(TRAIL.c.number > after).order_by(TRAIL.c.number).limit(limit)
    if subject:
        wanted = wanted.where(TRAIL.c.subject == subject)
    return [
        Entry(row.number, instant(row.at), row.actor, row.action, row.subject, json.loads(row.detail), row.hash)
        for row in connection.execute(wanted)
    ]


def broken(connection: Connection) -> str:
    """Where the chain does not hold, in words; "" = it holds from the first row to the last."""
    return next(_breaks(connection), "")


def _breaks(connection: Connection) -> Iterator[str]:
    previous = FIRST
    for number, row in enumerate(connection.execute(select(TRAIL).order_by(TRAIL.c.number)), start=1):
        if row.number != number:
            yield f"row {number} of the audit trail is missing"
        plain = {name: getattr(row, name) for name in ("number", "at", "actor", "action", "subject", "detail")}
        if row.previous != previous or row.hash != _hash(plain | {"previous": row.previous}):
            yield f"row {row.number} of the audit trail was changed after it was written"
        previous = row.hash


def _hash(row: Mapping[str, object]) -> str:
    text = json.dumps(row, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
