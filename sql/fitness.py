"""Whether a ClickHouse can be Tollway's store, told before anything of worth is put into it.

A server that is too old, that lacks a setting which landing says, or that does not deduplicate would store spans twice
and say nothing. So each is asked at the start, and then has to show it: three rows are landed twice under one token,
through a view as spans are, and counted. What is wrong is said all at once, each with the way out.
"""

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING
from uuid import uuid4

from sql import landing
from sql.placement import Placement
from sql.statements import fetch

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

OLDEST = (25, 8)
"""From this version on a message's schema may come with the insert; views deduplicate by the insert's token."""
SAID = frozenset({*landing.SETTINGS, *landing.QUORUM_SETTINGS, "insert_quorum", "format_schema"}) - {
    "wait_end_of_query"
}
"""The settings that landing says; the one left out is HTTP's own."""
FORMATS = frozenset({"ProtobufSingle", "JSONEachRow", "Native"})
DATABASE_ENGINES = frozenset({"", "Atomic", "Replicated"})
PROBE_ROWS = 3
_WINDOW = re.compile(r"\b(?P<kind>non_replicated|replicated)_deduplication_window = (?P<blocks>\d+)")


class Unfit(RuntimeError):
    """This server is not to be landed in; the message says why, and what to do about it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """What a server says of itself."""

    lacks: frozenset[str]
    """Settings that landing says and the server does not know, or lets nobody change."""
    formats: frozenset[str]
    shard: str = ""
    """Its macro; "" = it has none."""
    replica: str = ""
    shards: int = 0
    """Of the cluster that was asked for; 0 = the server knows no such cluster."""
    database_engine: str = ""
    spans_engine: str = ""


def require(client: "Client", placement: Placement, *, shard: str = "", shards: int = 0) -> None:
    """Raise Unfit unless the server says of itself all that is needed.

    `shard` is the one that it is held for ("" = none in particular), `shards` how many its cluster should have (0:
    any).
    """
    if old := _too_old(client.server_version or "of no version"):
        raise Unfit(f"the store is refused: {old}")  # It may not even understand the question.
    found = faults(_server(client, placement), placement, shard=shard, shards=shards)
    if found:
        raise Unfit("the store is refused: " + "; ".join(found))


def prove(client: "Client", placement: Placement) -> None:
    """Land three rows twice under one token. Raises Unfit unless three are there, the driver's error without schema."""
    probe_id = uuid4().hex
    payload = b"\x0a\x20" + probe_id.encode() + b"\x12\x03\x01\x02\x03"
    said = landing.settings(client, schema=_probe_schema(), token=probe_id, quorum="")
    for _ in range(2):
        client.raw_insert("tollway.probe_landing", insert_block=payload, fmt="ProtobufSingle", settings=said)
    found = int(fetch(client, "fitness_probed", facts=placement.facts, probe_id=probe_id).item())
    if found != PROBE_ROWS:
        raise Unfit(
            f"the store is refused: it does not deduplicate: of {PROBE_ROWS} rows sent twice under one token it has "
            f"{found}, so a retry would count spans twice; look for changed deduplication settings of the table "
            f"{placement.facts}.probe and in the writer's profile, or use another server"
        )


def faults(server: Server, placement: Placement, *, shard: str = "", shards: int = 0) -> list[str]:
    """What keeps a server from being the store, or a shard of it; [] = nothing. Pure."""
    found = []
    if server.lacks:
        names = ", ".join(sorted(server.lacks))
        found.append(f"it does not know or does not let be set: {names}; lift the constraints of the writer's profile")
    if missing := FORMATS - server.formats:
        found.append(f"it does not read the format {', '.join(sorted(missing))}: use an official build of ClickHouse")
    if server.database_engine not in DATABASE_ENGINES:
        found.append(
            f"its database {placement.facts} has the engine {server.database_engine}: make it anew with ENGINE = Atomic"
        )
    if server.spans_engine and not _remembers(server.spans_engine, replicated=bool(placement.cluster)):
        found.append(_forgetful(placement))
    return found + (_cluster_faults(server, placement, shard, shards) if placement.cluster else [])


def _cluster_faults(server: Server, placement: Placement, shard: str, shards: int) -> list[str]:
    found = []
    if not server.shards:
        found.append(f"it knows no cluster {placement.cluster!r}: name one of its remote_servers in store.cluster")
    elif shards and server.shards != shards:
        found.append(
            f"its cluster {placement.cluster!r} has {server.shards} shards, store.shards names {shards}: name each once"
        )
    if not server.shard or not server.replica:
        found.append("it has no macros shard and replica: every server of a cluster needs both in its configuration")
    elif shard and server.shard != shard:
        found.append(
            f"its macro shard is {server.shard!r}, store.shards has it under {shard!r}: put it where it belongs"
        )
    return found


def _forgetful(placement: Placement) -> str:
    kind = "replicated" if placement.cluster else "non_replicated"
    return (
        f"{placement.facts}.spans remembers no tokens: ALTER TABLE {placement.facts}.spans MODIFY SETTING "
        f"{kind}_deduplication_window = 10000"
    )


def _remembers(engine: str, *, replicated: bool) -> bool:
    windows = {match["kind"]: int(match["blocks"]) for match in _WINDOW.finditer(engine)}
    return windows.get("replicated" if replicated else "non_replicated", 0) > 0


def _too_old(version: str) -> str:
    """Why that version will not do; "" = it will."""
    if tuple(int(part) for part in re.findall(r"\d+", version)[:2]) >= OLDEST:
        return ""
    return f"it is ClickHouse {version}, and deduplicates safely from 25.8 on: upgrade it"


def _server(client: "Client", placement: Placement) -> Server:
    known = client.server_settings
    said = fetch(client, "fitness_server", cluster=placement.cluster, facts=placement.facts).row(0, named=True)
    return Server(
        lacks=frozenset(name for name in SAID if name not in known or known[name].readonly),
        formats=frozenset(said["formats"]),
        shard=said["shard"],
        replica=said["replica"],
        shards=said["shards"],
        database_engine=said["database_engine"],
        spans_engine=said["spans_engine"],
    )


@cache
def _probe_schema() -> str:
    return files("sql").joinpath("schema", "probe.proto").read_text("utf-8")
