"""What a host that is rented or owned costs: dated rents in Decimal, and the one rule that spreads a rent over time.

The rent of a span of time is the difference of two sums since the rent began, each rounded to QUANTUM. So a month's
days add up to the month, and a machine's whole life to its price less what it is sold for, to the last digit. A change
of the rent is another entry from its own instant on: what was before stays as it was.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal, localcontext

QUANTUM = Decimal(1).scaleb(-12)
"""Every amount is a multiple of this many dollars."""
BYTES_PER_GB = 10**9
_US = timedelta(microseconds=1)
_US_PER_HOUR = 3_600_000_000
_NS_PER_HOUR = 3_600_000_000_000
_DAY = timedelta(days=1)


class HostInvalid(ValueError):
    """A host whose rents contradict each other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Power:
    """What a host draws, and what that costs in the rent's currency."""

    idle_watts: Decimal
    busy_watts: Decimal
    per_kwh: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Rent:
    """What a host costs from `effective_from` until `effective_to` (exclusive; None = open). Instants are aware.

    Rented: `per_hour`. Owned: `price` less `residual`, spread evenly from `effective_from` to `life_end`, then nothing.
    """

    effective_from: datetime
    effective_to: datetime | None = None
    per_hour: Decimal = Decimal(0)
    price: Decimal = Decimal(0)
    residual: Decimal = Decimal(0)
    life_end: datetime | None = None
    """None = it is rented."""
    power: Power | None = None
    """None = it is in the rent."""
    egress_per_gb: Decimal = Decimal(0)
    currency: str = "USD"
    usd_rate: Decimal = Decimal(1)
    """Dollars for one unit of the currency, as booked."""

    def usd(self, since: datetime, until: datetime) -> Decimal:
        """The rent of that span, which lies within the rent, in dollars."""
        with localcontext(prec=76):
            return self._until(until) - self._until(since)

    def power_usd(self, *, busy_ns: int, idle_ns: int) -> tuple[Decimal, Decimal]:
        """What the power costs of that many nanoseconds busy and idle, in dollars."""
        if self.power is None:
            return Decimal(0), Decimal(0)
        with localcontext(prec=76):
            unit = self.power.per_kwh * self.usd_rate / (1000 * _NS_PER_HOUR)
            return (
                (self.power.busy_watts * busy_ns * unit).quantize(QUANTUM, ROUND_HALF_EVEN),
                (self.power.idle_watts * idle_ns * unit).quantize(QUANTUM, ROUND_HALF_EVEN),
            )

    def egress_usd(self, sent_bytes: int) -> Decimal:
        """What it costs to have sent that many bytes, in dollars."""
        with localcontext(prec=76):
            amount = self.egress_per_gb * self.usd_rate * sent_bytes / BYTES_PER_GB
            return amount.quantize(QUANTUM, ROUND_HALF_EVEN)

    def _until(self, at: datetime) -> Decimal:
        """What it has cost since it began."""
        passed = Decimal((at - self.effective_from) // _US)
        if self.life_end is None:
            amount = self.per_hour * passed / _US_PER_HOUR
        else:
            life = Decimal((self.life_end - self.effective_from) // _US)
            amount = (self.price - self.residual) * min(passed, life) / life
        return (amount * self.usd_rate).quantize(QUANTUM, ROUND_HALF_EVEN)


@dataclass(frozen=True, slots=True)
class Host:
    """A machine with a rent: the name that attempts carry, what it is, and its rents in order."""

    name: str
    hardware: str
    rents: tuple[Rent, ...]
    """Each open one ends where the next begins."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Time of one host under one rent within one UTC day: what busy time is measured in, and shared out by."""

    host: Host
    rent: Rent
    since: datetime
    until: datetime

    @property
    def usd(self) -> Decimal:
        """Its rent."""
        return self.rent.usd(self.since, self.until)


def in_order(rents: Iterable[Rent]) -> tuple[Rent, ...]:
    """The rents by their beginning, each open one ended where the next begins. Raises HostInvalid for an overlap."""
    ordered = sorted(rents, key=lambda rent: rent.effective_from)
    ended: list[Rent] = []
    for given, following in zip(ordered, [*ordered[1:], None], strict=True):
        begins = following.effective_from if following is not None else None
        rent = replace(given, effective_to=begins) if given.effective_to is None else given
        if rent.effective_to is not None and rent.effective_to <= rent.effective_from:
            raise HostInvalid(f"the rent from {_stamp(rent.effective_from)} ends before it has begun")
        if begins is not None and rent.effective_to is not None and rent.effective_to > begins:
            raise HostInvalid(
                f"the rents from {_stamp(rent.effective_from)} and from {_stamp(begins)} overlap; "
                "end the first (effective_to) where the second begins"
            )
        ended.append(rent)
    return tuple(ended)


def stretches(hosts: Iterable[Host], since: datetime, until: datetime) -> Iterator[Stretch]:
    """What of a span of time each host is rented for, cut at UTC midnights and where rents change."""
    for host in hosts:
        for rent in host.rents:
            at = max(since, rent.effective_from).astimezone(UTC)
            end = min(until, rent.effective_to or until).astimezone(UTC)
            while at < end:
                midnight = at.replace(hour=0, minute=0, second=0, microsecond=0) + _DAY
                yield Stretch(host, rent, at, min(midnight, end))
                at = midnight


def months_after(at: datetime, months: int) -> datetime:
    """The same day and time so many calendar months later, or that month's last day where it has no such day."""
    year, month = divmod(at.year * 12 + at.month - 1 + months, 12)
    for day in (at.day, 30, 29, 28):
        if day <= at.day:
            try:
                return at.replace(year=year, month=month + 1, day=day)
            except ValueError:
                continue
    raise AssertionError("every month has 28 days")


def _stamp(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
