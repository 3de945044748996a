"""Which spans were seen lately: their keys, by sender, for a time and up to a number, whichever is less.

By sender, so that nobody can make another's spans vanish by sending their ids first. What is older than the horizon is
for an audit in the store to find. Not thread-safe: the lander owns it.
"""

from collections import deque
from collections.abc import Iterable

from collector.otlp import NO_KEY

ANYONE = ""
"""Stands for every sender: for keys that the store remembers and the ledger does not."""


class Horizon:
    """The keys of spans that are stored, or on their way by the ledger."""

    def __init__(self, *, horizon_s: float, keys_max: int) -> None:
        self._horizon_ms = int(horizon_s * 1000)
        self._keys_max = keys_max
        self._seen: dict[str, set[bytes]] = {}
        self._groups: deque[tuple[int, str, list[bytes]]] = deque()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    @property
    def oldest_ms(self) -> int | None:
        """When the oldest keys came; None = there are none."""
        return self._groups[0][0] if self._groups else None

    def known(self, sender: str, keys: list[bytes]) -> list[int]:
        """The positions of keys that were seen before, or stand a second time in `keys`; ascending."""
        seen = self._seen.get(sender, set())
        anyone = self._seen.get(ANYONE, set())
        fresh = set(keys)
        if len(fresh) == len(keys) and seen.isdisjoint(fresh) and anyone.isdisjoint(fresh):
            return []
        positions: list[int] = []
        here: set[bytes] = set()
        for position, key in enumerate(keys):
            if key == NO_KEY:
                continue
            if key in seen or key in anyone or key in here:
                positions.append(position)
            here.add(key)
        return positions

    def add(self, sender: str, keys: Iterable[bytes], received_ms: int) -> None:
        """Remember keys; those remembered already keep their older time."""
        seen = self._seen.setdefault(sender, set())
        fresh = set(keys).difference(seen)
        fresh.discard(NO_KEY)
        if fresh:
            seen.update(fresh)
            self._groups.append((received_ms, sender, list(fresh)))
            self._size += len(fresh)

    def unlearn(self, sender: str, keys: Iterable[bytes]) -> None:
        """Know these no more: what they are of is lost, and lands if it comes again."""
        lost = set(keys)
        self._seen.get(sender, set()).difference_update(lost)
        for _, whose, group in self._groups:
            if whose == sender and not lost.isdisjoint(group):
                before = len(group)
                group[:] = [key for key in group if key not in lost]
                self._size -= before - len(group)

    def forget(self, now_ms: int) -> None:
        """Drop what is too old or too much, oldest first."""
        while self._groups and (self._groups[0][0] < now_ms - self._horizon_ms or self._size > self._keys_max):
            _, sender, keys = self._groups.popleft()
            self._seen[sender].difference_update(keys)
            self._size -= len(keys)
