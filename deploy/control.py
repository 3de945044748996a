"""The control database opened for analytics: the one that the configuration names, or the file in the data folder."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection

from analytics.control import ControlDown, make
from deploy.settings import Settings
from gateway.control.database import ControlUnavailable, Database


class Doorway:
    """Transactions of a database, its errors in the words of analytics."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """One transaction. Raises ControlDown."""
        try:
            with self._database.transaction() as connection:
                yield connection
        except ControlUnavailable as error:
            raise ControlDown(str(error)) from error


def control(settings: Settings) -> Doorway:
    """The control database with the tables of analytics in it. Raises ControlDown, ControlUnavailable."""
    database = Database.under(settings.data_dir, settings.file.control.url.get_secret_value())
    database.open()
    door = Doorway(database)
    make(door)
    return door
