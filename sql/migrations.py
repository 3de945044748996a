"""Brings the store's schema up to date: numbered files for what holds data, and then the views over it.

A file of sql/schema is applied once and never changed again. A file of sql/views is the one place of its view, and is
applied again whenever its text differs from what was applied last, and so are those behind it, which may read it; a
change of one that was released comes with a numbered file, so that older versions refuse the store and do not turn it
back. Each statement runs alone and is written so that running it again does no harm; a file counts as applied when its
row is written. So a run killed half way is finished by the next one.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from itertools import dropwhile, pairwise
from typing import TYPE_CHECKING

from clickhouse_connect.driver.exceptions import DatabaseError

from sql.placement import Placement

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

_IS_THERE = "SELECT 1 FROM system.tables WHERE database = 'tollway' AND name = 'schema_migrations'"
_APPLIED = "SELECT version, any(name), any(checksum) FROM tollway.schema_migrations GROUP BY version"
_VIEWS_ARE_THERE = "SELECT 1 FROM system.tables WHERE database = 'tollway' AND name = 'schema_views'"
_VIEWS = "SELECT name, argMax(checksum, applied_at) FROM tollway.schema_views GROUP BY name"
SETTINGS: dict[str, str | int] = {"max_execution_time": 0, "wait_end_of_query": 1}
CLUSTER_SETTINGS: dict[str, str | int] = {
    "distributed_ddl_output_mode": "throw",
    "distributed_ddl_task_timeout": 180,
    "alter_sync": 2,
    "replication_wait_for_inactive_replica_timeout": 60,
}
"""On a cluster a statement is done when every server has done it; a server that is away is an error, and named."""


class MigrationError(RuntimeError):
    """The store and the schema files contradict each other; the message names the file and the way out."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file of sql/schema or of sql/views, and its number there."""

    version: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the file, whatever its line ends."""
        return hashlib.sha256(self.text.replace("\r\n", "\n").encode()).hexdigest()


def available() -> list[Migration]:
    """The files of sql/schema in their order. Raises MigrationError for two of one number."""
    return _numbered("schema")


def views() -> list[Migration]:
    """The files of sql/views in their order. Raises MigrationError for two of one number."""
    return _numbered("views")


def fingerprint() -> str:
    """What names the whole of the schema and its views: rows of spans are as it makes them."""
    return hashlib.sha256("".join(one.checksum for one in (*available(), *views())).encode()).hexdigest()


def _numbered(folder: str) -> list[Migration]:
    found = [p for p in files("sql").joinpath(folder).iterdir() if p.name.endswith(".sql")]
    migrations = [Migration(int(p.name.partition("_")[0]), p.name, p.read_text("utf-8")) for p in found]
    migrations.sort(key=lambda one: (one.version, one.name))
    for one, other in pairwise(migrations):
        if one.version == other.version:
            raise MigrationError(f"{one.name} and {other.name} have the same number: renumber the newer one")
    return migrations


def migrate(
    client: "Client",
    *,
    now: datetime,
    migrations: list[Migration] | None = None,
    placement: Placement | None = None,
) -> list[str]:
    """Apply what is missing and return the names applied, in order; [] when the schema is up to date.

    Views are applied behind the whole of sql/schema, so not where `migrations` are given. Raises MigrationError when an
    applied file of sql/schema has changed, is missing here, or a new one has a number below it, and when the server
    refuses a statement.
    """
    wanted = available() if migrations is None else migrations
    place = placement or Placement()
    done = _applied(client)
    _agree(wanted, done)
    steps = [step for step in wanted if step.version not in done]
    for step in steps:
        _run(client, step, place)
        _record(client, "schema_migrations", {"version": step.version, **_row(step, now)})
    changed = [] if migrations is not None else _changed(client)
    for view in changed:
        _run(client, view, place)
        _record(client, "schema_views", _row(view, now))
    return [step.name for step in (*steps, *changed)]


def pending(client: "Client") -> list[str]:
    """The names `migrate` would apply. Raises MigrationError as it does."""
    wanted, done = available(), _applied(client)
    _agree(wanted, done)
    return [step.name for step in (*(m for m in wanted if m.version not in done), *_changed(client))]


def _run(client: "Client", migration: Migration, place: Placement) -> None:
    settings = SETTINGS | CLUSTER_SETTINGS if place.cluster else SETTINGS
    for number, statement in enumerate(place.statements(migration.text), start=1):
        try:
            client.command(statement, settings=settings)
        except DatabaseError as fault:
            raise MigrationError(f"{migration.name}, statement {number}: {fault}") from fault


def _row(migration: Migration, now: datetime) -> dict[str, object]:
    return {"name": migration.name, "checksum": migration.checksum, "applied_at": now}


def _record(client: "Client", table: str, row: Mapping[str, object]) -> None:
    client.insert(table, [list(row.values())], column_names=list(row), database="tollway")


def _changed(client: "Client") -> list[Migration]:
    """The views from the first on whose text is not what was applied last."""
    there = client.query(_VIEWS_ARE_THERE).result_rows
    rows = client.query(_VIEWS).result_rows if there else []
    applied = {str(name): str(checksum) for name, checksum in rows}
    return list(dropwhile(lambda view: applied.get(view.name) == view.checksum, views()))


def _applied(client: "Client") -> dict[int, tuple[str, str]]:
    if not client.query(_IS_THERE).result_rows:
        return {}
    return {int(version): (name, checksum) for version, name, checksum in client.query(_APPLIED).result_rows}


def _agree(wanted: list[Migration], done: dict[int, tuple[str, str]]) -> None:
    by_version = {m.version: m for m in wanted}
    for version, (name, checksum) in sorted(done.items()):
        here = by_version.get(version)
        if here is None:
            raise MigrationError(f"{name} was applied to this store and is not in this Tollway: use a newer version")
        if here.checksum != checksum:
            raise MigrationError(
                f"{here.name} has changed since it was applied (applied {checksum}, now {here.checksum}): "
                "restore it and put the change into a new file"
            )
    newest = max(done, default=0)
    late = [m.name for m in wanted if m.version < newest and m.version not in done]
    if late:
        raise MigrationError(f"{late[0]} has a number below {done[newest][0]}, which is applied: give it a higher one")
