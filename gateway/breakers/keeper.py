"""The breakers of every alias, tenant and upstream: keeps the states, lets the pure machines decide, tells every move.

There is no await between reading a state and writing it, which in asyncio is the lock. Whoever admits or records takes
the `moves` that came of it and puts them on the books. Breakers are separate; only a region's brownout is shared.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from gateway.breakers.breaker import (
    Closed,
    HalfOpen,
    Open,
    Outcome,
    Policy,
    State,
    Ticket,
    admit,
    record,
    unhindered,
    untouched,
)
from gateway.breakers.brownout import Evidence
from gateway.breakers.health import ANSWERED, EMPTY, Pressure, Rule, Tally, Window, ailment, counted
from gateway.breakers.regions import Brownouts, Place, Turn

SWEEP_AT = 1024
"""From so many keys on, those that stand for nothing any more are dropped before the number doubles."""


class Key(NamedTuple):
    """What a breaker stands between. One tenant's never answers for another's, nor one alias's."""

    alias: str
    tenant: str
    upstream: str


@dataclass(frozen=True, slots=True)
class Move:
    """A breaker or a region that moved: names of states, and what moved it."""

    key: Key | None
    """None for a region."""
    place: Place | None
    """Where the upstream is; None = its region is not configured."""
    before: str
    after: str
    cause: str
    failures: int
    """In a row, that led to it."""
    open_seconds: float | None = None
    """On a closing: since the first opening."""


class Seen(NamedTuple):
    """What a call showed."""

    outcome: Outcome
    tally: Tally | None
    """What it counts for in the window; None = nothing."""
    cause: str
    """A Reason, or what showed that the upstream answers."""
    retry_after_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the configuration says of breakers."""

    policy: Policy
    policies: Mapping[str, Policy]
    """By tier."""
    health: Rule
    places: Mapping[str, Place]
    """By upstream, of those whose region is configured."""
    brownout_tenants: int
    recovery_s: Mapping[str, float]
    """By tier, of those that promise how soon a region recovers."""

    def policy_of(self, tier: str) -> Policy:
        """The policy that holds for that tier's requests."""
        return self.policies.get(tier, self.policy)


NAMES = {Closed: "closed", Open: "open", HalfOpen: "half_open"}
FIRST: State = Closed()
COOLDOWN_OVER, PROBE_LOST = "cooldown_over", "probe_lost"
RECOVERED, EXPIRED, RELOADED = "recovered", "expired", "reloaded"
"""What moves a breaker or a region without any answer."""


class Health:
    """What is known of upstreams beside their answers."""

    def __init__(self) -> None:
        self._pressures: dict[str, Pressure] = {}

    def memory(self, upstream: str, level: str) -> None:
        """How short of memory its host is: normal, warn or critical. Raises ValueError for another word."""
        self._pressures[upstream] = Pressure(level)

    def pressure(self, upstream: str) -> Pressure:
        """As last told; normal where nobody did."""
        return self._pressures.get(upstream, Pressure.NORMAL)


class _Entry:
    """One breaker, its window, and when it was last told something."""

    __slots__ = ("seen_at", "state", "window")

    def __init__(self) -> None:
        self.state: State = FIRST
        self.window: Window = EMPTY
        self.seen_at = 0.0


