"""The decision core of a tier's pool: who gets a slot, who waits, who is turned away. Plain state, no clock, no loop.

Slots are counted per request, from the grant to the end of its answer. Waiting requests stand in a line per tenant,
first come first served, and the lines take turns: a tenant of weight w is served w times in its turn. When the queue
is full, a newcomer whose tenant holds less than its share of it takes the place of the newest request of the tenant
that holds most, so one tenant cannot shut the others out by filling the queue.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Generic, TypeVar

Waiting = TypeVar("Waiting")
"""Whoever waits; hashable, each its own."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The pool's size and its queue's."""

    max_inflight: int
    max_queue: int
    max_queue_seconds: float


@dataclass(frozen=True, slots=True)
class Granted:
    """A slot, at once."""


@dataclass(frozen=True, slots=True)
class Queued(Generic[Waiting]):
    """A place in line; `displaced` lost its own for it."""

    displaced: Waiting | None = None


@dataclass(frozen=True, slots=True)
class Full:
    """No slot and no place."""


GRANTED = Granted()
FULL = Full()


class _Line(Generic[Waiting]):
    """One tenant's waiting requests, oldest first, with the instant each arrived."""

    __slots__ = ("served", "waiting", "weight")

    def __init__(self, weight: int) -> None:
        self.weight = weight
        self.served = 0
        self.waiting: OrderedDict[Waiting, float] = OrderedDict()


class FairQueue(Generic[Waiting]):
    """One tier's slots and lines."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._lines: OrderedDict[str, _Line[Waiting]] = OrderedDict()
        self.inflight = 0
        self.queued = 0

    def arrive(self, who: Waiting, tenant: str, weight: int, now: float) -> Granted | Queued[Waiting] | Full:
        """Ask for a slot at `now` (any clock, as long as it is one). A request that is queued must not ask again."""
        if self.inflight < self._limits.max_inflight:
            self.inflight += 1
            return GRANTED
        displaced = None
        if self.queued >= self._limits.max_queue:
            fullest = self._over_its_share(tenant, weight)
            if fullest is None:
                return FULL
            displaced = next(reversed(self._lines[fullest].waiting))
            self.leave(displaced, fullest)
        line = self._lines.get(tenant)
        if line is None:
            line = self._lines[tenant] = _Line(weight)
        line.waiting[who] = now
        self.queued += 1
        return Queued(displaced)

    def resize(self, limits: Limits) -> list[Waiting]:
        """Take other limits from now on. Returns who of those in line has a slot now; nobody loses slot or place."""
        self._limits = limits
        granted = []
        while self._lines and self.inflight < limits.max_inflight:
            self.inflight += 1
            granted.append(self._next())
        return granted

    def release(self) -> Waiting | None:
        """Give a slot back. Returns who has it now, or None when nobody waited, or the pool has shrunk meanwhile."""
        if not self._lines or self.inflight > self._limits.max_inflight:
            self.inflight -= 1
            return None
        return self._next()

    def _next(self) -> Waiting:
        """Take the one whose turn it is out of its line."""
        tenant, line = next(iter(self._lines.items()))
        who, _ = line.waiting.popitem(last=False)
        self.queued -= 1
        line.served += 1
        if not line.waiting:
            del self._lines[tenant]
        elif line.served >= line.weight:
            line.served = 0
            self._lines.move_to_end(tenant)
        return who

    def leave(self, who: Waiting, tenant: str) -> bool:
        """Give up a place in line; False if `who` had none."""
        line = self._lines.get(tenant)
        if line is None or who not in line.waiting:
            return False
        del line.waiting[who]
        self.queued -= 1
        if not line.waiting:
            del self._lines[tenant]
        return True

    def expire(self, now: float) -> list[Waiting]:
        """Take out, and return, all who have waited as long as the tier allows."""
        oldest = now - self._limits.max_queue_seconds
        late: list[Waiting] = []
        for tenant, line in list(self._lines.items()):
            while line.waiting and next(iter(line.waiting.values())) <= oldest:
                who = next(iter(line.waiting))
                self.leave(who, tenant)
                late.append(who)
        return late

    def next_expiry(self) -> float | None:
        """When the first of those waiting will have waited too long; None when nobody waits."""
        arrivals = [next(iter(line.waiting.values())) for line in self._lines.values()]
        return min(arrivals) + self._limits.max_queue_seconds if arrivals else None

    def _over_its_share(self, tenant: str, weight: int) -> str | None:
        """The tenant that holds most of the queue for its weight, if it holds more than the newcomer's would."""
        if not self._lines:
            return None
        fullest, line = max(self._lines.items(), key=lambda item: len(item[1].waiting) / item[1].weight)
        own = self._lines.get(tenant)
        mine = (len(own.waiting) if own else 0) + 1
        return fullest if len(line.waiting) / line.weight > mine / weight else None
