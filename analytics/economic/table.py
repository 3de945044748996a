"""What each owner cost, all kinds beside each other: one pure table. Nothing here is added to billed cost.

    token_cost              metered: the vendor's own usage at the card's price
    queue_cost              seconds in line at the tier's queue_second_usd
    rework_cost             of attempts whose completion had to be made again
    dual_spend              of calls given up for another call of the same request: hedges that lost, calls out of time
    rent_cost               the owner's share of its hosts' busy time: rent and power
    egress_cost             the bytes that hosts sent for it
    idle_cost               idle time of hosts, as the report's rule shares it; else in rows of its own
    total_management_cost   token_cost + queue_cost + rent_cost + egress_cost + idle_cost

rework_cost and dual_spend say what of the vendors' charges bought nothing; they are in no sum, or it would count twice.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from decimal import Decimal
from enum import StrEnum

from analytics.allocation import Owner
from analytics.hosts.idle_rule import IdleRule
from analytics.hosts.shares import Part, idle_shared
from analytics.reconciliation.variance import total
from gateway.domain.money import EXACT

_NOTHING = Decimal(0)


class Kind(StrEnum):
    """Why what was spent bought nothing."""

    REWORK = "rework"
    """The completion was no good, and had to be made again."""
    DUAL = "dual"
    """Another call of the same request was waited for instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waste:
    """Attempts of one owner that bought nothing, for one cause."""

    owner: Owner
    kind: Kind
    cause: str
    """Of rework a reason, or what was wrong with the answer; of dual spend hedge, retry or fallback."""
    attempts: int
    usd: Decimal
    """Metered, or seen on the way where the vendor did not tell its final usage."""
    unmeasured: int = 0
    """How many of them had no final usage: then `usd` is a floor."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What an owner's attempts cost at the vendors' prices, and how long its requests were in line."""

    token_cost: Decimal = _NOTHING
    queue_seconds: Decimal = _NOTHING
    unpriced: int = 0
    """Attempts with usage that no card prices: `token_cost` is a floor while this is not zero."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagementCost:
    """One owner's row; dollars, but for queue_seconds. The fields are the month's file's columns, in its order."""

    token_cost: Decimal = _NOTHING
    queue_seconds: Decimal = _NOTHING
    queue_cost: Decimal = _NOTHING
    rework_cost: Decimal = _NOTHING
    rent_cost: Decimal = _NOTHING
    egress_cost: Decimal = _NOTHING
    idle_cost: Decimal = _NOTHING
    dual_spend: Decimal = _NOTHING
    total_management_cost: Decimal = _NOTHING


COLUMNS = tuple(each.name for each in fields(ManagementCost))
NO_COST = ManagementCost()


@dataclass(slots=True)
class _Sums:
    rework: Decimal = _NOTHING
    dual: Decimal = _NOTHING
    rent: Decimal = _NOTHING
    egress: Decimal = _NOTHING
    idle: Decimal = _NOTHING
    spent: Spent = field(default_factory=Spent)


def management_costs(
    spent: Mapping[Owner, Spent],
    wastes: Iterable[Waste],
    parts: Iterable[Part],
    queue_second_usd: Mapping[str, Decimal],
    idle_rule: IdleRule = IdleRule.NONE,
) -> dict[Owner, ManagementCost]:
    """Each owner's costs, sorted; hosts' idle time that is not shared under owners of its own.

    `queue_second_usd` is by tier; a tier that is not there has no price for waiting, so none is reckoned.
    """
    sums: dict[Owner, _Sums] = defaultdict(_Sums)
    for owner, each in spent.items():
        sums[owner].spent = each
    for waste in wastes:
        mine = sums[waste.owner]
        if waste.kind is Kind.REWORK:
            mine.rework = EXACT.add(mine.rework, waste.usd)
        else:
            mine.dual = EXACT.add(mine.dual, waste.usd)
    parts = list(parts)
    for part in parts:
        if not part.idle:
            mine = sums[part.owner]
            mine.rent = EXACT.add(mine.rent, part.time_usd)
            mine.egress = EXACT.add(mine.egress, part.egress_usd)
    for owner, amount in idle_shared(parts, idle_rule).items():
        sums[owner].idle = EXACT.add(sums[owner].idle, amount)
    return {owner: _row(sums[owner], queue_second_usd.get(owner.tier, _NOTHING)) for owner in sorted(sums)}


def whole(costs: Iterable[ManagementCost]) -> ManagementCost:
    """The sum of rows, column by column."""
    rows = list(costs)
    return ManagementCost(**{name: total(getattr(row, name) for row in rows) for name in COLUMNS})


def _row(sums: _Sums, queue_second_usd: Decimal) -> ManagementCost:
    queue_cost = EXACT.multiply(sums.spent.queue_seconds, queue_second_usd)
    return ManagementCost(
        token_cost=sums.spent.token_cost,
        queue_seconds=sums.spent.queue_seconds,
        queue_cost=queue_cost,
        rework_cost=sums.rework,
        rent_cost=sums.rent,
        egress_cost=sums.egress,
        idle_cost=sums.idle,
        dual_spend=sums.dual,
        total_management_cost=total((sums.spent.token_cost, queue_cost, sums.rent, sums.egress, sums.idle)),
    )
