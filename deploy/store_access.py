"""Clients of the store by what they may do, for the processes that deploy composes."""

from typing import Protocol

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import OperationalError

from deploy.errors import OperatorError
from deploy.settings import Settings
from sql import clients, credentials


class Connect(Protocol):
    """How a client is made."""

    def __call__(self, url: str, password: str, *, user: str) -> Client:
        """Connect; raises the driver's error."""


def writer_password(settings: Settings) -> str:
    """The writer's: configured for a server of one's own, generated for the embedded store."""
    if settings.embedded:
        return credentials.ensure(settings.data_dir).writer
    return settings.file.store.password.get_secret_value()


def reader_password(settings: Settings) -> str:
    """The reader's, likewise."""
    if settings.embedded:
        return credentials.ensure(settings.data_dir).reader
    return settings.file.store.reader_password.get_secret_value()


def writer(settings: Settings) -> Client:
    """A client that may write. Raises OperatorError when the store does not answer."""
    return _connected(settings, clients.writer, writer_password(settings), settings.file.store.user)


def reader(settings: Settings) -> Client:
    """A client that may only read. Raises OperatorError when the store does not answer."""
    return _connected(settings, clients.reader, reader_password(settings), settings.file.store.reader_user)


def _connected(settings: Settings, connect: Connect, password: str, user: str) -> Client:
    try:
        return connect(settings.store_url, password, user=user)
    except OperationalError as error:
        start = f"; start it with `tollway up --config {settings.path}`" if settings.embedded else ""
        raise OperatorError(f"the store at {settings.store_url} does not answer{start}") from error
