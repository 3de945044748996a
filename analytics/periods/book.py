"""Periods in the control database, and the files that a closed month was frozen with.

A step is written only over the revision that whoever takes it has seen (compare-and-swap), in one transaction with its
row of the audit trail, and at closing with the frozen files. A month without a row is open.
"""

import zlib
from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import (
    Column,
    Connection,
    Integer,
    LargeBinary,
    RowMapping,
    String,
    Table,
    delete,
    insert,
    select,
    update,
)

from analytics.control import METADATA, instant, stamp
from analytics.periods.machine import Period, Signature, State

PERIODS = Table(
    "periods",
    METADATA,
    Column("month", String(7), primary_key=True),
    Column("state", String(20), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("prepared_by", String(100)),
    Column("prepared_at", String(27)),
    Column("reviewed_by", String(100)),
    Column("reviewed_at", String(27)),
    Column("figures", String(64), nullable=False),
    Column("closed_at", String(27)),
    Column("pack", String(64), nullable=False),
)

FROZEN = Table(
    "period_files",
    METADATA,
    Column("month", String(7), primary_key=True),
    Column("name", String(100), primary_key=True),
    Column("position", Integer, nullable=False),
    Column("content", LargeBinary, nullable=False),
)
"""What a closed month's pack holds, deflated; a month that is opened again has none."""


class Contested(Exception):
    """Someone else took a step of that month meanwhile."""


def read(connection: Connection, month: str) -> Period:
    """The month's period; one that nobody touched yet is open, at revision 0."""
    row = connection.execute(select(PERIODS).where(PERIODS.c.month == month)).mappings().first()
    return _period(row) if row else Period(month=month)


def all_of(connection: Connection) -> Sequence[Period]:
    """Every month that a step was taken of, in order."""
    return [_period(row) for row in connection.execute(select(PERIODS).order_by(PERIODS.c.month)).mappings()]


def write(connection: Connection, seen: Period, moved: Period) -> None:
    """Put `moved` in the place of `seen`. Raises Contested where that is no longer what stands."""
    row = {
        "state": moved.state.value,
        "revision": moved.revision,
        **_signed("prepared", moved.prepared),
        **_signed("reviewed", moved.reviewed),
        "figures": moved.figures,
        "closed_at": stamp(moved.closed_at) if moved.closed_at else None,
        "pack": moved.pack,
    }
    if read(connection, seen.month).revision != seen.revision:
        raise Contested(f"someone else took a step of {seen.month} meanwhile: look at it again")
    if seen.revision == 0:
        connection.execute(insert(PERIODS).values(month=seen.month, **row))
        return
    same = (PERIODS.c.month == seen.month, PERIODS.c.revision == seen.revision)
    if connection.execute(update(PERIODS).where(*same).values(**row)).rowcount != 1:
        raise Contested(f"someone else took a step of {seen.month} meanwhile: look at it again")


def freeze(connection: Connection, month: str, files: Mapping[str, bytes]) -> None:
    """Keep those files, `deflated`, as what the month's pack is; none = it has no pack any more."""
    connection.execute(delete(FROZEN).where(FROZEN.c.month == month))
    for position, (name, content) in enumerate(files.items()):
        row = {"month": month, "name": name, "position": position, "content": content}
        connection.execute(insert(FROZEN).values(**row))


def deflated(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The files as they are kept."""
    return {name: zlib.compress(content, 6) for name, content in files.items()}


def frozen(connection: Connection, month: str, names: Sequence[str] = ()) -> dict[str, bytes]:
    """The files of a closed month as they are kept, in their order; empty for one that is not closed.

    `inflated` makes them what they are; do that when the transaction is over, since others wait for its end.
    """
    wanted = select(FROZEN.c.name, FROZEN.c.content).where(FROZEN.c.month == month).order_by(FROZEN.c.position)
    if names:
        wanted = wanted.where(FROZEN.c.name.in_(names))
    return {row.name: row.content for row in connection.execute(wanted)}


def inflated(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """What `frozen` gave, as it was frozen."""
    return {name: zlib.decompress(content) for name, content in files.items()}


def _signed(what: str, signature: Signature | None) -> dict[str, str | None]:
    by, at = (signature.by, stamp(signature.at)) if signature else (None, None)
    return {f"{what}_by": by, f"{what}_at": at}


def _signature(by: str | None, at: str | None) -> Signature | None:
    return Signature(by=by, at=instant(at)) if by and at else None


def _instant(text: str | None) -> datetime | None:
    return instant(text) if text else None


def _period(row: RowMapping) -> Period:
    return Period(
        month=row["month"],
        state=State(row["state"]),
        revision=row["revision"],
        prepared=_signature(row["prepared_by"], row["prepared_at"]),
        reviewed=_signature(row["reviewed_by"], row["reviewed_at"]),
        figures=row["figures"],
        closed_at=_instant(row["closed_at"]),
        pack=row["pack"],
    )
