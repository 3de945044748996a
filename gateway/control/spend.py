"""How much of each bound a month has used up, over every process that draws on it: one row per bound and month.

A process takes a lease of a row before it spends, and gives back what it did not need; the row counts every lease as
used. Amounts are whole billionths of a dollar, since SQLite has no exact decimals: leases are rounded up to one.
"""

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from sqlalchemy import BigInteger, Column, Connection, String, Table, select, update
from sqlalchemy.dialects import postgresql, sqlite

from gateway.control.database import METADATA

SPEND = Table(
    "spend",
    METADATA,
    Column("bound", String(200), primary_key=True),
    Column("month", String(7), primary_key=True),
    Column("used_nanos", BigInteger, nullable=False),
)
"""`bound` says whose and which; `month` is YYYY-MM in UTC."""

NANO = Decimal("0.000000001")


def lease(
    connection: Connection, bound: str, month: str, *, limit: Decimal, least: Decimal, wanted: Decimal
) -> tuple[Decimal, Decimal]:
    """Take `wanted` dollars of the month's limit, or what is left of it if that is `least` or more, or else nothing.

    Returns what was taken and what all processes have taken so far.
    """
    used = _used(connection, bound, month)
    room = _nanos(limit, ROUND_FLOOR) - used
    taken = min(_nanos(wanted, ROUND_CEILING), room) if _nanos(least, ROUND_CEILING) <= room else 0
    if taken:
        used = _write(connection, bound, month, used + taken)
    return taken * NANO, used * NANO


def add(connection: Connection, bound: str, month: str, usd: Decimal) -> Decimal:
    """Use up so much more, whatever the limit; below zero to give back. Returns what is used up then, rounded up."""
    used = _used(connection, bound, month)
    return _write(connection, bound, month, max(0, used + _nanos(usd, ROUND_CEILING))) * NANO


def used_of(connection: Connection, month: str) -> dict[str, Decimal]:
    """What each bound has used up in that month."""
    rows = connection.execute(select(SPEND.c.bound, SPEND.c.used_nanos).where(SPEND.c.month == month))
    return {bound: nanos * NANO for bound, nanos in rows}


def _used(connection: Connection, bound: str, month: str) -> int:
    """The row's amount; the row is made where there is none, and is ours until the transaction ends."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    connection.execute(insert(SPEND).values(bound=bound, month=month, used_nanos=0).on_conflict_do_nothing())
    row = select(SPEND.c.used_nanos).where(SPEND.c.bound == bound, SPEND.c.month == month).with_for_update()
    return int(connection.execute(row).scalar_one())


def _write(connection: Connection, bound: str, month: str, nanos: int) -> int:
    rows = update(SPEND).where(SPEND.c.bound == bound, SPEND.c.month == month)
    connection.execute(rows.values(used_nanos=nanos))
    return nanos


def _nanos(usd: Decimal, rounding: str) -> int:
    return int((usd / NANO).to_integral_value(rounding))
