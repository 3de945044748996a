"""The fair queue through every short history and many long ones, beside a plain count of who holds what."""

from collections import Counter
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.pools.fair_queue import GRANTED, PASSED_MAX, FairQueue, Place, Queued
from gateway.pools.slots import Claim, Limits

KINDS = (
    Claim("a", 1, "s", "fast", 0, 2),
    Claim("a", 1, "", "slow", 1, 1),
    Claim("b", 2, "s", "fast", 0, 5),
    Claim("b", 2, "s", "fast", 0, 1),
    Claim("b", 2, "t", "slow", 1, 1),
)
LIMITS = {
    "no caps": Limits(2, 2, 4),
    "tenant": Limits(3, 3, 4, per_tenant=1),
    "session": Limits(3, 3, 4, per_session=1),
    "tokens": Limits(3, 3, 4, tokens=5),
    "reserve": Limits(3, 2, 4, reserved_share=0.5, weights=3),
    "all": Limits(3, 4, 4, per_tenant=2, per_session=1, tokens=6, reserved_share=0.3, weights=3),
}
MOVES = (*KINDS, "oldest ends", "newest ends", "first leaves", "last leaves", "time passes")


class History:
    """A queue, and beside it what it told."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.queue: FairQueue[int] = FairQueue(limits)
        self.holding: dict[int, Claim] = {}
        self.waiting: dict[int, Claim] = {}
        self.now = 0.0
        self.names = 0

    def move(self, move: object) -> None:
        """Let one thing happen, and check all that must hold after it."""
        if isinstance(move, Claim):
            self.arrive(move)
        elif move == "time passes":
            self.now += 3
            for place in self.queue.expire(self.now):
                del self.waiting[place.who]
        elif move in ("oldest ends", "newest ends") and self.holding:
            who = list(self.holding)[0 if move == "oldest ends" else -1]
            self.queue.release(self.holding.pop(who))
        elif move in ("first leaves", "last leaves") and self.waiting:
            who = list(self.waiting)[0 if move == "first leaves" else -1]
            assert self.queue.leave(who)
            del self.waiting[who]
        self.hear()
        self.check()

    def arrive(self, claim: Claim) -> None:
        self.names += 1
        verdict = self.queue.arrive(self.names, claim, self.now)
        if verdict == GRANTED:
            self.holding[self.names] = claim
        elif isinstance(verdict, Queued):
            self.waiting[self.names] = claim
            if verdict.displaced is not None:
                del self.waiting[verdict.displaced.who]
        else:
            assert len(self.waiting) == self.limits.max_queue, "nobody is turned away while there is a place"

    def hear(self) -> None:
        while self.queue.going:
            who, _ = self.queue.going.popitem(last=False)
            self.holding[who] = self.waiting.pop(who)

    def check(self) -> None:
        limits, slots, held = self.limits, self.queue.slots, list(self.holding.values())
        assert (slots.inflight, self.queue.queued) == (len(held), len(self.waiting)), "no slot and no place is lost"
        assert slots.tokens == sum(claim.tokens for claim in held)
        assert len(held) <= limits.max_inflight
        assert len(self.waiting) <= limits.max_queue
        tenants, sessions = Counter(c.tenant for c in held), Counter((c.tenant, c.session) for c in held if c.session)
        assert max(tenants.values(), default=0) <= (limits.per_tenant or 99)
        assert max(sessions.values(), default=0) <= (limits.per_session or 99)
        assert sum(claim.alias == "slow" for claim in held) <= 1
        assert not limits.tokens or slots.tokens <= limits.tokens or len(held) == 1
        assert held or not self.waiting, "somebody who waits in an empty pool would wait for ever"
        if not limits.tokens:
            assert not any(slots.fits(claim) for claim in self.waiting.values()), "nobody waits who fits"
        elif all(place.passed < PASSED_MAX for place in self.queue._places.values()):
            assert not any(slots.fits(place.claim) for place in self.next_ones()), "nobody who is next waits and fits"

    def next_ones(self) -> list[Place[int]]:
        """Who is next, of each tenant and alias."""
        rings = [ring for line in self.queue._lines.values() for ring in line.flows.values()]
        return [next(iter(next(iter(ring.values())).values())) for ring in rings]

    def drain(self) -> None:
        """Everybody who waits is served once enough others have ended, and nothing is left then."""
        for _ in range(len(self.holding) + len(self.waiting)):
            self.move("oldest ends")
        assert (self.holding, self.waiting) == ({}, {})
        slots = self.queue.slots
        assert (self.queue._lines, self.queue._turns) == ({}, []), "tenants that left leave nothing behind"
        assert not any((*slots._tenants.values(), *slots._aliases.values(), slots.tokens))
        assert slots._sessions == {}, "sessions that ended are forgotten: clients name as many as they like"


@pytest.mark.parametrize("name", LIMITS)
def test_every_short_history_keeps_every_slot_place_and_cap(name: str) -> None:
    seen = Counter[str]()
    for moves in product(MOVES, repeat=4):
        history = History(LIMITS[name])
        for claim in KINDS[:3]:
            history.move(claim)
        for move in moves:
            history.move(move)
        seen["waiting"] += bool(history.waiting)
        seen["aside"] += any(line.aside for line in history.queue._lines.values())
        seen["passed"] += any(place.passed for place in history.queue._places.values())
        history.drain()
    assert seen["waiting"], "else none of this was about a queue"
    assert bool(seen["aside"]) == bool(LIMITS[name].per_session)
    assert bool(seen["passed"]) == bool(LIMITS[name].tokens)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(LIMITS)), st.lists(st.sampled_from(MOVES), max_size=120))
def test_long_histories_keep_every_slot_place_and_cap(name: str, moves: list[object]) -> None:
    history = History(LIMITS[name])
    for move in moves:
        history.move(move)
    history.drain()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 3)), min_size=1, max_size=40))
def test_a_tenant_waits_for_no_more_grants_of_another_than_their_weights_say(sent: list[tuple[str, int]]) -> None:
    weights = {"a": 1, "b": 2, "c": 5}
    queue: FairQueue[int] = FairQueue(Limits(1, 999, 10))
    queue.arrive(-1, Claim("z"), 0)
    waiting: dict[int, str] = {}
    for tenant, count in sent:
        for _ in range(count):
            waiting[len(waiting)] = tenant
            queue.arrive(len(waiting) - 1, Claim(tenant, weights[tenant]), 0)
    order, claim = [], Claim("z")
    while waiting:
        queue.release(claim)
        who, place = queue.going.popitem(last=False)
        claim = place.claim
        order.append(waiting.pop(who))
        mine = claim.tenant
        for other in {*waiting.values()} - {mine}:
            most = (order.count(other) + 1) * weights[mine] / weights[other] + 1
            assert order.count(mine) <= most, "while another waits, it is served no more than its share"
