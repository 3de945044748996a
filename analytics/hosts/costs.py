"""What hosts cost in a window, by host: rent, power and egress, and what of it was idle."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from clickhouse_connect.driver.client import Client

import sql
from analytics.hosts.shares import Part, parts_of
from analytics.hosts.use import StretchUse, used
from analytics.reconciliation.variance import total
from analytics.windows import Window
from gateway.domain.host import Host, stretches

_NS_PER_MINUTE = Decimal(60 * 10**9)


@dataclass(frozen=True, slots=True, kw_only=True)
class HostCost:
    """One host in the window. Times are minutes, exact to the nanosecond; amounts are dollars."""

    host: str
    hardware: str
    rented_minutes: Decimal
    busy_minutes: Decimal
    idle_minutes: Decimal
    attempts: int
    lost: int
    """Of them, those of which nobody knows what was sent: the egress is then a floor."""
    sent_bytes: int
    rent_usd: Decimal
    power_usd: Decimal
    egress_usd: Decimal
    idle_usd: Decimal
    """What of the rent and the power was of idle minutes."""
    total_usd: Decimal
    """Rent, power and egress."""


def parts_in(client: Client, hosts: Iterable[Host], window: Window, *, now: datetime) -> list[Part]:
    """What each host cost in the window until `now`, by owner: what of it is still to come is nobody's yet."""
    return [part for use in _uses(client, hosts, window, now) for part in parts_of(use)]


def host_costs(client: Client, hosts: Sequence[Host], window: Window, *, now: datetime) -> list[HostCost]:
    """Each host's cost in the window until `now`, in the order given; one that was not rented then has zeros."""
    by_host: dict[str, list[StretchUse]] = defaultdict(list)
    for use in _uses(client, hosts, window, now):
        by_host[use.stretch.host.name].append(use)
    return [_cost(host, by_host[host.name]) for host in hosts]


def unknown_hosts(client: Client, hosts: Iterable[Host], window: Window) -> dict[str, int]:
    """Hosts that attempts of the window name and that have no rent any more, with how many attempts they are."""
    found = sql.fetch(client, "host_seen", since=window.since, until=window.until)
    known = {host.name for host in hosts}
    return {name: attempts for name, attempts in found.iter_rows() if name not in known}


def _uses(client: Client, hosts: Iterable[Host], window: Window, now: datetime) -> list[StretchUse]:
    return used(client, list(stretches(hosts, window.since, min(window.until, now))))


def _cost(host: Host, uses: Sequence[StretchUse]) -> HostCost:
    parts = [part for use in uses for part in parts_of(use)]
    return HostCost(
        host=host.name,
        hardware=host.hardware,
        rented_minutes=sum(use.rented_ns for use in uses) / _NS_PER_MINUTE,
        busy_minutes=sum(use.busy_ns for use in uses) / _NS_PER_MINUTE,
        idle_minutes=sum(use.idle_ns for use in uses) / _NS_PER_MINUTE,
        attempts=sum(part.attempts for part in parts),
        lost=sum(part.lost for part in parts),
        sent_bytes=sum(part.sent_bytes for part in parts),
        rent_usd=total(part.rent_usd for part in parts),
        power_usd=total(part.power_usd for part in parts),
        egress_usd=total(part.egress_usd for part in parts),
        idle_usd=total(part.time_usd for part in parts if part.idle),
        total_usd=total(part.usd for part in parts),
    )
