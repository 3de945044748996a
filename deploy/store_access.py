"""Clients of the store by what they may do, for the processes that deploy composes."""

from pathlib import Path

from clickhouse_connect.driver.client import Client

from deploy.settings import Settings
from sql import clients, credentials


def secrets_dir(settings: Settings) -> Path:
    """Where generated passwords and tokens lie: mode 0700, files 0600."""
    return settings.data_dir / "secrets"


def writer_password(settings: Settings) -> str:
    """The writer's: configured for a server of one's own, generated for the embedded store."""
    if settings.embedded:
        return credentials.ensure(secrets_dir(settings)).writer
    return settings.file.store.password.get_secret_value()


def reader_password(settings: Settings) -> str:
    """The reader's, likewise."""
    if settings.embedded:
        return credentials.ensure(secrets_dir(settings)).reader
    return settings.file.store.reader_password.get_secret_value()


def writer(settings: Settings) -> Client:
    """A client that may write. Raises the driver's error when the store does not answer."""
    return clients.writer(settings.store_url, writer_password(settings))


def reader(settings: Settings) -> Client:
    """A client that may only read."""
    return clients.reader(settings.store_url, reader_password(settings))
