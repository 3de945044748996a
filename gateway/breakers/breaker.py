"""Circuit breaker of one alias, tenant and upstream: two pure functions over one small value.

              FAILED x failures_max, or ill          cooldown over: one probe
    Closed -------------------------------> Open ---------------------------------> HalfOpen
      ^                                      ^  `-- FAILED, or ABANDONED (then at once ready for the next probe) --'  |
      `-------------------------------------------- SUCCEEDED or FLOWING --------------------------------------------'

A ticket remembers the epoch it was given in, so an answer from before the last change moves nothing. The one ticket of
a half-open epoch is the probe's; closing keeps that epoch, so a probe whose stream breaks after its first token still
counts. A caller's own fault is reported as ABANDONED: it moves nothing either, and frees the probe. A probe that nobody
reports of, which only a fault of our own can bring about, has a deadline: after it the next caller probes, in a new
epoch, and the lost one's ticket is void.

The cooldown doubles with each opening in a row, that is, until the ramp after a closing was survived. It is never less
than the upstream's own Retry-After, and a deadline once set only moves out. Nothing here sleeps, locks, logs, draws or
reads a clock.
"""

from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import TypeAlias, assert_never

from gateway.domain.fact import fact

DOUBLINGS_MAX = 32


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """When to open, and for how long. Durations are in seconds."""

    failures_max: int
    """This many failures in a row open it."""
    cooldown_s: float
    cooldown_max_s: float
    """Cooldowns grow up to this, and a Retry-After counts up to this; jitter comes on top."""
    jitter: float
    """The share of a cooldown that is added at most, 0 to 1."""
    ramp_s: float
    """How long after closing the share of calls that pass grows; 0 = all pass at once."""
    probe_s: float
    """A probe of which nothing was heard for so long is lost: longer than any request may last."""


@dataclass(frozen=True, slots=True)
class Closed:
    """Calls pass; `failures` in a row so far."""

    epoch: int = 0
    failures: int = 0
    openings: int = 0
    """In a row, before it closed; 0 once the ramp was survived."""
    ramp_from: float | None = None
    """When it closed; None once the ramp was survived."""
    rest_until: float = 0.0
    """Until when the upstream itself asked to be left alone, should it open."""


@dataclass(frozen=True, slots=True)
class Open:
    """No call passes until then."""

    epoch: int
    until: float
    failures: int
    """In a row, that led to it."""
    openings: int
    """In a row, this one included."""
    since: float
    """When the first of them was."""


@dataclass(frozen=True, slots=True)
class HalfOpen:
    """One probe is out; everyone else waits for its answer."""

    epoch: int
    failures: int
    openings: int
    since: float
    until: float
    """When the probe is given up for lost."""


State: TypeAlias = Closed | Open | HalfOpen


@fact(frozen=True, slots=True)
class Ticket:
    """Leave to call. It remembers the epoch, so an answer from an older one is ignored."""

    epoch: int


def admit(state: State, policy: Policy, *, now: float, draw: float) -> tuple[State, Ticket | None]:
    """The state after asking, and a ticket if the call may go. `draw` is from 0 to 1; while the breaker ramps, those
    whose draw is within the admitted share pass, so one of 0 always does."""
    match state:
        case Closed(ramp_from=None):
            return state, Ticket(state.epoch)
        case Closed(ramp_from=float(start)):
            return state, Ticket(state.epoch) if draw * policy.ramp_s <= now - start else None
        case Open() if now >= state.until:
            until = now + policy.probe_s
            probing = HalfOpen(state.epoch + 1, state.failures, state.openings, state.since, until)
            return probing, Ticket(probing.epoch)
        case HalfOpen() if now >= state.until:
            return replace(state, epoch=state.epoch + 1, until=now + policy.probe_s), Ticket(state.epoch + 1)
        case Closed() | Open() | HalfOpen():
            return state, None
        case _:
            assert_never(state)


def record(
    state: State,
    ticket: Ticket,
    outcome: Outcome,
    policy: Policy,
    *,
    now: float,
    draw: float,
    retry_after_s: float = 0.0,
    ill: bool = False,
) -> State:
    """The state after the call that held `ticket` showed `outcome`.

    `draw`, 0 to 1, is the jitter's; `retry_after_s` is what the upstream asked for; `ill` says that by all that is
    known of its health it should rest, whatever this one call showed.
    """
    asked = now + min(retry_after_s, policy.cooldown_max_s) if retry_after_s and outcome is Outcome.FAILED else 0.0
    if ticket.epoch != state.epoch:
        late = isinstance(state, Open) and asked > state.until
        return replace(state, until=asked) if late and isinstance(state, Open) else state
    match state:
        case Closed():
            return _from_closed(state, outcome, policy, now=now, draw=draw, asked=asked, ill=ill)
        case HalfOpen():
            return _from_half_open(state, outcome, policy, now=now, draw=draw, asked=asked)
        case Open():
            return state
        case _:
            assert_never(state)


def unhindered(state: State) -> bool:
    """Whether `admit` lets everyone pass and leaves the state as it is, whatever the time and the draw."""
    return isinstance(state, Closed) and state.ramp_from is None


def untouched(state: State, ticket: Ticket, outcome: Outcome) -> bool:
    """Whether `record` leaves the state as it is, unless the upstream is `ill`: by far the most answers."""
    return (
        isinstance(state, Closed)
        and ticket.epoch == state.epoch
        and not state.failures
        and state.ramp_from is None
        and (outcome is Outcome.SUCCEEDED or outcome is Outcome.FLOWING)
    )


def _from_closed(
    state: Closed, outcome: Outcome, policy: Policy, *, now: float, draw: float, asked: float, ill: bool
) -> State:
    failures = state.failures + (outcome is Outcome.FAILED)
    rest_until = max(state.rest_until, asked)
    ramped = state.ramp_from is None or now - state.ramp_from >= policy.ramp_s
    if ill or failures >= policy.failures_max:
        openings = 1 if ramped else state.openings + 1
        until = max(_rested(openings, policy, asked, now=now, draw=draw), rest_until)
        return Open(state.epoch + 1, until, failures, openings, since=now)
    if outcome is Outcome.SUCCEEDED:
        if not failures and state.ramp_from is None:
            return state
        return Closed(state.epoch) if ramped else replace(state, failures=0, rest_until=0.0)
    return replace(state, failures=failures, rest_until=rest_until) if outcome is Outcome.FAILED else state


def _from_half_open(
    state: HalfOpen, outcome: Outcome, policy: Policy, *, now: float, draw: float, asked: float
) -> State:
    match outcome:
        case Outcome.SUCCEEDED | Outcome.FLOWING if policy.ramp_s:
            return Closed(state.epoch, openings=state.openings, ramp_from=now)
        case Outcome.SUCCEEDED | Outcome.FLOWING:
            return Closed(state.epoch)
        case Outcome.FAILED:
            openings = state.openings + 1
            until = _rested(openings, policy, asked, now=now, draw=draw)
            return Open(state.epoch + 1, until, state.failures + 1, openings, state.since)
        case Outcome.ABANDONED:
            return Open(state.epoch + 1, now, state.failures, state.openings, state.since)
        case _:
            assert_never(outcome)


def _rested(openings: int, policy: Policy, asked: float, *, now: float, draw: float) -> float:
    """When a cooldown that begins now is over."""
    doublings: int = min(openings - 1, DOUBLINGS_MAX)
    grown = min(policy.cooldown_s * (1 << doublings), policy.cooldown_max_s)
    return now + max(grown, asked - now) * (1 + policy.jitter * draw)
