"""Whole answers, kept for a while: a store bounded by bytes, in which each entry has a time to live.

Entries are counted with their keys and with what Python itself needs for them, so that the bound is one on memory.
The least recently used go first. Nothing is found but under the key it was kept under, which begins with its tenant.
"""

from collections import OrderedDict
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from gateway.domain.usage import Completeness, Usage

ENTRY_BYTES = 1_536
"""What an entry takes beside its texts: its objects, its key and its place in the table, rounded up."""


class Key(NamedTuple):
    """What an answer is kept under. Two tenants never have a key in common."""

    tenant: str
    alias: str
    tier: str
    """An alias may be served by other models in another tier."""
    epoch: str
    kind: str
    """Chat, completions or embeddings."""
    digest: bytes
    """SHA-256 of all else that can change the answer: its framing, headers, the canonical body, the alias's rungs."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One complete answer, as the client had it."""

    status: int
    head: bytes
    """The header lines that belong to the body."""
    body: bytes
    """The body, or a stream's events from the first to the last."""
    stream: bool
    """Whether the body is a stream's events."""
    usage: Usage
    completeness: Completeness
    cost_usd: Decimal | None
    """What the attempt that brought it cost; None = no price known."""


def size_of(key: Key, entry: Entry) -> int:
    """The bytes of memory that keeping it takes, rounded up."""
    return ENTRY_BYTES + len(entry.head) + len(entry.body) + sum(map(len, key))


class Store:
    """At most `max_bytes`, each entry for at most `ttl_s` seconds."""

    def __init__(self, max_bytes: int, ttl_s: float) -> None:
        self.max_bytes = max_bytes
        self.ttl_s = ttl_s
        self.bytes = 0
        self.evictions = {"size": 0, "ttl": 0}
        """How many entries went, by what drove them out."""
        self._entries: OrderedDict[Key, tuple[float, Entry]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Key, now: float) -> Entry | None:
        """The answer kept under `key`, unless its time is over."""
        found = self._entries.get(key)
        if found is None:
            return None
        until, entry = found
        if now >= until:
            self._drop(key, "ttl")
            return None
        self._entries.move_to_end(key)
        return entry

    def put(self, key: Key, entry: Entry, now: float) -> bool:
        """Keep it, in the place of what was there; False if it is too large to be kept at all."""
        size = size_of(key, entry)
        if size > self.max_bytes:
            return False
        if key in self._entries:
            self._drop(key, None)
        self._make_room(size, now)
        self._entries[key] = (now + self.ttl_s, entry)
        self.bytes += size
        return True

    def resize(self, max_bytes: int, ttl_s: float) -> None:
        """Other bounds from now on; what was kept before keeps the time it was given, if there is room for it."""
        self.max_bytes, self.ttl_s = max_bytes, ttl_s
        self._make_room(0, 0.0)

    def _make_room(self, size: int, now: float) -> None:
        while self.bytes + size > self.max_bytes:
            oldest, (until, _) = next(iter(self._entries.items()))
            self._drop(oldest, "ttl" if now >= until else "size")

    def _drop(self, key: Key, cause: str | None) -> None:
        _, entry = self._entries.pop(key)
        self.bytes -= size_of(key, entry)
        if cause is not None:
            self.evictions[cause] += 1
