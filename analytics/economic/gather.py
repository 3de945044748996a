"""What the table of owners' costs is made of, fetched from the store."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from clickhouse_connect.driver.client import Client

import sql
from analytics.allocation import Owner
from analytics.economic.table import Kind, ManagementCost, Spent, Waste, management_costs
from analytics.hosts.costs import parts_in
from analytics.hosts.idle_rule import IdleRule
from analytics.hosts.shares import Part
from analytics.hosts.use import owner_of
from analytics.rollups import Grain, reach, slices
from analytics.windows import Window
from gateway.domain.host import Host
from gateway.domain.money import EXACT


@dataclass(frozen=True, slots=True)
class Costs:
    """A window's costs by owner, and what they are made of."""

    by_owner: Mapping[Owner, ManagementCost]
    wastes: tuple[Waste, ...]
    parts: tuple[Part, ...]
    unpriced: int
    """Attempts with usage that no card prices: token costs are a floor while this is not zero."""


def costs_in(
    client: Client,
    window: Window,
    *,
    hosts: Iterable[Host],
    queue_second_usd: Mapping[str, Decimal],
    idle_rule: IdleRule,
    now: datetime,
) -> Costs:
    """What each owner cost in the window until `now`. `queue_second_usd` is by tier."""
    wastes = wastes_in(client, window)
    parts = tuple(parts_in(client, hosts, window, now=now))
    spent = spent_in(client, window)
    by_owner = management_costs(spent, wastes, parts, queue_second_usd, idle_rule)
    return Costs(by_owner, wastes, parts, sum(each.unpriced for each in spent.values()))


def spent_in(client: Client, window: Window) -> dict[Owner, Spent]:
    """Metered cost, seconds in line and what has no price by owner, from rollups where there are some."""
    found: dict[Owner, Spent] = {}
    for part in slices(window, reach(client), Grain.MONTH):
        span = {"since": part.since, "until": part.until}
        if part.cells is None:
            frame = sql.fetch(client, "owner_spend_open", **span)
        else:
            frame = sql.fetch(client, "owner_spend", cells=part.cells, **span)
        for row in frame.iter_rows(named=True):
            owner, known = owner_of(row), found.get(owner_of(row), Spent())
            found[owner] = Spent(
                EXACT.add(known.token_cost, row["token_cost"]),
                EXACT.add(known.queue_seconds, row["queue_seconds"]),
                known.unpriced + row["unpriced"],
            )
    return found


def wastes_in(client: Client, window: Window) -> tuple[Waste, ...]:
    """Rework and dual spend of the window, by owner, kind and cause."""
    frame = sql.fetch(client, "owner_waste", since=window.since, until=window.until)
    return tuple(
        Waste(
            owner=owner_of(row),
            kind=Kind(row["kind"]),
            cause=row["cause"],
            attempts=row["attempts"],
            usd=row["usd"],
            unmeasured=row["unmeasured"],
        )
        for row in frame.iter_rows(named=True)
    )
