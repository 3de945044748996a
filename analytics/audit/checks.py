"""The equalities that have to hold, and what breaks each: by hour, so that it can be said where, and kept.

received = stored + duplicate + parked + pending    what collectors told of their ledgers, by segment and sender
facts = ledger                                      spans by batch and tenant
facts = rollups, days = totals, days = months       every sum
one row a span                                      attempt ids and span keys
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from clickhouse_connect.driver.client import Client

from analytics import rollups
from analytics.audit import questions
from analytics.rollups.sources import day_of
from analytics.windows import Window

BOOKS = "received = stored + duplicate + parked + pending"
BATCHES = "facts = ledger"
ROLLUPS = "facts = rollups"
SPANS = "one row a span"
OF_ROLLUP = {"hours": ROLLUPS, "days": ROLLUPS, "totals": "days = totals", "months": "days = months"}
UNIQUE = ("attempt_id", "span_key")
HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that does not add up: which equality, where, what it should be and what was found."""

    equality: str
    where: str
    wanted: str
    found: str
    words: str
    hour: datetime | None = None
    """The UTC hour it is of; None = it is not an hour's."""


@dataclass(frozen=True, slots=True)
class Check:
    """One equality, of how many segments, batches or hours it was asked, and what breaks it."""

    equality: str
    compared: int | None
    """None = it could not be asked."""
    faults: tuple[Fault, ...] = ()
    by_hour: Mapping[datetime, int] = field(default_factory=dict)
    """What was compared, by hour; an hour without has none."""

    @property
    def holds(self) -> bool:
        """Whether it is proven."""
        return self.compared is not None and not self.faults


def checks(client: Client, window: Window) -> tuple[Check, ...]:
    """What the store itself can tell of a window of whole hours. What its day's rollup says counts to its first hour.

    Where no collector told the store of its ledger, the first two could not be asked.
    """
    return (_books(client, window), _batches(client, window), *_rollups(client, window), _spans(client, window))


def _books(client: Client, window: Window) -> Check:
    found = questions.books(client, window)
    faults = [
        Fault(
            BOOKS,
            f"{_hour(row['hour'])} {row['sender']} {row['tenant']}".strip(),
            str(row["received"]),
            str(row["stored"] + row["duplicate"] + row["parked"] + row["pending"]),
            f"{row['wrong']} segments do not add up in the store's ledger",
            row["hour"],
        )
        for row in found.filter(found["wrong"] > 0).iter_rows(named=True)
    ]
    return _check(BOOKS, faults, _counted(found.select("hour", "segments").rows()), known=found.height > 0)


def _batches(client: Client, window: Window) -> Check:
    counts = questions.batch_counts(client, window)
    faults = [
        Fault(
            BATCHES,
            " ".join(filter(None, (row["batch"], row["tenants"]))),
            str(row["wanted"]),
            str(row["held"]),
            "spans in the store are not those that the ledger saw land"
            if row["known"]
            else "spans in the store of a batch that no ledger told of",
            row["hour"],
        )
        for row in questions.batch_differences(client, window).iter_rows(named=True)
    ]
    return _check(BATCHES, faults, _counted(counts.rows()), known=counts.height > 0)


def _rollups(client: Client, window: Window) -> tuple[Check, ...]:
    reach = rollups.reach(client)
    since = day_of(window.since)
    until = max(filter(None, (reach.hours_until, reach.days_until)), default=since)
    found = questions.rollup_differences(client, Window(since, window.until), reach)
    faults = [
        Fault(
            OF_ROLLUP[row["rollup"]],
            f"{row['rollup']} {_hour(row['at'])} {row['tenant']}".strip(),
            f"{row['attempts_wanted']} attempts, {row['cost_wanted_usd']:f} USD",
            f"{row['attempts_held']} attempts, {row['cost_held_usd']:f} USD",
            f"{', '.join(row['differing'])} differ; the worker rebuilds what is stale each minute",
            row["at"],
        )
        for row in found.iter_rows(named=True)
    ]
    hours = dict.fromkeys(_hours(since, min(until, window.until)), 1)
    return tuple(
        _check(name, [fault for fault in faults if fault.equality == name], hours)
        for name in dict.fromkeys(OF_ROLLUP.values())
    )


def _spans(client: Client, window: Window) -> Check:
    found = questions.duplicates(client, window)
    faults = [
        Fault(SPANS, f"{_hour(row['hour'])} {row['kind']}", "0", str(row["extra"]), "rows too many", row["hour"])
        for row in found.filter(found["kind"].is_in(UNIQUE)).iter_rows(named=True)
    ]
    return _check(SPANS, faults, dict.fromkeys(_hours(window.since, window.until), 1))


def _check(equality: str, faults: list[Fault], by_hour: Mapping[datetime, int], *, known: bool = True) -> Check:
    return Check(equality, sum(by_hour.values()) if known or faults else None, tuple(faults), by_hour)


def _counted(rows: list[tuple[datetime, int]]) -> Mapping[datetime, int]:
    counted: Counter[datetime] = Counter()
    for hour, count in rows:
        counted[hour] += count
    return counted


def _hours(since: datetime, until: datetime) -> list[datetime]:
    """Those that begin from the hour of `since` on and before `until`."""
    first = since.replace(minute=0, second=0, microsecond=0)
    return [first + HOUR * number for number in range(-((first - until) // HOUR))]


def _hour(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%MZ}"
