"""The decision core of a tier's pool: who gets a slot, who waits, who is turned away. Plain state, no clock, no loop.

A slot is taken from the grant to the end of the answer; slots.py says who fits. Those who do not fit wait in a
line per tenant, and tenants take turns by weight: while one waits, another of equal weight is served once for each of
its own. Within a line the sessions of an alias take turns where sessions are capped; all else is first come, first
served. Who is held up by its tenant's, its session's or its alias's cap is passed over and keeps its turn. Who lacks
nothing but tokens is passed over PASSED_MAX times; then nobody goes before it, so a long request is not starved.

When the queue is full, a newcomer whose tenant holds less than its share of the places takes the newest place of the
tenant that holds most; within a tenant, it takes one from an alias that is at its cap and holds more of the line than
its own. So neither a tenant nor a slow alias shuts others out by filling the queue.

After every call this holds: of each tenant and alias, whoever is next does not fit. No call looks at all who wait: it
looks at who is next of the tenants in line.
"""

from collections import OrderedDict
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Generic, TypeAlias, TypeVar

from gateway.pools.slots import Claim, Limits, Slots

Waiting = TypeVar("Waiting")
"""Whoever waits; hashable, each its own."""

PASSED_MAX = 16


class Place(Generic[Waiting]):
    """A place in line. `flow` names the session it takes turns as."""

    __slots__ = ("arrived", "claim", "flow", "passed", "who")

    def __init__(self, who: Waiting, claim: Claim, arrived: float, flow: str) -> None:
        self.who = who
        self.claim = claim
        self.arrived = arrived
        self.flow = flow
        self.passed = 0


@dataclass(frozen=True, slots=True)
class Granted:
    """A slot, at once."""


@dataclass(frozen=True, slots=True)
class Queued(Generic[Waiting]):
    """A place in line; `displaced` lost its own for it."""

    displaced: Place[Waiting] | None = None


@dataclass(frozen=True, slots=True)
class Full:
    """No slot and no place."""


GRANTED = Granted()
FULL = Full()

Flow: TypeAlias = OrderedDict[Waiting, Place[Waiting]]


class _Line(Generic[Waiting]):
    """One tenant's waiting requests."""

    __slots__ = ("aside", "counts", "flows", "places", "tag", "weight")

    def __init__(self, weight: int, tag: float) -> None:
        self.weight = weight
        self.tag = tag
        """The virtual time at which its next turn is due."""
        self.places: Flow[Waiting] = OrderedDict()
        """All of them, by arrival."""
        self.counts: dict[str, int] = {}
        """How many, by alias."""
        self.flows: dict[str, OrderedDict[str, Flow[Waiting]]] = {}
        """By alias, and then by session: those whose session has room. The first flow of an alias is next."""
        self.aside: dict[str, dict[str, Flow[Waiting]]] = {}
        """By session, and then by alias: those whose session is at its cap."""

    def add(self, place: Place[Waiting], *, aside: bool) -> None:
        self.places[place.who] = place
        alias, session = place.claim.alias, place.flow
        self.counts[alias] = self.counts.get(alias, 0) + 1
        if aside:
            flow = self.aside.setdefault(session, {}).setdefault(alias, OrderedDict())
        else:
            flow = self.flows.setdefault(alias, OrderedDict()).setdefault(session, OrderedDict())
        flow[place.who] = place

    def remove(self, place: Place[Waiting]) -> None:
        del self.places[place.who]
        alias, session = place.claim.alias, place.flow
        self.counts[alias] -= 1
        if not self.counts[alias]:
            del self.counts[alias]
        if session in self.aside:
            _take_out(self.aside, session, alias, place)
        else:
            _take_out(self.flows, alias, session, place)

    def step_aside(self, session: str) -> None:
        """The session is at its cap now."""
        for alias, ring in list(self.flows.items()):
            if session in ring:
                self.aside.setdefault(session, {})[alias] = ring.pop(session)
                if not ring:
                    del self.flows[alias]

    def step_back(self, session: str) -> None:
        """The session has room again: its turn comes after the others'."""
        for alias, flow in self.aside.pop(session, {}).items():
            self.flows.setdefault(alias, OrderedDict())[session] = flow


