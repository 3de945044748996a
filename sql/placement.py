"""Where tables live: on one server, or over a cluster's shards and replicas. Pure text; nothing here asks a server.

The files say `{engine}` and `{on_cluster}` and are the same for both. On one server a statement stays what it is. On a
cluster it becomes what keeps every name that a query reads:

- Facts lie in shards: `tollway_shard.spans` is the shard's own, replicated, and `tollway.spans` a Distributed table
  over all of them, which only reads. It holds nothing, and is made anew behind each change of the columns.
- Every other table that holds rows is small: one replicated table that every server of the cluster has whole, so joins
  need no network. Its path names no shard, so Keeper brings it to all of them, and its ALTER too, without ON CLUSTER.
- The landing table and the view that fills the facts are on every server, each filling the shard's own table.

Replicas are told apart by the servers' macros `shard` and `replica`, which their operator sets.
"""

import re
from dataclasses import dataclass

from sql.tokens import statements

DATABASE = "tollway"
SHARD_DATABASE = "tollway_shard"
"""Holds a shard's own facts; on one server there is none."""
FACTS = frozenset({"spans", "probe"})
"""Tables whose rows are spread over the shards; every other one is whole on every server."""

_HEAD = re.compile(
    r"(?:\s|--[^\n]*\n)*(?P<verb>CREATE DATABASE|CREATE TABLE|CREATE MATERIALIZED VIEW|CREATE|DROP|ALTER TABLE|\w+)"
    r"[^.{(]*?(?:tollway\.)?(?P<name>\w+)\s*\{on_cluster\}"
)
_ENGINE = re.compile(r"(\w*)\{engine\}(?:\((\w+)\))?")
"""With the column that tells which of two equal rows counts, where it has one."""
_OWN_ENGINE = re.compile(r"^ENGINE = ", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Placement:
    """One server, or the cluster of that name, as the servers' own configuration names it."""

    cluster: str = ""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[\w.-]*", self.cluster):
            raise ValueError(f"a cluster's name has letters, digits, _ . and -, not {self.cluster!r}")

    @property
    def facts(self) -> str:
        """The database in which a server has the rows that were landed on it."""
        return SHARD_DATABASE if self.cluster else DATABASE

    def statements(self, text: str) -> list[str]:
        """The statements of a file, in order, as this placement runs them."""
        if not self.cluster:
            return [one.replace("{engine}", "MergeTree").replace("{on_cluster}", "") for one in statements(text)]
        return [made for one in statements(text) for made in self._spread(one)]

    def _spread(self, statement: str) -> list[str]:
        head = _HEAD.match(statement)
        if head is None:
            return [statement]
        verb, name = head["verb"], head["name"]
        if verb == "CREATE DATABASE":
            other = statement.replace(f" {DATABASE} ", f" {SHARD_DATABASE} ")
            return [self._everywhere(one, name) for one in (statement, other)]
        if name in FACTS:
            return [self._on_cluster(self._in_shard(statement), f"{{shard}}/{name}", "{replica}"), self._over_all(name)]
        if verb == "CREATE MATERIALIZED VIEW":
            return [self._everywhere(self._in_shard(statement), name)]
        if verb == "ALTER TABLE":
            return [statement.replace("{on_cluster} ", "").replace("{on_cluster}", "")]
        if verb == "CREATE TABLE" and not _OWN_ENGINE.search(statement):
            statement += "\nENGINE = {engine}"  # Of AS another table, whose engine would name that table's replicas.
        return [self._everywhere(statement, name)]

    def _everywhere(self, statement: str, name: str) -> str:
        return self._on_cluster(statement, f"every/{name}", "{shard}-{replica}")

    def _on_cluster(self, statement: str, path: str, replica: str) -> str:
        place = f"'/clickhouse/tables/{self.cluster}/{DATABASE}/{path}', '{replica}'"

        def engine(found: re.Match[str]) -> str:
            return f"Replicated{found[1]}MergeTree({place}{f', {found[2]}' if found[2] else ''})"

        return _ENGINE.sub(engine, statement).replace("{on_cluster}", f"ON CLUSTER '{self.cluster}'")

    def _over_all(self, name: str) -> str:
        return (
            f"CREATE OR REPLACE TABLE {DATABASE}.{name} ON CLUSTER '{self.cluster}' AS {SHARD_DATABASE}.{name}\n"
            f"ENGINE = Distributed('{self.cluster}', '{SHARD_DATABASE}', '{name}')"
        )

    @staticmethod
    def _in_shard(statement: str) -> str:
        return re.sub(rf"\b{DATABASE}\.({'|'.join(sorted(FACTS))})\b", rf"{SHARD_DATABASE}.\1", statement)
