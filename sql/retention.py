"""How long rows are kept, put into the tables' own TTL: the store lets them go by itself, a partition at a time.

Rate cards, invoices and the records of the schema have no TTL and never get one here; hours of rollups have theirs in
the schema. A table is altered only where what it says of itself is not what is wanted.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sql.placement import DATABASE, Placement
from sql.statements import Statement, execute, fetch, load

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

LEDGER = {"ingest_ledger": "at", "audits": "hour", "replays": "day"}
"""The tables that tell of landing, and the time of their rows."""
NEVER = 65_535
"""Days, for the spans that are kept always where others are not: 179 years."""
ROLLUPS = ("rollup_days", "rollup_totals", "rollup_months")


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """Days after which rows may go; 0 = they are kept always."""

    attempts: int = 0
    """What vendors bill."""
    others: int = 0
    """All other spans: operations, transitions, what applications report."""
    ledger: int = 0
    rollups: int = 0
    """Of days, totals and months, after the end of the month."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What one table is to say, and the statement that makes it say so."""

    database: str
    table: str
    days: tuple[int, ...]
    query: Statement
    params: dict[str, str | int]


def rules(wanted: Retention, placement: Placement) -> Iterator[Rule]:
    """One for each table that may let rows go. Pure."""
    yield _of_spans(wanted, placement.facts)
    for table, time in LEDGER.items():
        yield _rule(table, wanted.ledger, load("retention_rows"), {"table": table, "time": time, "days": wanted.ledger})
    for name in ROLLUPS:
        for table in (name, f"{name}_next"):
            yield _rule(table, wanted.rollups, load("retention_rollups"), {"table": table, "days": wanted.rollups})


def apply(client: "Client", wanted: Retention, placement: Placement) -> list[str]:
    """Make the tables of this server say it; the names of those that said something else. Raises the driver's error."""
    standing = {(database, table): tuple(days) for database, table, days in fetch(client, "retention_standing").rows()}
    changed = [
        rule for rule in rules(wanted, placement) if standing.get((rule.database, rule.table), rule.days) != rule.days
    ]
    for rule in changed:
        execute(client, rule.query.name, **rule.params)
    return [f"{rule.database}.{rule.table}" for rule in changed]


def _of_spans(wanted: Retention, facts: str) -> Rule:
    attempts, others = wanted.attempts, wanted.others
    if attempts == others:
        return _rule("spans", attempts, load("retention_spans"), {"facts": facts, "days": attempts}, facts)
    given: dict[str, str | int] = {"facts": facts, "attempts": attempts or NEVER, "others": others or NEVER}
    return Rule(facts, "spans", (attempts or NEVER, others or NEVER), load("retention_spans_apart"), given)


def _rule(table: str, days: int, query: Statement, params: dict[str, str | int], database: str = DATABASE) -> Rule:
    if days:
        return Rule(database, table, (days,), query, params)
    return Rule(database, table, (), load("retention_always"), {"database": database, "table": table})
