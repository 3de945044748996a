"""Clients of the store by what they may do, for the processes that deploy composes."""

from clickhouse_connect.driver.client import Client

from deploy.settings import Settings
from sql import clients, credentials


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
    """A client that may write. Raises the driver's error when the store does not answer."""
    return clients.writer(settings.store_url, writer_password(settings), user=settings.file.store.user)


def reader(settings: Settings) -> Client:
    """A client that may only read."""
    return clients.reader(settings.store_url, reader_password(settings), user=settings.file.store.reader_user)
