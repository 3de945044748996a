"""The filters of a page, as they stand in its address. The address is their only home.

    month=2026-11                     a calendar month, or
    from=2026-11-01&to=2026-11-14     whole UTC days, both included; neither: the month in which `now` falls
    tenant= alias= provider= account= each may repeat; absent means all

These names are an interface: people share such links, and the CSV routes take the same ones. Parsing never fails: what
it cannot read it leaves out and says so in `faults`, because a link with a typing error should open, not break.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from urllib.parse import parse_qs, urlencode

from dashboards.periods import DAYS_MAX, Period

CHOICES = ("tenant", "alias", "provider", "account")
VALUES_MAX = 50
VALUE_LENGTH_MAX = 200


@dataclass(frozen=True, slots=True)
class Filters:
    """What to show. An empty tuple means all; `faults` are sentences about what the address said and was not used."""

    period: Period
    tenant: tuple[str, ...] = ()
    alias: tuple[str, ...] = ()
    provider: tuple[str, ...] = ()
    account: tuple[str, ...] = ()
    faults: tuple[str, ...] = field(default=(), compare=False)

    def query(self) -> str:
        """The canonical query string, without `?`. `parse(filters.query(), now)` gives equal filters."""
        period = self.period
        pairs = (
            [("month", f"{period.since:%Y-%m}")]
            if period.is_month
            else [("from", period.since.isoformat()), ("to", period.last.isoformat())]
        )
        pairs += [(name, value) for name in CHOICES for value in getattr(self, name)]
        return urlencode(pairs)

    def moved(self, steps: int) -> Filters:
        """The same choices over the period so many steps away."""
        return replace(self, period=self.period.shifted(steps))

    def of_month(self) -> Filters:
        """The same choices over the calendar month in which the period ends."""
        return replace(self, period=Period.month(self.period.last))

    def narrowed(self) -> bool:
        """Whether anything but the period is chosen."""
        return any(getattr(self, name) for name in CHOICES)


def parse(search: str, now: datetime) -> Filters:
    """Filters from a query string, with or without its `?`; `now` says which month is the default."""
    given = parse_qs(search.removeprefix("?"), keep_blank_values=False, max_num_fields=None)
    faults: list[str] = []
    period = _period(given, now, faults)
    chosen = {name: _values(name, given.get(name, []), faults) for name in CHOICES}
    return Filters(period, **chosen, faults=tuple(faults))


def _period(given: Mapping[str, Sequence[str]], now: datetime, faults: list[str]) -> Period:
    default = Period.month(now.astimezone(UTC).date())
    month, first, last = (given.get(name, [""])[-1] for name in ("month", "from", "to"))
    try:
        if month:
            return Period.month(_day(f"{month}-01"))
        if first or last:
            return Period.inclusive(_day(first or last), _day(last or first))
    except (ValueError, OverflowError):
        said = f"month={month}" if month else f"from={first}&to={last}"
        wanted = "a month such as 2026-11" if month else f"1 to {DAYS_MAX} days such as from=2026-11-01&to=2026-11-14"
        faults.append(f"The address says {said[:80]}, which is not {wanted}. Showing {default.label} instead.")
    return default


def _day(text: str) -> date:
    """A day far enough from the calendar's ends that the periods around it exist."""
    day = date.fromisoformat(text)
    if not 2000 <= day.year < 2200 or text != day.isoformat():
        raise ValueError(f"not a day of this business: {text}")
    return day


def _values(name: str, given: Sequence[str], faults: list[str]) -> tuple[str, ...]:
    distinct = sorted(set(given))
    kept = [value for value in distinct if len(value) <= VALUE_LENGTH_MAX][:VALUES_MAX]
    if len(kept) < len(distinct):
        faults.append(f"The address names {len(distinct)} values of {name}; only {len(kept)} of them are used.")
    return tuple(kept)
