"""Clients of the store by what they may do, for the processes that deploy composes."""

from pathlib import Path
from typing import Protocol

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import OperationalError
from pydantic import SecretStr

from deploy.errors import OperatorError
from deploy.settings import Settings
from sql import clients, credentials


class Connect(Protocol):
    """How a client is made."""

    def __call__(self, url: str, password: str, *, user: str, ca: Path | None) -> Client:
        """Connect; raises the driver's error."""


def make_passwords(settings: Settings) -> None:
    """Generate what the embedded store lacks of its passwords, so that every part finds them at its start."""
    if settings.embedded:
        credentials.ensure(settings.data_dir)


def writer_password(settings: Settings) -> str:
    """The writer's: configured for a server of one's own, generated for the embedded store. Raises OperatorError."""
    return _password(settings, credentials.WRITER, settings.file.store.password)


def reader_password(settings: Settings) -> str:
    """The reader's, likewise."""
    return _password(settings, credentials.READER, settings.file.store.reader_password)


def writer(settings: Settings) -> Client:
    """A client that may write. Raises OperatorError when the store does not answer."""
    return writer_at(settings, settings.store_url)


def writer_at(settings: Settings, url: str) -> Client:
    """`writer`, at that server of the store's."""
    return _connected(settings, clients.writer, url, writer_password(settings), settings.file.store.user)


def reader(settings: Settings) -> Client:
    """A client that may only read. Raises OperatorError when the store does not answer."""
    password, user = reader_password(settings), settings.file.store.reader_user
    return _connected(settings, clients.reader, settings.store_url, password, user)


def _password(settings: Settings, user: str, configured: SecretStr) -> str:
    if not settings.embedded:
        return configured.get_secret_value()
    try:
        return credentials.read(settings.data_dir, user)
    except credentials.CredentialsError as error:
        raise OperatorError(f"no store has run in {settings.data_dir} yet; {_start(settings)}") from error


def _connected(settings: Settings, connect: Connect, url: str, password: str, user: str) -> Client:
    try:
        return connect(url, password, user=user, ca=settings.store_ca)
    except OperationalError as error:
        start = f"; {_start(settings)}" if settings.embedded else ""
        raise OperatorError(f"the store at {url} does not answer{start}") from error


def _start(settings: Settings) -> str:
    return f"start it with `tollway up --config {settings.path}`"
