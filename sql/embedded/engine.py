"""The chDB engine: opened once on one folder, then asked from many threads, a connection for each statement.

A fresh connection costs a quarter of a millisecond and brings settings of its own, so no statement can leave anything
behind for the next. Nothing here speaks HTTP, knows users or judges statements. Never fork once it is open.
"""

import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol, cast

from sql.embedded.errors import StoreError, engine_error
from sql.embedded.text import from_file
from sql.embedded.wire import Answer

DATABASE = "tollway"

SESSION = {
    "implicit_select": "0",
    "allow_introspection_functions": "0",
    "dialect": "clickhouse",
    "input_format_values_interpret_expressions": "0",
    "input_format_values_deduce_templates_of_expressions": "0",
    "session_timezone": "UTC",
    "date_time_input_format": "best_effort",
    "async_insert": "0",
    "deduplicate_insert": "enable",
    "deduplicate_blocks_in_dependent_materialized_views": "1",
    "materialized_views_ignore_errors": "0",
    "decimal_check_overflow": "1",
    "max_memory_usage": str(4 * 2**30),
    "max_result_bytes": str(2**30),
    "result_overflow_mode": "throw",
}
"""What every statement starts from, said out loud: the engine's defaults move between versions."""


class EngineError(RuntimeError):
    """The engine cannot be opened; the message is one line for an operator."""


class _Result(Protocol):
    def bytes(self) -> bytes: ...
    def rows_read(self) -> int: ...
    def storage_rows_read(self) -> int: ...
    def rows_written(self) -> int: ...
    def bytes_written(self) -> int: ...
    def storage_bytes_read(self) -> int: ...
    def elapsed(self) -> float: ...


class Engine:
    """An open engine. Its methods block and may be called from any thread."""

    def __init__(self, path: Path) -> None:
        """Open the folder, create it if need be. Raises EngineError with one line when that cannot be."""
        path.mkdir(parents=True, exist_ok=True)
        try:
            from chdb import connect
        except ImportError as fault:
            raise EngineError(f"chdb cannot be imported ({fault}): install it with `pip install chdb`") from fault
        self._path = str(path.resolve())
        self._inserts = path.resolve() / "inserts"
        shutil.rmtree(self._inserts, ignore_errors=True)
        self._inserts.mkdir(mode=0o700)
        self._connect = cast("Any", connect)
        try:
            self._keeper = self._connect(self._path)
        except Exception as fault:
            raise EngineError(_why(path, str(fault))) from fault
        self.query(f"CREATE DATABASE IF NOT EXISTS {DATABASE} ENGINE = Atomic", database="system")
        self.version = self.query("SELECT version()").data.decode().strip()

    def query(
        self,
        text: str,
        *,
        output: str = "TabSeparated",
        params: Mapping[str, str] | None = None,
        settings: Mapping[str, str] | None = None,
        database: str = DATABASE,
    ) -> Answer:
        """Run one statement and wait for its whole answer. Raises StoreError as the engine worded it."""
        connection = self._session(settings or {}, database)
        try:
            result: _Result = _handle(connection).query(text, output, params=dict(params or {}))
            return Answer(
                data=result.bytes(),
                read_rows=result.storage_rows_read(),
                read_bytes=result.storage_bytes_read(),
                written_rows=result.rows_written(),
                written_bytes=result.bytes_written(),
                elapsed_ns=int(result.elapsed() * 1e9),
            )
        except RuntimeError as fault:
            raise engine_error(str(fault)) from None
        finally:
            connection.close()

    def insert(
        self,
        head: str,
        form: str,
        pieces: Iterable[bytes],
        *,
        params: Mapping[str, str] | None = None,
        settings: Mapping[str, str] | None = None,
        database: str = DATABASE,
    ) -> Answer:
        """Insert rows that came with the statement: all of them, or on StoreError none that is acknowledged.

        `head` is the statement up to FORMAT. The rows go through a file of our own (chDB's streaming insert skips a
        table's constraints), which is never synced and lives as long as the call.
        """
        try:
            with tempfile.NamedTemporaryFile(dir=self._inserts) as rows:
                for piece in pieces:
                    rows.write(piece)
                rows.flush()
                statement = from_file(head, form, rows.name)
                return self.query(statement, params=params, settings=settings, database=database)
        except OSError as fault:
            raise StoreError(243, "NOT_ENOUGH_SPACE", f"the rows cannot be written: {fault.strerror}") from fault

    def warm_up(self) -> None:
        """Pay for the first insert and the first sort before anybody waits for them. Leaves nothing behind."""
        self.query("CREATE TABLE IF NOT EXISTS warm_up (x UInt64, s String) ENGINE = MergeTree ORDER BY x")
        self.insert("INSERT INTO warm_up", "JSONEachRow", [b'{"x": 1, "s": "a"}'])
        self.query("SELECT s, sum(x) FROM warm_up GROUP BY s ORDER BY s", output="Arrow")
        self.query("DROP TABLE warm_up SYNC")

    def close(self) -> None:
        """Give the folder back. The engine cannot be opened again by this process."""
        self._keeper.close()

    def _session(self, settings: Mapping[str, str], database: str) -> Any:
        connection = self._connect(self._path)
        try:
            _handle(connection).query(f"USE `{_escaped(database, '`')}`", "TSV")
            wanted = {**SESSION, **settings}
            _handle(connection).query("SET " + ", ".join(f"{k} = '{_escaped(v)}'" for k, v in wanted.items()), "TSV")
        except RuntimeError as fault:
            connection.close()
            raise engine_error(str(fault)) from None
        return connection


def _escaped(text: str, quote: str = "'") -> str:
    return text.replace("\\", "\\\\").replace(quote, "\\" + quote)


def _why(path: Path, fault: str) -> str:
    reason = " ".join(fault.split())
    if "Error initializing EmbeddedServer" in reason:
        return f"{path} cannot be opened as a store: made by another version, damaged, or in use ({reason})"
    return f"{path} cannot be opened: {reason}"


def _handle(connection: Any) -> Any:
    """chDB's own handle: its `query` gives the bytes of any format; the wrapper's turns some into Python objects."""
    return connection._conn  # noqa: SLF001
