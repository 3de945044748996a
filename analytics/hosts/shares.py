"""What a host cost, shared out: busy time to who kept it busy, the rest as idle. Pure; the parts sum to it exactly.

    rent           by time: the busy part of a stretch, and the idle part
    power          what it draws busy for the busy part, what it draws idle for the idle one
    the busy part  by weight: each nanosecond evenly among the attempts that ran in it
    egress         by the bytes that were sent for each

Idle time is nobody's. Only a report may share it, by a rule that it states: see `idle_shared`.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from analytics.allocation import Owner
from analytics.hosts.idle_rule import IdleRule
from analytics.hosts.use import UNIT, StretchUse
from gateway.domain.host import QUANTUM, Stretch
from gateway.domain.money import EXACT, allocate

IDLE = "(idle)"
_NOTHING = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What of a stretch's cost is one owner's, or was idle. Dollars."""

    stretch: Stretch
    owner: Owner
    """Of idle time, `idle_owner`."""
    idle: bool = False
    weight: int = 0
    """Of the time; see analytics.hosts.use."""
    rent_usd: Decimal = _NOTHING
    power_usd: Decimal = _NOTHING
    egress_usd: Decimal = _NOTHING
    sent_bytes: int = 0
    attempts: int = 0
    lost: int = 0

    @property
    def time_usd(self) -> Decimal:
        """Rent and power."""
        return EXACT.add(self.rent_usd, self.power_usd)

    @property
    def usd(self) -> Decimal:
        """All of it."""
        return EXACT.add(self.time_usd, self.egress_usd)


def idle_owner(host: str) -> Owner:
    """Whose a host's idle time is, as long as no report shares it."""
    return Owner(IDLE, host, "", 0, "")


def parts_of(use: StretchUse) -> list[Part]:
    """One stretch's cost by owner, the idle part last; sums to its rent, its power and its egress exactly."""
    rent, owners = use.stretch.rent, use.owners
    times = [Decimal(use.busy_ns), Decimal(use.idle_ns)]
    rent_busy, rent_idle = allocate(use.stretch.usd, times, QUANTUM)
    power_busy, power_idle = rent.power_usd(busy_ns=use.busy_ns, idle_ns=use.idle_ns)
    weights = [Decimal(owner.weight) for owner in owners]
    rents = allocate(rent_busy, weights, QUANTUM)
    powers = allocate(power_busy, weights, QUANTUM)
    sent = [Decimal(owner.sent_bytes) for owner in owners]
    egress = allocate(rent.egress_usd(sum(owner.sent_bytes for owner in owners)), sent, QUANTUM)
    found = [
        Part(
            stretch=use.stretch,
            owner=each.owner,
            weight=each.weight,
            rent_usd=rents[i],
            power_usd=powers[i],
            egress_usd=egress[i],
            sent_bytes=each.sent_bytes,
            attempts=each.attempts,
            lost=each.lost,
        )
        for i, each in enumerate(owners)
    ]
    idle = idle_owner(use.stretch.host.name)
    rest = Part(
        stretch=use.stretch,
        owner=idle,
        idle=True,
        weight=use.idle_ns * UNIT,
        rent_usd=rent_idle,
        power_usd=power_idle,
    )
    return [*found, rest]


def idle_shared(parts: Iterable[Part], rule: IdleRule) -> dict[Owner, Decimal]:
    """What idle time cost by owner, under that rule; sums to the idle parts exactly.

    A host is shared among those who kept it busy in these parts; where nobody did, it stays idle under any rule.
    """
    idle: dict[str, Decimal] = defaultdict(Decimal)
    busy: dict[str, dict[Owner, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    for part in parts:
        host = part.stretch.host.name
        if part.idle:
            idle[host] = EXACT.add(idle[host], part.time_usd)
        elif part.weight:
            busy[host][part.owner] = EXACT.add(busy[host][part.owner], part.time_usd)
    found: dict[Owner, Decimal] = defaultdict(Decimal)
    for host, amount in idle.items():
        owners = sorted(busy[host])
        if rule is IdleRule.NONE or not owners:
            shares = [(idle_owner(host), amount)]
        else:
            even = rule is IdleRule.EVEN
            weights = [Decimal(1) if even else busy[host][owner] for owner in owners]
            shares = list(zip(owners, allocate(amount, weights, QUANTUM), strict=True))
        for owner, share in shares:
            found[owner] = EXACT.add(found[owner], share)
    return dict(found)
