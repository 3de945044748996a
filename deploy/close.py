"""The close and the finance API of one installation: its control database, its store for reading, its ledger."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib.metadata import version

from clickhouse_connect.driver.client import Client
from starlette.types import ASGIApp

from analytics.control import Control
from analytics.periods.close import Close
from deploy.inspection import inspector
from deploy.settings import Settings
from deploy.store_access import reader
from gateway.domain import clock


def close_of(settings: Settings, control: Control) -> Close:
    """The months of that installation; the store is reached when it is asked."""
    return Close(control, _clients(settings), inspector(settings), tool=f"tollway {version('tollway')}")


def finance_api(settings: Settings) -> ASGIApp:
    """The API under /api/v1. Raises ControlDown where the control database cannot be had."""
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
