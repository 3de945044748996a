"""How finely an invoice tells things apart, and the cell in which a billed row or a group of attempts is compared.

Processing tiers are told apart for an account whose invoice names one; regions where it names one that our attempts of
the account know, since vendors spell them in their own ways; days where it bills by the day, else its own periods.
What it does not tell apart is compared together.
"""

from collections import defaultdict
from collections.abc import Iterable
from datetime import date, timedelta
from typing import NamedTuple

from analytics.reconciliation.facts import USAGE, AttemptGroup, BilledRow, Reported
from analytics.reconciliation.names import ModelNames, Payer
from analytics.reconciliation.variance import OTHER

DAY = timedelta(days=1)


class Days(NamedTuple):
    """UTC days, the last exclusive."""

    since: date
    until: date

    def holds(self, day: date) -> bool:
        """Whether the day is one of them."""
        return self.since <= day < self.until


class Cell(NamedTuple):
    """Where both sides meet; a line is one token class of it."""

    provider: str
    account: str
    day: date
    """The first UTC day, of `days`."""
    model: str
    """As we name it."""
    processing_tier: str = ""
    region: str = ""
    days: int = 1


class Grain:
    """The grain of each account's invoice."""

    def __init__(
        self,
        known: ModelNames,
        rows: Iterable[BilledRow],
        groups: Iterable[AttemptGroup],
        within: Days | None = None,
    ) -> None:
        """A row of several days that begins within the window ends with it; one that begins before is not looked at."""
        self.known = known
        self.tiers: set[Payer] = set()
        named: dict[Payer, set[str]] = defaultdict(set)
        used: dict[Payer, set[str]] = defaultdict(set)
        spans: dict[tuple[Payer, str], list[tuple[date, date]]] = defaultdict(list)
        for row in rows:
            payer = (row.provider, row.account)
            if row.category != USAGE:
                continue
            if row.processing_tier:
                self.tiers.add(payer)
            if row.region:
                named[payer].add(row.region)
            end = row.day + row.days * DAY
            if within is not None:
                end = min(end, within.until) if within.holds(row.day) else row.day
            if (end - row.day).days > 1 and row.token_class != OTHER:
                spans[payer, known.of(row.provider, row.account, row.model)].append((row.day, end))
        for group in groups:
            used[group.provider, group.account].add(group.region)
        self.regions = {payer for payer, regions in named.items() if regions & used[payer]}
        self._periods = {key: _united(found) for key, found in spans.items()}

    def of(self, fact: BilledRow | AttemptGroup | Reported) -> Cell:
        """The cell of a row, a group of attempts or a report."""
        payer = (fact.provider, fact.account)
        model = self.known.of(fact.provider, fact.account, fact.model)
        first, end = self._period(payer, model, fact.day)
        return Cell(
            *payer,
            first,
            model,
            fact.processing_tier if payer in self.tiers else "",
            fact.region if payer in self.regions else "",
            (end - first).days,
        )

    def _period(self, payer: Payer, model: str, day: date) -> tuple[date, date]:
        for first, end in self._periods.get((payer, model), ()):
            if first <= day < end:
                return first, end
        return day, day + DAY


def _united(spans: list[tuple[date, date]]) -> list[tuple[date, date]]:
    """Overlapping periods made one."""
    united: list[tuple[date, date]] = []
    for first, end in sorted(spans):
        if united and first < united[-1][1]:
            united[-1] = (united[-1][0], max(end, united[-1][1]))
        else:
            united.append((first, end))
    return united
