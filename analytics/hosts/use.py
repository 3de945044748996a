"""How busy each host was and what it sent, by who had it do so: measured in the store, a stretch at a time.

A host is busy while at least one attempt runs on it, however many do: the union of their intervals, cut at UTC
midnights and where a rent begins, changes or ends. Refused attempts never ran. An attempt that was lost ran until its
gateway was last known to: its journal's last record.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import polars as pl
from clickhouse_connect.driver.client import Client

import sql
from analytics.allocation import Owner
from gateway.domain.host import Stretch

UNIT = 2_329_089_562_800
"""What a nanosecond of a busy host weighs, divided evenly among the attempts that run in it: the least common multiple
of 1 to 30, so that up to 30 at once it divides without a rest. Beyond, each gets the same, rounded down."""
CHUNK_ATTEMPTS = 2_000_000
"""So many are walked through at once: some 600 MB in the store."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnerUse:
    """What one owner had a host do in a stretch."""

    owner: Owner
    weight: int = 0
    """Nanoseconds times UNIT, each shared evenly among the attempts that ran in it."""
    attempts: int = 0
    """Those that began in the stretch."""
    sent_bytes: int = 0
    lost: int = 0
    """How many of them were lost: what was sent of those is not known."""


@dataclass(frozen=True, slots=True)
class StretchUse:
    """How a stretch was used; the owners in order."""

    stretch: Stretch
    busy_ns: int
    owners: tuple[OwnerUse, ...]

    @property
    def rented_ns(self) -> int:
        """How long it is."""
        return nanos(self.stretch.until) - nanos(self.stretch.since)

    @property
    def idle_ns(self) -> int:
        """How much of it nothing ran."""
        return self.rented_ns - self.busy_ns


def nanos(at: datetime) -> int:
    """Unix nanoseconds, without a float on the way."""
    passed = at - _EPOCH
    return ((passed.days * 86_400 + passed.seconds) * 1_000_000 + passed.microseconds) * 1000


def used(client: Client, stretches: Sequence[Stretch]) -> list[StretchUse]:
    """How each of the stretches was used, in their order, the idle ones too."""
    if not stretches:
        return []
    sent = sql.fetch(client, "host_sent", **_params(stretches))
    began: dict[tuple[str, int], int] = defaultdict(int)
    for row in sent.iter_rows(named=True):
        began[row["host"], row["since"]] += row["attempts"]
    busy = [
        sql.fetch(client, "host_busy", unit=UNIT, **_params(chunk))
        for chunk in _chunks(stretches, lambda stretch: began[_key(stretch)])
    ]
    return assembled(stretches, pl.concat(busy), sent)


def _params(stretches: Iterable[Stretch]) -> dict[str, object]:
    stretches = list(stretches)
    return {
        "hosts": [stretch.host.name for stretch in stretches],
        "sinces": [nanos(stretch.since) for stretch in stretches],
        "untils": [nanos(stretch.until) for stretch in stretches],
    }


def _chunks(stretches: Iterable[Stretch], attempts_in: Callable[[Stretch], int]) -> Iterator[list[Stretch]]:
    """The stretches in the order of time, so many together as the store has room to walk through at once."""
    chunk: list[Stretch] = []
    attempts = 0
    for stretch in sorted(stretches, key=lambda each: (each.since, each.host.name)):
        more = attempts_in(stretch)
        if chunk and attempts + more > CHUNK_ATTEMPTS:
            yield chunk
            chunk, attempts = [], 0
        chunk.append(stretch)
        attempts += more
    yield chunk


def _key(stretch: Stretch) -> tuple[str, int]:
    return stretch.host.name, nanos(stretch.since)


def assembled(stretches: Iterable[Stretch], busy: pl.DataFrame, sent: pl.DataFrame) -> list[StretchUse]:
    """The rows of host_busy and host_sent, by stretch."""
    busy_ns: dict[tuple[str, int], int] = {}
    rows: dict[tuple[str, int], dict[Owner, dict[str, int]]] = {}
    for row in busy.iter_rows(named=True):
        key = (row["host"], row["since"])
        busy_ns[key] = row["busy_ns"]
        rows.setdefault(key, {}).setdefault(owner_of(row), {})["weight"] = int(row["weight"])
    for row in sent.iter_rows(named=True):
        told = {name: row[name] for name in ("attempts", "sent_bytes", "lost")}
        rows.setdefault((row["host"], row["since"]), {}).setdefault(owner_of(row), {}).update(told)
    found = []
    for stretch in stretches:
        key = _key(stretch)
        owners = rows.get(key, {})
        uses = tuple(OwnerUse(owner=owner, **owners[owner]) for owner in sorted(owners))
        found.append(StretchUse(stretch, busy_ns.get(key, 0), uses))
    return found


def owner_of(row: Mapping[str, object]) -> Owner:
    """Who caused it."""
    return Owner(
        tenant=str(row["tenant"]),
        alias=str(row["alias"]),
        tier=str(row["tier"]),
        fallback_depth=int(str(row["fallback_depth"])),
        fallback_reason=str(row["fallback_reason"]),
    )
