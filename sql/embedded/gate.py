"""From a request and a user to an answer: what kind of statement it is, whether that user may run it, and running it.

Blocking; called from the pool's threads. The query id rides in the statement's `log_comment` setting, because the
engine names its queries itself: `system.processes` shows it in Settings['log_comment'].
"""

import contextlib
import logging
import threading
from dataclasses import replace

from sql.credentials import READER
from sql.embedded import text, wire
from sql.embedded.engine import DATABASE, Engine
from sql.embedded.errors import StoreError, refused
from sql.embedded.guard import Guard
from sql.embedded.text import Insert
from sql.embedded.wire import Reply, Request

log = logging.getLogger("tollway.store")

READS = frozenset({"SELECT", "WITH", "(", "SHOW", "DESCRIBE", "DESC", "EXISTS", "EXPLAIN", "FROM"})
SESSION_WORDS = frozenset({"SET", "USE"})
READER_SECONDS = "120"


class Gate:
    """Runs requests on one engine, each at most once at a time under its query id."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._guard = Guard(engine)
        self._running: dict[str, str] = {}
        self._lock = threading.Lock()

    def run(self, user: str, asked: Request) -> tuple[str, Reply]:
        """(kind for the metrics, the answer). Raises StoreError."""
        word = text.first_word(asked.text)
        kind = "read" if word in READS else "insert" if word == "INSERT" else "write"
        if word in SESSION_WORDS:
            raise StoreError(
                48,
                "NOT_IMPLEMENTED",
                f"{word} is refused: the store keeps no sessions; send settings with the query",
                403,
            )
        if asked.read_only and kind != "read":
            raise StoreError(164, "READONLY", "Cannot execute query in readonly mode: a GET may only read; use POST")
        with self._lock:
            if asked.query_id in self._running:
                raise StoreError(
                    216,
                    "QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING",
                    f"Query with id = {asked.query_id} is already running.",
                )
            self._running[asked.query_id] = kind
        try:
            return kind, self._run(user, kind, asked)
        finally:
            with self._lock:
                self._running.pop(asked.query_id, None)

    def cancel(self, query_id: str) -> None:
        """Stop a reading statement whose client has gone; what writes runs to its end, so that its outcome is known."""
        with self._lock:
            if self._running.get(query_id) != "read":
                return
        thread = threading.Thread(target=self._kill, args=(query_id,), name="store-cancel", daemon=True)
        thread.start()

    def _kill(self, query_id: str) -> None:
        try:
            self._engine.query(
                "KILL QUERY WHERE Settings['log_comment'] = {id:String} AND query NOT LIKE 'KILL%' ASYNC",
                params={"id": _escaped(query_id)},
            )
        except StoreError as fault:
            log.warning("a query whose client has gone could not be stopped: %s", fault.name)

    def _run(self, user: str, kind: str, asked: Request) -> Reply:
        settings = {**asked.settings, "log_comment": asked.query_id}
        database = DATABASE if asked.database in ("", "default") else asked.database
        if user == READER and database != DATABASE:
            raise refused(f"database {database}: this user reads {DATABASE}")
        loaded = _loaded(asked) if kind == "insert" else None
        if loaded is not None:
            head = self._guard.check_insert(user, loaded, asked)
            done = self._engine.insert(
                head, loaded.format, loaded.pieces, params=asked.params, settings=settings, database=database
            )
            return wire.reply(done, "")
        statement = self._guard.check(user, kind, asked.joined())
        if user == READER:
            settings |= {"max_execution_time": READER_SECONDS, "readonly": "2"}
        done = self._engine.query(
            statement, output=asked.default_format, params=asked.params, settings=settings, database=database
        )
        return wire.reply(done, text.output_format(statement, asked.default_format) if kind == "read" else "")


def _loaded(asked: Request) -> Insert | None:
    """An INSERT and its rows, which are not joined to what came before them if they need not be. Raises StoreError."""
    if asked.rest:
        with contextlib.suppress(StoreError):
            found = text.insert(asked.text)
            if found is not None:
                return replace(found, pieces=(*found.pieces, *asked.rest))
    return text.insert(asked.joined().text)


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")
