"""Brings the store's schema up to date: numbered files, forward only, each applied once and never changed again.

Each statement of a file runs alone and is written so that running it again does no harm; the file counts as applied
when its row is in `tollway.schema_migrations`. So a run killed half way is finished by the next one.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from itertools import pairwise
from typing import TYPE_CHECKING

from clickhouse_connect.driver.exceptions import DatabaseError

from sql.tokens import statements

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

_IS_THERE = "SELECT 1 FROM system.tables WHERE database = 'tollway' AND name = 'schema_migrations'"
_APPLIED = "SELECT version, any(name), any(checksum) FROM tollway.schema_migrations GROUP BY version"
SETTINGS = {"max_execution_time": 0, "wait_end_of_query": 1}


class MigrationError(RuntimeError):
    """The store and the schema files contradict each other; the message names the file and the way out."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file of sql/schema."""

    version: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the file, whatever its line ends."""
        return hashlib.sha256(self.text.replace("\r\n", "\n").encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Placement:
    """Where tables live: on one server, or replicated over a cluster."""

    engine: str = "MergeTree"
    on_cluster: str = ""

    def fill(self, text: str) -> str:
        """The text with its two placeholders filled in."""
        return text.replace("{engine}", self.engine).replace("{on_cluster}", self.on_cluster)


def available() -> list[Migration]:
    """The files of sql/schema in their order. Raises MigrationError for two of one number."""
    found = sorted(
        (p for p in files("sql").joinpath("schema").iterdir() if p.name.endswith(".sql")), key=lambda p: p.name
    )
    migrations = [Migration(int(p.name.partition("_")[0]), p.name, p.read_text("utf-8")) for p in found]
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

    Raises MigrationError when an applied file has changed, is missing here, or a new one has a number below it, and
    when the server refuses a statement.
    """
    wanted = available() if migrations is None else migrations
    place = placement or Placement()
    done = _applied(client)
    _agree(wanted, done)
    applied = []
    for migration in wanted:
        if migration.version in done:
            continue
        for number, statement in enumerate(statements(place.fill(migration.text)), start=1):
            try:
                client.command(statement, settings=SETTINGS)
            except DatabaseError as fault:
                raise MigrationError(f"{migration.name}, statement {number}: {fault}") from fault
        client.insert(
            "schema_migrations",
            [[migration.version, migration.name, migration.checksum, now]],
            column_names=["version", "name", "checksum", "applied_at"],
            database="tollway",
        )
        applied.append(migration.name)
    return applied


def pending(client: "Client") -> list[str]:
    """The names `migrate` would apply. Raises MigrationError as it does."""
    wanted, done = available(), _applied(client)
    _agree(wanted, done)
    return [m.name for m in wanted if m.version not in done]


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
