"""The control database: a few small tables in SQLite beside the journal, or in PostgreSQL at another URL.

Who owns a table defines it on METADATA, in a module of its own; it is created when the database is opened. Every use is
one transaction, taken for writing from its start, so that what it reads still holds when it writes. A commit is on the
disk when it returns (some milliseconds), so on the data path's loop await `aside`, which works in a thread.
"""

import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, MetaData, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import StaticPool

METADATA = MetaData()
"""The tables of all who keep any."""

MEMORY = "sqlite://"
"""A database that lasts as long as its process: for tests."""

BUSY_TIMEOUT_S = 5.0
POOL_SIZE = 4
ONE_AT_A_TIME = {
    "sqlite": "BEGIN IMMEDIATE",
    "postgresql": "SELECT pg_advisory_xact_lock(8430112)",
}
"""How a transaction begins: those of all processes go one after the other. They are short and few, and so none has to
be given up and done again. The number is ours alone in a database of our own."""

Result = TypeVar("Result")


class ControlUnavailable(Exception):
    """The control database cannot be had, or failed; the message never holds its password."""


class Database:
    """One engine; safe to use from several threads."""

    def __init__(self, url: str) -> None:
        """Raises ControlUnavailable for a URL that names no database we can speak to."""
        try:
            self._url = make_url(url)
            self._engine = _engine(self._url)
        except (ArgumentError, NoSuchModuleError) as error:
            raise ControlUnavailable(
                f"control.url names no database known here ({_first_line(error)}); "
                "write postgresql+psycopg://user:password@host/name, or leave it empty for SQLite in data_dir"
            ) from None
        except ModuleNotFoundError as error:
            raise ControlUnavailable(
                f"control.url needs the Python package {error.name}, which is not installed: pip install {error.name}"
            ) from None
        self._lock = threading.Lock() if _in_memory(self._url) else nullcontext()

    @classmethod
    def under(cls, data_dir: Path, url: str = "") -> "Database":
        """The database at `url`, or without one in the file control/tollway.sqlite3 of the data folder."""
        return cls(url or f"sqlite:///{data_dir / 'control' / 'tollway.sqlite3'}")

    def open(self) -> None:
        """Make what is missing: the file (readable by us alone) and the tables. Raises ControlUnavailable."""
        if self._url.database and not _in_memory(self._url) and self._url.get_backend_name() == "sqlite":
            _make_file(Path(self._url.database))
        with self.transaction() as connection:
            METADATA.create_all(connection)

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """One transaction: committed at the block's end, rolled back on an error. Raises ControlUnavailable."""
        try:
            with self._lock, self._engine.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise ControlUnavailable(f"the control database failed: {_first_line(error)}") from error

    async def aside(self, work: Callable[[Connection], Result]) -> Result:
        """What `work` returns, done in a thread in one transaction. Raises ControlUnavailable."""
        return await asyncio.to_thread(self.run, work)

    def run(self, work: Callable[[Connection], Result]) -> Result:
        """What `work` returns, done here in one transaction. Raises ControlUnavailable."""
        with self.transaction() as connection:
            return work(connection)

    def close(self) -> None:
        """Close every connection; the one of a database in memory once nobody is at it."""
        with self._lock:
            self._engine.dispose()


def _engine(url: URL) -> Engine:
    if url.get_backend_name() not in ONE_AT_A_TIME:
        raise ArgumentError(f"{url.get_backend_name()} is neither SQLite nor PostgreSQL")
    if url.get_backend_name() != "sqlite":
        engine = create_engine(url, pool_size=POOL_SIZE, pool_pre_ping=True, hide_parameters=True)
        event.listen(engine, "begin", _begin)
        return engine
    more = {"poolclass": StaticPool} if _in_memory(url) else {}
    engine = create_engine(
        url, connect_args={"timeout": BUSY_TIMEOUT_S, "check_same_thread": False}, hide_parameters=True, **more
    )
    event.listen(engine, "connect", _settle_in)
    event.listen(engine, "begin", _begin)
    return engine


def _settle_in(connection: Any, record: object) -> None:
    """SQLite's own settings: no driver begins transactions behind our back, and a commit is on the disk."""
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql(ONE_AT_A_TIME[connection.dialect.name])


def _in_memory(url: URL) -> bool:
    return url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:")


def _make_file(path: Path) -> None:
    """The file with mode 0600; SQLite gives its companions the same mode."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        path.chmod(0o600)
    except OSError as error:
        raise ControlUnavailable(f"the control database {path} cannot be opened: {error.strerror}") from None


def _first_line(error: Exception) -> str:
    """What went wrong, without statements and parameters."""
    inner = getattr(error, "orig", None) or error
    return str(inner).strip().partition("\n")[0]