class Breakers:
    """All breakers. A key never seen is closed."""

    def __init__(self, rules: Rules, draw: Callable[[], float]) -> None:
        """`draw` gives a random number from 0 to 1, for jitter and the ramp."""
        self._rules = rules
        self._draw = draw
        self._entries: dict[Key, _Entry] = {}
        self._sweep_at = SWEEP_AT
        self.health = Health()
        self.regions = Brownouts(rules.places, rules.brownout_tenants)
        self.moves: list[Move] = []
        """What moved and was not taken yet, in order."""
        self.transitions: dict[tuple[str, str, str, str], int] = {}
        """How often, by upstream, state before, state after and cause."""

        self.recoveries_late: dict[tuple[str, str, str], int] = {}
        """How often, by tier, provider and region, a recovery took longer than the tier promises."""

    def admit(self, key: Key, tier: str, now: float, *, last: bool = False) -> Ticket | None:
        """Leave to call, or None while the upstream has its rest. `last` says that the request has nowhere else to go:
        then the ramp, which spares an upstream that just came back, does not hold it back."""
        entry = self._entries.get(key)
        if entry is None:
            return Ticket(FIRST.epoch)
        before = entry.state
        if unhindered(before):
            return Ticket(before.epoch)
        policy = self._rules.policy_of(tier)
        after, ticket = admit(before, policy, now=now, draw=0.0 if last else self._draw())
        if after is not before:
            cause = PROBE_LOST if isinstance(before, HalfOpen) else COOLDOWN_OVER
            self._move(key, entry, after, cause, policy, now)
        return ticket

    def ramps(self, key: Key) -> bool:
        """Whether that upstream just came back, and takes a share of the calls only."""
        entry = self._entries.get(key)
        return entry is not None and isinstance(entry.state, Closed)

    def record(self, key: Key, tier: str, ticket: Ticket, seen: Seen, now: float) -> Move | None:
        """Tell what the call showed; returns the breaker's own move if it made one."""
        entry = self._entries.get(key) or self._new(key, now)
        entry.seen_at = now
        before, rule = entry.state, self._rules.health
        ill = None
        if seen.tally is not None and isinstance(before, Closed) and ticket.epoch == before.epoch:
            entry.window = counted(entry.window, seen.tally, rule, now)
            if seen.tally is not ANSWERED:
                ill = ailment(entry.window.whole, self.health.pressure(key.upstream), rule)
        if ill is None and untouched(before, ticket, seen.outcome):
            return None
        policy = self._rules.policy_of(tier)
        after = record(
            before,
            ticket,
            seen.outcome,
            policy,
            now=now,
            draw=self._draw(),
            retry_after_s=seen.retry_after_s,
            ill=ill is not None,
        )
        if after is before:
            return None
        if type(after) is type(before):
            entry.state = after
            if isinstance(after, Open):
                self._witness(key, after, policy, seen.cause, now)
            return None
        in_a_row = isinstance(after, Open) and after.failures >= policy.failures_max
        return self._move(key, entry, after, seen.cause if in_a_row or ill is None else ill.value, policy, now)

    def browned_out(self, key: Key, now: float) -> bool:
        """Whether a new request skips that upstream for its region's sake. Where the key's own breaker is not closed,
        that breaker alone decides: its probes must go on, or nothing would ever recover."""
        if not self.regions.browned:
            return False
        for turn in self.regions.settle(now):
            self._tell(turn, EXPIRED, 0)
        entry = self._entries.get(key)
        if entry is not None and not isinstance(entry.state, Closed):
            return False
        return self.regions.skips(key.upstream)

    def follow(self, rules: Rules, keep: Callable[[Key], bool]) -> None:
        """Go on under other rules, with the states of those keys that `keep` names; all others are closed again."""
        for key, entry in tuple(self._entries.items()):
            if not keep(key):
                del self._entries[key]
                if not isinstance(entry.state, Closed):
                    self._changed(key, entry.state, FIRST, RELOADED, None)
        self._rules = rules
        for turn in self.regions.follow(rules.places, rules.brownout_tenants, lambda known: known in self._entries):
            self._tell(turn, RELOADED, 0)

    def states(self) -> dict[Key, State]:
        """Every breaker that was told of an answer and is not forgotten, as it is now."""
        return {key: entry.state for key, entry in self._entries.items()}

    def retry_in_s(self, keys: list[Key], now: float) -> float:
        """Seconds until the first of these may be tried again; 0 if one may be now."""
        return min((self._wait_s(key, now) for key in keys), default=0.0)

    def by_state(self) -> dict[tuple[str, str, str], int]:
        """How many breakers there are, by alias, upstream and state; each pair that was ever seen has all three."""
        counts: dict[tuple[str, str, str], int] = {}
        for key, entry in self._entries.items():
            for name in NAMES.values():
                counts.setdefault((key.alias, key.upstream, name), 0)
            counts[key.alias, key.upstream, NAMES[type(entry.state)]] += 1
        return counts

    def open_by_upstream(self) -> dict[tuple[str, str], int]:
        """How many breakers are not closed, by alias and upstream."""
        counts: dict[tuple[str, str], int] = {}
        for key, entry in self._entries.items():
            pair = (key.alias, key.upstream)
            counts[pair] = counts.get(pair, 0) + (not isinstance(entry.state, Closed))
        return counts

    def take_moves(self) -> Iterator[Move]:
        """Each move once."""
        moves, self.moves = self.moves, []
        return iter(moves)

    def _wait_s(self, key: Key, now: float) -> float:
        entry = self._entries.get(key)
        if entry is not None and isinstance(entry.state, Open):
            return max(0.0, entry.state.until - now)
        if self.regions.browned and self.regions.skips(key.upstream):
            return self._rules.policy.cooldown_s
        return 0.0

    def _new(self, key: Key, now: float) -> _Entry:
        if len(self._entries) >= self._sweep_at:
            self._sweep(now)
        entry = self._entries[key] = _Entry()
        return entry

    def _sweep(self, now: float) -> None:
        """Forget closed breakers whose window is over, and whose ramp."""
        lasting_s = max(self._rules.health.window_s, self._rules.policy.ramp_s)
        for key, entry in tuple(self._entries.items()):
            if isinstance(entry.state, Closed) and now - entry.seen_at > lasting_s:
                del self._entries[key]
        self._sweep_at = max(SWEEP_AT, 2 * len(self._entries))

    def _move(self, key: Key, entry: _Entry, after: State, cause: str, policy: Policy, now: float) -> Move:
        before = entry.state
        entry.state, entry.window, entry.seen_at = after, EMPTY, now
        lasted_s = now - before.since if isinstance(after, Closed) and not isinstance(before, Closed) else None
        move = self._changed(key, before, after, cause, lasted_s)
        self._witness(key, after, policy, cause, now)
        return move

    def _changed(self, key: Key, before: State, after: State, cause: str, open_seconds: float | None) -> Move:
        names = (NAMES[type(before)], NAMES[type(after)])
        counted_as = (key.upstream, *names, cause)
        self.transitions[counted_as] = self.transitions.get(counted_as, 0) + 1
        failures = before.failures if isinstance(after, Closed) else after.failures
        move = Move(key, self._rules.places.get(key.upstream), *names, cause, failures, open_seconds)
        self.moves.append(move)
        return move

    def _witness(self, key: Key, state: State, policy: Policy, cause: str, now: float) -> None:
        """Tell the upstream's region, if it has one."""
        if key.upstream not in self._rules.places:
            return
        for expired in self.regions.settle(now):
            self._tell(expired, EXPIRED, 0)
        turn: Turn | None
        match state:
            case Closed():
                turn = self.regions.closed(key.upstream, key, now)
            case HalfOpen():
                turn = self.regions.opened(key.upstream, Evidence(key, key.tenant, math.inf), now)
            case Open(until=until):
                found = Evidence(key, key.tenant, until + policy.cooldown_s)
                turn = self.regions.opened(key.upstream, found, now)
        if turn is not None:
            failures = 0 if isinstance(state, Closed) else state.failures
            self._tell(turn, RECOVERED if turn.recovery_s is not None else cause, failures)

    def _tell(self, turn: Turn, cause: str, failures: int) -> None:
        for tier, promised_s in self._rules.recovery_s.items():
            if turn.recovery_s is not None and turn.recovery_s > promised_s:
                late = (tier, *turn.place)
                self.recoveries_late[late] = self.recoveries_late.get(late, 0) + 1
        self.moves.append(Move(None, turn.place, turn.before, turn.after, cause, failures, turn.recovery_s))
