"""The close and the finance API of one installation: its control database, its store for reading, its ledger."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from importlib.metadata import version

from clickhouse_connect.driver.client import Client
from starlette.types import ASGIApp

from analytics.allocation import Owner
from analytics.control import Control
from analytics.economic.gather import wastes_in
from analytics.economic.table import ManagementCost, Spent, management_costs
from analytics.exports import OwnerCosts
from analytics.hosts.costs import parts_in
from analytics.periods.close import Close
from analytics.windows import Window
from deploy.inspection import inspect
from deploy.settings import Settings
from deploy.store_access import reader
from gateway.domain import clock


def close_of(settings: Settings, control: Control) -> Close:
    """The months of that installation; the store is reached when it is asked."""
    tool = f"tollway {version('tollway')}"
    policy = settings.file.reconciliation.policy()
    return Close(control, _clients(settings), inspect, costs_of(settings), tool=tool, policy=policy)


def costs_of(settings: Settings) -> OwnerCosts:
    """What owners cost beside the vendors' charges, by the hosts and the prices of the configuration."""
    hosts = [entry.host() for _, entry in sorted(settings.file.hosts.items())]
    prices = {name: tier.queue_second_usd for name, tier in settings.file.tiers.items()}

    def costs(
        client: Client, window: Window, spent: Mapping[Owner, Spent], now: datetime
    ) -> Mapping[Owner, ManagementCost]:
        parts = parts_in(client, hosts, window, now=now)
        return management_costs(spent, wastes_in(client, window), parts, prices)

    return costs


def finance_api(settings: Settings) -> ASGIApp:
    """The API under /api/v1; while the control database or the store is away, it says so."""
    from analytics.api.app import create
    from analytics.api.finance import Finance
    from deploy.control import control

    door = control(settings)
    finance = Finance(door, _clients(settings), close_of(settings, door), clock.utc_now)
    return create(finance, version=version("tollway"))


def _clients(settings: Settings) -> Callable[[], AbstractContextManager[Client]]:
    @contextmanager
    def client() -> Iterator[Client]:
        found = reader(settings)
        try:
            yield found
        finally:
            found.close()

    return client
