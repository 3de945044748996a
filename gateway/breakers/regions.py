"""The regions of every provider: keeps their states, lets the pure machine decide.

Breakers tell it when they open and close. While nothing is browned out, asking costs one look at an empty set.
"""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

from gateway.breakers.brownout import CALM, Evidence, Region, Status, closed, judged, opened, settled


class Place(NamedTuple):
    """Where an upstream is. One provider's trouble says nothing of another's in the same region."""

    provider: str
    region: str


class Turn(NamedTuple):
    """A region that browned out or recovered."""

    place: Place
    before: Status
    after: Status
    recovery_s: float | None
    """From the first opening to the last closing, on recovering; None where nobody saw the last close."""


class Brownouts:
    """All regions. An upstream without a configured region is in none."""

    def __init__(self, places: Mapping[str, Place], tenants: int) -> None:
        """`places` by upstream; `tenants` is how many distinct ones a brownout takes."""
        self._places = places
        self._tenants = tenants
        self._regions: dict[Place, Region] = {}
        self.browned: set[Place] = set()
        self.count: dict[Place, int] = {}
        """How often each browned out."""
        self.recovery_s: dict[Place, float] = {}
        """How long the last recovery of each took."""

    def opened(self, upstream: str, found: Evidence, now: float) -> Turn | None:
        """A breaker there opened, or sends its probe."""
        return self._step(upstream, now, lambda region: opened(region, found, tenants=self._tenants, now=now))

    def closed(self, upstream: str, breaker: object, now: float) -> Turn | None:
        """A breaker there closed."""
        return self._step(upstream, now, lambda region: closed(region, breaker, tenants=self._tenants, now=now))

    def settle(self, now: float) -> list[Turn]:
        """Let what is stale be forgotten; the regions that turned by it."""
        turns = []
        for place, before in tuple(self._regions.items()):
            after = settled(before, tenants=self._tenants, now=now)
            if after is not before and (turn := self._became(place, before, after, None)) is not None:
                turns.append(turn)
        return turns

    def statuses(self, now: float) -> dict[Place, Status]:
        """Every region that is configured, as it is now."""
        tenants = self._tenants
        return {
            place: settled(self._regions.get(place, CALM), tenants=tenants, now=now).status
            for place in self._places.values()
        }

    def skips(self, upstream: str) -> bool:
        """Whether new requests skip that upstream; `settle` first."""
        return self._places.get(upstream) in self.browned

    def follow(self, places: Mapping[str, Place], tenants: int, keep: Callable[[object], bool]) -> list[Turn]:
        """Go on under another configuration, with the evidence of those breakers that `keep` names."""
        self._places, self._tenants = places, tenants
        there, turns = set(places.values()), []
        for place, before in tuple(self._regions.items()):
            after = before
            for known in before.evidence:
                if place not in there or not keep(known.breaker):
                    after = closed(after, known.breaker, tenants=tenants, now=-math.inf)
            after = judged(after, tenants)  # At once: the next event may be long in coming.
            if (turn := self._became(place, before, after, None)) is not None:
                turns.append(turn)
        return turns

    def _step(self, upstream: str, now: float, step: Callable[[Region], Region]) -> Turn | None:
        place = self._places.get(upstream)
        if place is None:
            return None
        before = self._regions.get(place, CALM)
        after = step(before)
        return self._became(place, before, after, now - before.since)

    def _became(self, place: Place, before: Region, after: Region, lasted_s: float | None) -> Turn | None:
        if after.evidence:
            self._regions[place] = after
        else:
            self._regions.pop(place, None)
        if after.status is before.status:
            return None
        if after.status is Status.OPEN:
            self.browned.add(place)
            if before.status is Status.CLOSED:
                self.count[place] = self.count.get(place, 0) + 1
            return Turn(place, before.status, after.status, None)
        self.browned.discard(place)
        recovery_s = lasted_s if after.status is Status.CLOSED else None
        if recovery_s is not None:
            self.recovery_s[place] = recovery_s
        return Turn(place, before.status, after.status, recovery_s)
