"""Circuit breaker of one alias, tenant and upstream: two pure functions over one small value.

              FAILED x failures_max                cooldown over: one probe
    Closed ---------------------------> Open ---------------------------------> HalfOpen
      ^                                  ^  `-- FAILED, or ABANDONED (then at once ready for the next probe) --'  |
      `------------------------------------------ SUCCEEDED or FLOWING ------------------------------------------'

A ticket remembers the epoch it was given in, so an answer from before the last change moves nothing. A caller's own
fault is reported as ABANDONED: it moves nothing either, and frees the probe. Nothing here sleeps, locks, logs or reads
a clock.
"""

from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import TypeAlias, assert_never


class Outcome(Enum):
    """What a call showed of the upstream's health."""

    SUCCEEDED = auto()
    """A whole answer."""
    FLOWING = auto()
    """A stream's first real token: enough to end a probe, not enough to forget failures."""
    FAILED = auto()
    """The upstream did not do its part."""
    ABANDONED = auto()
    """Nothing was learned: the client hung up, or the request was at fault."""


@dataclass(frozen=True, slots=True)
class Policy:
    """When to open, and for how long."""

    failures_max: int
    cooldown_s: float


@dataclass(frozen=True, slots=True)
class Closed:
    """Calls pass; `failures` in a row so far."""

    epoch: int = 0
    failures: int = 0


@dataclass(frozen=True, slots=True)
class Open:
    """No call passes until then."""

    epoch: int
    until: float


@dataclass(frozen=True, slots=True)
class HalfOpen:
    """One probe is out; everyone else waits for its answer."""

    epoch: int


State: TypeAlias = Closed | Open | HalfOpen


@dataclass(frozen=True, slots=True)
class Ticket:
    """Leave to call. It remembers the epoch, so an answer from an older one is ignored."""

    epoch: int


def admit(state: State, now: float) -> tuple[State, Ticket | None]:
    """The state after asking, and a ticket if the call may go."""
    match state:
        case Closed():
            return state, Ticket(state.epoch)
        case Open() if now >= state.until:
            probing = HalfOpen(state.epoch + 1)
            return probing, Ticket(probing.epoch)
        case Open() | HalfOpen():
            return state, None
        case _:
            assert_never(state)


def record(state: State, ticket: Ticket, outcome: Outcome, policy: Policy, now: float) -> State:
    """The state after the call that held `ticket` showed `outcome`."""
    if ticket.epoch != state.epoch:
        return state
    match state, outcome:
        case Closed(failures=0), Outcome.SUCCEEDED:
            return state
        case Closed(), Outcome.SUCCEEDED:
            return replace(state, failures=0)
        case Closed(failures=failures), Outcome.FAILED:
            if failures + 1 < policy.failures_max:
                return replace(state, failures=failures + 1)
            return Open(state.epoch + 1, until=now + policy.cooldown_s)
        case HalfOpen(), Outcome.SUCCEEDED | Outcome.FLOWING:
            return Closed(state.epoch + 1)
        case HalfOpen(), Outcome.FAILED:
            return Open(state.epoch + 1, until=now + policy.cooldown_s)
        case HalfOpen(), Outcome.ABANDONED:
            return Open(state.epoch + 1, until=now)
        case _:
            return state
