"""The close of one installation: its control database, its store for reading, its collector's ledger."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version

from clickhouse_connect.driver.client import Client

from analytics.control import Control
from analytics.periods.close import Close
from deploy.inspection import inspector
from deploy.settings import Settings
from deploy.store_access import reader


def tool() -> str:
    """Our name and version, as packs tell it."""
    return f"tollway {version('tollway')}"


def close_of(settings: Settings, control: Control) -> Close:
    """The months of that installation; the store is reached when it is asked."""

    @contextmanager
    def client() -> Iterator[Client]:
        found = reader(settings)
        try:
            yield found
        finally:
            found.close()

    return Close(control, client, inspector(settings), tool=tool())