class FairQueue(Generic[Waiting]):
    """One tier's slots and lines. Whoever drives it tells those in `going` that they have a slot."""

    def __init__(self, limits: Limits) -> None:
        self.slots = Slots(limits)
        self.going: Flow[Waiting] = OrderedDict()
        """Their slots are taken; they have not been told. Take out whom you tell, and tell all."""
        self._places: Flow[Waiting] = OrderedDict()
        self._lines: dict[str, _Line[Waiting]] = {}
        self._turns: list[tuple[float, int, str]] = []
        """A heap of when each line's turn is due. A line stays until its turn finds it empty."""
        self._turn_count = 0
        self._virtual = 0.0
        """How far turns have come: one over the weight for each grant."""

    @property
    def queued(self) -> int:
        """How many wait."""
        return len(self._places)

    def arrive(self, who: Waiting, claim: Claim, now: float) -> Granted | Queued[Waiting] | Full:
        """Ask for a slot at `now` (any clock, as long as it is one). A request that is queued must not ask again."""
        slots = self.slots
        if self.spares(claim):
            slots.take(claim)
            return GRANTED
        place = Place(who, claim, now, claim.session if slots.limits.per_session else "")
        self._join(place)
        self._let_go()
        if self.going.pop(who, None) is not None:
            return GRANTED
        if self.queued <= slots.limits.max_queue:
            return Queued()
        displaced = self._displaced_by(place)
        self._drop(displaced)
        if displaced is place:
            return FULL
        self._let_go()
        return Queued(displaced)

    def spares(self, claim: Claim) -> bool:
        """Whether a slot is free that nobody waits for."""
        return not self._places and self.slots.fits(claim)

    def release(self, claim: Claim) -> None:
        """Give back what a request took."""
        self.slots.give(claim)
        if not self._places:
            return
        line = self._lines.get(claim.tenant)
        if line is not None and claim.session in line.aside and self.slots.session_fits(claim.tenant, claim.session):
            line.step_back(claim.session)
        self._let_go()

    def leave(self, who: Waiting) -> bool:
        """Give up a place in line, or a slot not told of yet; False if `who` had neither."""
        place = self._places.get(who)
        if place is None:
            told_never = self.going.pop(who, None)
            if told_never is not None:
                self.release(told_never.claim)
            return told_never is not None
        self._drop(place)
        self._let_go()
        return True

    def expire(self, now: float) -> list[Place[Waiting]]:
        """Take out, and return, all who have waited as long as the tier allows."""
        oldest = now - self.slots.limits.max_queue_seconds
        late: list[Place[Waiting]] = []
        while self._places and (place := next(iter(self._places.values()))).arrived <= oldest:
            self._drop(place)
            late.append(place)
        if late:
            self._let_go()
        return late

    def next_expiry(self) -> float | None:
        """When the first of those waiting will have waited too long; None when nobody waits."""
        for place in self._places.values():
            return place.arrived + self.slots.limits.max_queue_seconds
        return None

    def resize(self, limits: Limits) -> None:
        """From now on these limits hold, for those who wait too; nobody loses a place."""
        waiting = list(self._places.values())
        for place in waiting:
            self._drop(place)
        self.slots.resize(limits)
        for place in waiting:
            place.flow = place.claim.session if limits.per_session else ""
            self._join(place)
        self._let_go()

    def backlog(self, claim: Claim) -> float:
        """How many turns of a slot would end before one like it had its own: the worst of all that bounds it."""
        limits, line = self.slots.limits, self._lines.get(claim.tenant)
        worst = (self.queued + 1) / limits.max_inflight
        if not self.slots.tokens_fit(claim):
            worst = max(worst, (self.queued + 1) / max(1, self.slots.inflight))
        if limits.per_tenant:
            worst = max(worst, ((len(line.places) if line else 0) + 1) / limits.per_tenant)
        if limits.per_session and claim.session:
            held_up = sum(map(len, line.aside.get(claim.session, {}).values())) if line else 0
            worst = max(worst, (held_up + 1) / limits.per_session)
        if claim.alias_max:
            waiting = sum(other.counts.get(claim.alias, 0) for other in self._lines.values())
            worst = max(worst, (waiting + 1) / claim.alias_max)
        return worst

    # Places

    def _join(self, place: Place[Waiting]) -> None:
        claim = place.claim
        line = self._lines.get(claim.tenant)
        if line is None:
            line = self._lines[claim.tenant] = _Line(claim.weight, self._virtual + 1 / claim.weight)
            self._take_turn(claim.tenant, line)
        line.weight = claim.weight
        line.add(place, aside=not self.slots.session_fits(claim.tenant, place.flow))
        self._places[place.who] = place

    def _drop(self, place: Place[Waiting]) -> None:
        del self._places[place.who]
        self._lines[place.claim.tenant].remove(place)
        if not self._places:
            self._lines.clear()
            self._turns.clear()
            self._virtual = 0.0

    def _displaced_by(self, newcomer: Place[Waiting]) -> Place[Waiting]:
        """Who loses its place for the newcomer; the newcomer itself, if nobody holds more than its share."""
        mine = self._lines[newcomer.claim.tenant]
        fullest = max(self._lines.values(), key=lambda line: len(line.places) / line.weight)
        if len(fullest.places) / fullest.weight > len(mine.places) / mine.weight:
            return next(reversed(fullest.places.values()))
        alias, most = newcomer.claim.alias, mine.counts[newcomer.claim.alias]
        for other, ring in mine.flows.items():
            first = next(iter(next(iter(ring.values())).values()))
            if mine.counts[other] > most and not self.slots.alias_fits(first.claim):
                alias, most = other, mine.counts[other]
        if alias == newcomer.claim.alias:
            return newcomer
        return next(place for place in reversed(mine.places.values()) if place.claim.alias == alias)

    # Turns

    def _take_turn(self, tenant: str, line: _Line[Waiting]) -> None:
        self._turn_count += 1
        heappush(self._turns, (line.tag, self._turn_count, tenant))

    def _let_go(self) -> None:
        while (place := self._next_granted()) is not None:
            self.going[place.who] = place

    def _next_granted(self) -> Place[Waiting] | None:
        """The next in turn who fits, with its slot taken and out of its line; None if nobody does."""
        if self.slots.inflight >= self.slots.limits.max_inflight:
            return None
        held_up: list[tuple[float, int, str]] = []
        short: list[Place[Waiting]] = []
        found = None
        while self._turns and found is None:
            turn = self._turns[0]
            line = self._lines[turn[2]]
            if line.places:
                found = self._next_of(turn[2], line, short)
                if found is None and short and short[-1].passed >= PASSED_MAX:
                    break
            heappop(self._turns)
            if not line.places:
                del self._lines[turn[2]]
            elif found is None:
                held_up.append(turn)
        for turn in held_up:
            heappush(self._turns, turn)
        if found is not None:
            for place in short:
                place.passed += 1
            self._grant(found)
        return found

    def _next_of(self, tenant: str, line: _Line[Waiting], short: list[Place[Waiting]]) -> Place[Waiting] | None:
        """The tenant's oldest, of those that are next for an alias, that fits; who lacks only tokens goes to `short`,
        and nobody is found once that has happened to one too often."""
        slots, oldest = self.slots, None
        if not slots.tenant_fits(tenant, line.weight):
            return None
        for ring in line.flows.values():
            flow = next(iter(ring.values()))
            place = next(iter(flow.values()))
            if not slots.alias_fits(place.claim):
                continue
            if not slots.tokens_fit(place.claim):
                short.append(place)
                if place.passed >= PASSED_MAX:
                    return None
            elif oldest is None or place.arrived < oldest.arrived:
                oldest = place
        return oldest

    def _grant(self, place: Place[Waiting]) -> None:
        """Take its slot, and let its line take its next turn after one over its weight."""
        claim, slots = place.claim, self.slots
        line = self._lines[claim.tenant]
        slots.take(claim)
        # A line that was held up does not make up for it: it is served as if its turn were due now.
        self._virtual = max(self._virtual, line.tag)
        line.tag = self._virtual + 1 / line.weight
        self._take_turn(claim.tenant, line)
        self._drop(place)
        if not slots.session_fits(claim.tenant, place.flow):
            line.step_aside(place.flow)
        elif (ring := line.flows.get(claim.alias)) is not None and place.flow in ring:
            ring.move_to_end(place.flow)


def _take_out(
    outer: dict[str, OrderedDict[str, Flow[Waiting]]] | dict[str, dict[str, Flow[Waiting]]],
    first: str,
    second: str,
    place: Place[Waiting],
) -> None:
    flow = outer[first][second]
    del flow[place.who]
    if not flow:
        del outer[first][second]
        if not outer[first]:
            del outer[first]
