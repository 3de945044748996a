"""The control database for analytics: the one that the configuration names, or the file in the data folder."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection

from analytics.control import METADATA, ControlDown
from deploy.settings import Settings
from gateway.control.database import ControlUnavailable, Database


class Doorway:
    """Transactions of a database, its errors in the words of analytics; safe to use from several threads.

    It is opened, and what is missing of its tables made, at the first use that succeeds: who serves more than what is
    kept there goes on while it is away.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._opening = threading.Lock()
        self._open = False

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """One transaction. Raises ControlDown."""
        try:
            self._open_once()
            with self._database.transaction() as connection:
                yield connection
        except ControlUnavailable as error:
            raise ControlDown(str(error)) from error

    def _open_once(self) -> None:
        with self._opening:
            if not self._open:
                self._database.open()
                self._database.run(METADATA.create_all)
                self._open = True


def control(settings: Settings) -> Doorway:
    """The installation's control database; nothing is touched yet. Raises ControlUnavailable for a URL of no use."""
    return Doorway(Database.under(settings.data_dir, settings.file.control.url.get_secret_value()))
