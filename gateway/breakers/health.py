"""Ill health of an upstream as one alias and tenant see it: a count over a window, blended by the configured weights.

    ill health = timeouts x T + token_ceiling x C + memory_pressure x M        (weights of breaker.health, at most 1)

T is the share of the window's calls that ended in a timeout. C is the share that met a token ceiling: an answer cut off
(finish reason `length`) though the client set no bound, or a prompt too long for the context window. M is the memory
pressure that a local host reports: 0 normal, 0.5 warn, 1 critical. A breaker opens when ill health reaches
`unhealthy_at`, or failures reach `failure_ratio` of the calls; both only once the window holds `window_calls` calls, so
that neither one slow call nor memory alone decides. Calls from which nothing is learned are not counted.

The window is kept in two halves of which the older is dropped whole, so it looks back between a half and a whole of
`window_s`. Nothing here reads a clock.
"""

from dataclasses import dataclass
from enum import StrEnum

from gateway.domain.fact import fact


class Pressure(StrEnum):
    """Memory pressure of a local host."""

    NORMAL = "normal"
    WARN = "warn"
    CRITICAL = "critical"


PRESSES = {Pressure.NORMAL: 0.0, Pressure.WARN: 0.5, Pressure.CRITICAL: 1.0}


class Ailment(StrEnum):
    """Why a breaker opens that no row of failures opened."""

    FAILURE_RATIO = "failure_ratio"
    UNHEALTHY = "unhealthy"


@fact(frozen=True, slots=True)
class Tally:
    """What calls showed."""

    calls: int = 0
    failures: int = 0
    timeouts: int = 0
    ceilings: int = 0

    def plus(self, other: "Tally") -> "Tally":
        """Both together."""
        return Tally(
            self.calls + other.calls,
            self.failures + other.failures,
            self.timeouts + other.timeouts,
            self.ceilings + other.ceilings,
        )


NOTHING = Tally()
ANSWERED = Tally(calls=1)
FAILED = Tally(calls=1, failures=1)
TIMED_OUT = Tally(calls=1, failures=1, timeouts=1)
AT_CEILING = Tally(calls=1, ceilings=1)


@fact(frozen=True, slots=True)
class Window:
    """The tallies of the present half window and of the one before it."""

    began: float = 0.0
    present: Tally = NOTHING
    past: Tally = NOTHING

    @property
    def whole(self) -> Tally:
        """All that it still knows."""
        return self.present.plus(self.past)


EMPTY = Window()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """When a window is bad enough to open a breaker."""

    window_s: float
    window_calls: int
    failure_ratio: float
    unhealthy_at: float
    timeouts: float
    """Weights, 0 to 1."""
    token_ceiling: float
    memory_pressure: float


def counted(window: Window, seen: Tally, rule: Rule, now: float) -> Window:
    """The window with what one call showed; what is too old falls out."""
    half, age = rule.window_s / 2, now - window.began
    if age < half:
        return Window(window.began, window.present.plus(seen), window.past)
    if age < rule.window_s:
        return Window(window.began + half, seen, window.present)
    return Window(now, seen, NOTHING)


def ill_health(tally: Tally, pressure: Pressure, rule: Rule) -> float:
    """The blend, 0 to 1; the shares of no calls are 0."""
    calls = tally.calls or 1
    shares = rule.timeouts * tally.timeouts / calls + rule.token_ceiling * tally.ceilings / calls
    return min(1.0, shares + rule.memory_pressure * PRESSES[pressure])


def ailment(tally: Tally, pressure: Pressure, rule: Rule) -> Ailment | None:
    """Why the breaker should open by this window, or None."""
    if tally.calls < rule.window_calls:
        return None
    if tally.failures >= rule.failure_ratio * tally.calls:
        return Ailment.FAILURE_RATIO
    return Ailment.UNHEALTHY if ill_health(tally, pressure, rule) >= rule.unhealthy_at else None
