"""Which upstream to call next, or none: a pure function of the ladder, of what was tried, and of the money left.

A request starts on its alias's first target. Each failure that another upstream could mend moves one rung down; a
failure that is the caller's own ends the ladder at once. A rung that something stands before, or whose worst case the
request's budget for extra spend does not cover, is skipped with its reason. Nothing here calls, waits or reads a clock.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeAlias

from gateway.domain.ids import TierName
from gateway.domain.reasons import Reason

ATTEMPTS_MAX = 8
"""How often a request may try, the skipped rungs included, whatever its ladder's length."""

FINAL = frozenset(
    {
        Reason.CALLER_ERROR,
        Reason.CLIENT_CANCELLED,
        Reason.GATEWAY_SHUTDOWN,
        Reason.JOURNAL_FULL,
        Reason.TIMEOUT,
    }
)
"""After these no other upstream can help."""


@dataclass(frozen=True, slots=True)
class Rung:
    """A model at an upstream, `depth` steps below the alias's first choice."""

    depth: int
    upstream: str
    model: str
    tier: TierName
    """The tier of the alias that brought the rung; the tenant must be allowed it."""
    own: bool = True
    """Whether the request's own alias names this rung, rather than another alias on its ladder."""
    alias: str = ""
    """The alias that brought the rung; the tenant must be allowed it too."""
    region: str = ""
    """Where its upstream is."""


@dataclass(frozen=True, slots=True)
class Tried:
    """What became of an attempt that did not answer."""

    depth: int
    reason: Reason
    replayable: bool = False
    """A kept connection died before a byte of the answer: most likely closed while idle, so the rung deserves another
    try, as a new attempt."""
    host: str = ""
    """Which of the upstream's hosts failed; "" where there is but one."""
    elsewhere: bool = False
    """That host could not be reached, and another one can: the rung deserves another try there."""


@dataclass(frozen=True, slots=True)
class Quote:
    """What a rung would cost, in dollars; None = no price is known."""

    expected_usd: Decimal | None
    worst_usd: Decimal | None


NO_QUOTE = Quote(None, None)


@dataclass(frozen=True, slots=True)
class Send:
    """Call this rung; `because` is why the attempt before did not do (None on the first)."""

    rung: Rung
    because: Reason | None
    quote: Quote
    fresh: bool = False
    """Over a connection of its own, since the last one was stale."""


@dataclass(frozen=True, slots=True)
class Skip:
    """Record this rung as refused for `reason`, and ask again."""

    rung: Rung
    because: Reason | None
    reason: Reason
    quote: Quote


@dataclass(frozen=True, slots=True)
class GiveUp:
    """No rung is left to try."""


Move: TypeAlias = Send | Skip | GiveUp


def next_move(
    rungs: tuple[Rung, ...],
    tried: tuple[Tried, ...],
    *,
    hurdle: Callable[[Rung], Reason | None],
    quote: Callable[[Rung], Quote],
    extra_left_usd: Decimal,
) -> Move:
    """The move after `tried`. `hurdle` says why a rung may not be called now, or None; `quote` prices a rung;
    `extra_left_usd` is what fallbacks may still cost, at worst."""
    if not tried:
        return _first(rungs[0], hurdle, fresh=False)
    last = tried[-1]
    if last.reason in FINAL or len(tried) >= ATTEMPTS_MAX:
        return GiveUp()
    fresh = last.replayable and sum(t.depth == last.depth for t in tried) == 1
    depth = last.depth if fresh or last.elsewhere else last.depth + 1
    if depth == 0:
        return _first(rungs[0], hurdle, fresh=fresh)
    if depth >= len(rungs):
        return GiveUp()
    rung = rungs[depth]
    if (before := hurdle(rung)) is not None:
        return Skip(rung, last.reason, before, NO_QUOTE)
    price = quote(rung)
    if price.worst_usd is None or price.worst_usd > extra_left_usd:
        return Skip(rung, last.reason, Reason.BUDGET_EXHAUSTED, price)
    return Send(rung, last.reason, price, fresh)


def _first(rung: Rung, hurdle: Callable[[Rung], Reason | None], *, fresh: bool) -> Move:
    """The first choice: whatever it costs, and nothing failed before it."""
    before = hurdle(rung)
    return Send(rung, None, NO_QUOTE, fresh) if before is None else Skip(rung, None, before, NO_QUOTE)
