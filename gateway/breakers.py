"""The breakers of every alias, tenant and upstream: keeps the states, lets the pure machine decide.

There is no await between reading a state and writing it, which in asyncio is the lock.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from gateway.breaker import Closed, HalfOpen, Open, Outcome, Policy, State, Ticket, admit, record


class Key(NamedTuple):
    """What a breaker stands between. One tenant's never answers for another's, nor one alias's."""

    alias: str
    tenant: str
    upstream: str


@dataclass(frozen=True, slots=True)
class Transition:
    """A breaker that moved: names of states, and the reason that moved it."""

    key: Key
    before: str
    after: str
    cause: str


NAMES = {Closed: "closed", Open: "open", HalfOpen: "half_open"}
FIRST: State = Closed()


class Breakers:
    """All breakers. A key never seen is closed."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._states: dict[Key, State] = {}
        self.transitions: dict[tuple[str, str, str], int] = {}
        """How often, by upstream, state before and state after."""

    def admit(self, key: Key, now: float) -> Ticket | None:
        """Leave to call, or None while the upstream has its rest."""
        before = self._states.get(key, FIRST)
        after, ticket = admit(before, now)
        if after is not before:
            self._states[key] = after
            self._count(key, before, after)
        return ticket

    def record(self, key: Key, ticket: Ticket, outcome: Outcome, cause: str, now: float) -> Transition | None:
        """Tell what the call showed; returns the transition if the breaker moved."""
        before = self._states.get(key, FIRST)
        after = record(before, ticket, outcome, self._policy, now)
        if after is before:
            return None
        self._states[key] = after
        if type(after) is type(before):
            return None
        self._count(key, before, after)
        return Transition(key, NAMES[type(before)], NAMES[type(after)], cause)

    def follow(self, policy: Policy, keep: Callable[[Key], bool]) -> None:
        """Go on under another policy, with the states of those keys that `keep` names; all others are closed again."""
        self._policy = policy
        self._states = {key: state for key, state in self._states.items() if keep(key)}

    def states(self) -> dict[Key, State]:
        """Every breaker that ever moved or failed, as it is now."""
        return dict(self._states)

    def retry_in_s(self, keys: list[Key], now: float) -> float:
        """Seconds until the first of these may be tried again; 0 if one may be now."""
        waits = [max(0.0, s.until - now) if isinstance(s := self._states.get(k, FIRST), Open) else 0.0 for k in keys]
        return min(waits, default=0.0)

    def open_by_upstream(self) -> dict[tuple[str, str], int]:
        """How many breakers are not closed, by alias and upstream."""
        counts: dict[tuple[str, str], int] = {}
        for key, state in self._states.items():
            pair = (key.alias, key.upstream)
            counts[pair] = counts.get(pair, 0) + (not isinstance(state, Closed))
        return counts

    def _count(self, key: Key, before: State, after: State) -> None:
        move = (key.upstream, NAMES[type(before)], NAMES[type(after)])
        self.transitions[move] = self.transitions.get(move, 0) + 1
