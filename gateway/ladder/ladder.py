"""What to do next for a request: call a rung, pass one over, pause before a retry, or give up. A pure function of the
ladder, of what was tried, and of the time and the money left.

A request starts on its alias's first target. A failure that may mend itself is tried again on the same rung, `retries`
times, after a short pause; a failure that another upstream could mend moves one rung down; one that is the caller's own
ends the ladder at once. A rung that something stands before, whose context window the prompt does not fit, or whose
worst case is not covered, is skipped with its reason. One that was passed over only to spare it, since it just came
back, is called after all where nothing below it answered. Retries and rungs together are bounded by `attempts_max`
calls and by the request's own deadline: a pause that would end after it is not begun.

Beside a call that has not answered in time one other may be started, a hedge: on the first rung that the request did
not come to yet, under all that holds for a fallback to it. Nothing here calls, waits, draws or reads a clock.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple, TypeAlias

from gateway.domain.ids import TierName
from gateway.domain.reasons import Reason

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

RETRIED = frozenset(
    {
        Reason.CONNECT_ERROR,
        Reason.CONNECTION_LOST,
        Reason.SERVER_ERROR,
        Reason.STREAM_BROKEN,
        Reason.FIRST_TOKEN_TIMEOUT,
    }
)
"""After these the same rung may do better a moment later."""

TOLD_WHEN = frozenset({Reason.RATE_LIMITED, Reason.SERVER_ERROR})
"""A vendor that fails so may say when to come back, and is believed."""

PAUSE_S = 0.1
"""Before the first retry of a rung, at most; it doubles with each."""
PAUSE_S_MAX = 2.0


@dataclass(frozen=True, slots=True)
class Rung:
    """A model at an upstream, `depth` steps below the request's first choice."""

    depth: int
    """The position in the order in which this request tries them."""
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
    account: tuple[str, str] = ("", "")
    """The provider and the account that its upstream's calls are billed to."""
    context_tokens: int | None = None
    """The model's context window; None = not known."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds one request's attempts."""

    retries: int = 0
    """How often one rung is tried again."""
    attempts_max: int = 8
    """How often upstreams are called for one request, retries and rungs together."""
    retry_after_s_max: float = 30.0
    """A vendor that wants a longer pause than this before a retry is not waited for."""
    hedge_after_s: float | None = None
    """A call that has not answered by then may have another one beside it; None = never."""


class Funds(NamedTuple):
    """What a request may still cost at worst, in dollars."""

    extra_usd: Decimal
    """Beyond one call of its first choice: the least that any bound on extra spend has left."""
    month_usd: Decimal | None = None
    """Of its tenant's month; None = the tenant has no bound, and its first choices need no price."""


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
    called: bool = True
    """False for a rung that was skipped."""
    spared: bool = False
    """It was skipped only because it just came back, and could be called."""
    billable: bool = False
    """The vendor may bill it all the same, so whatever is called after it costs extra."""
    retry_after_s: float = 0.0
    """How long the vendor wants to be left alone; 0 = it did not say."""
    retryable: bool = True
    """False where the vendor said that trying again is of no use."""


@dataclass(frozen=True, slots=True)
class Quote:
    """What a rung would cost, in dollars; None = no price is known."""

    expected_usd: Decimal | None
    worst_usd: Decimal | None


NO_QUOTE = Quote(None, None)


@dataclass(frozen=True, slots=True)
class Send:
    """Call this rung; `because` is why the attempt before did not do (None on the first choice), or HEDGE."""

    rung: Rung
    because: Reason | None
    quote: Quote
    fresh: bool = False
    """Over a connection of its own, since the last one was stale."""
    extra: bool = False
    """What it costs is extra spend."""


@dataclass(frozen=True, slots=True)
class Skip:
    """Record this rung as refused for `reason`, and ask again."""

    rung: Rung
    because: Reason | None
    reason: Reason
    quote: Quote


@dataclass(frozen=True, slots=True)
class Wait:
    """Ask again, with `paused`, after so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """No rung is left to try."""


Move: TypeAlias = Send | Skip | Wait | GiveUp


class Step(NamedTuple):
    """Where a request stands."""

    rungs: tuple[Rung, ...]
    tried: tuple[Tried, ...]
    limits: Limits
    funds: Funds
    left_s: float = float("inf")
    """Until the request's deadline."""
    draw: float = 0.0
    """At random from 0 to 1, 1 excluded; spreads retries."""
    paused: bool = False
    """The pause that the last failure called for is over."""


class Known(NamedTuple):
    """What is asked about a rung, and only when it is needed."""

    hurdle: Callable[[Rung], Reason | None]
    """Why it may not be called now, or None."""
    quote: Callable[[Rung], Quote]
    """What it would cost."""
    prompt_tokens: Callable[[int], int]
    """How long the prompt is, guessed, where it may be longer than the window given."""


def next_move(step: Step, known: Known) -> Move:
    """The move after what was tried."""
    tried, limits = step.tried, step.limits
    if not tried:
        return _move_to(step.rungs[0], step, known)
    last = tried[-1]
    calls = sum(t.called for t in tried)
    if last.reason in FINAL or calls >= limits.attempts_max:
        return GiveUp()
    if last.called:
        if step.paused or last.elsewhere or _is_stale_once(last, tried):
            return _move_to(step.rungs[last.depth], step, known, fresh=last.replayable)
        pause_s = _pause_s(last, step, known)
        if pause_s is not None and pause_s < step.left_s:
            return Wait(pause_s)
    elif last.reason is Reason.BUDGET_EXHAUSTED and last.depth == 0 and not calls:
        return GiveUp()  # What its first choice may cost is the caller's to change; it is told so.
    below = next(_unseen(step), None)
    if below is not None:
        return _move_to(below, step, known)
    again = next((t.depth for t in tried if t.spared and _came_once(t, tried)), None)
    return GiveUp() if again is None else _move_to(step.rungs[again], step, known)


def hedge_move(step: Step, running: Rung, known: Known) -> Send | Skip | GiveUp:
    """The call to start beside the one that runs on that rung, which has not answered in time. A skip is of this hedge
    alone: with its rung among those tried the next one is asked for, and the ladder may come to it yet."""
    if sum(t.called for t in step.tried) + 1 >= step.limits.attempts_max:
        return GiveUp()
    for rung in _unseen(step):
        if (rung.account, rung.model) != (running.account, running.model):
            return _move_to(rung, step, known, hedge=True)
    return GiveUp()


def _unseen(step: Step) -> Iterator[Rung]:
    """The rungs that the request did not come to yet, in order."""
    seen = {t.depth for t in step.tried}
    return (rung for rung in step.rungs if rung.depth not in seen)


def _came_once(it: Tried, tried: tuple[Tried, ...]) -> bool:
    """Whether the request did not come to that rung again since."""
    return sum(t.depth == it.depth for t in tried) == 1


def unbound_first_move(rungs: tuple[Rung, ...]) -> Send | None:
    """What `next_move` says to a request that has tried nothing, of a tenant without bounds, if nothing stands before
    its first rung: always the same, so a route works it out once. None where the prompt's length has a say."""
    first = rungs[0]
    return Send(first, None, NO_QUOTE) if first.depth == 0 and first.context_tokens is None else None


def _move_to(rung: Rung, step: Step, known: Known, *, fresh: bool = False, hedge: bool = False) -> Send | Skip:
    """Call that rung, or skip it with the reason why not."""
    because = Reason.HEDGE if hedge else step.tried[-1].reason if rung.depth and step.tried else None
    before = known.hurdle(rung)
    if before is None and rung.context_tokens is not None and _too_long_for(rung, step, known):
        before = Reason.CONTEXT_TOO_LONG
    if before is not None:
        return Skip(rung, because, before, NO_QUOTE)
    extra = _is_extra(rung, step.tried)
    if not extra and step.funds.month_usd is None:
        return Send(rung, because, NO_QUOTE, fresh)
    price = known.quote(rung)
    if not _covered(price, step.funds, extra=extra):
        return Skip(rung, because, Reason.BUDGET_EXHAUSTED, price)
    return Send(rung, because, price, fresh, extra)


def _is_extra(rung: Rung, tried: tuple[Tried, ...]) -> bool:
    """Whether a call of it is more than the one call of a first choice that every request has."""
    return rung.depth > 0 or any(t.billable for t in tried)


def _covered(price: Quote, funds: Funds, *, extra: bool) -> bool:
    """Whether the money left covers the worst case. What has no price cannot be shown to be covered."""
    worst = price.worst_usd
    if worst is None or (extra and worst > funds.extra_usd):
        return False
    return funds.month_usd is None or worst <= funds.month_usd


def _too_long_for(rung: Rung, step: Step, known: Known) -> bool:
    """Whether the prompt did not fit a window as large as this one's, or is guessed not to fit it."""
    window = rung.context_tokens or 0
    for t in step.tried:
        if t.called and t.reason is Reason.CONTEXT_TOO_LONG and (step.rungs[t.depth].context_tokens or 0) >= window:
            return True
    return known.prompt_tokens(window) > window


def _is_stale_once(last: Tried, tried: tuple[Tried, ...]) -> bool:
    """Whether the rung failed for a stale connection only, and for the first time."""
    return last.replayable and sum(t.called and t.depth == last.depth for t in tried) == 1


def _pause_s(last: Tried, step: Step, known: Known) -> float | None:
    """How long to wait before the same rung is tried again; None where it is not."""
    # A host that could not be reached was another's call to make.
    calls = [t for t in step.tried if t.called and t.depth == last.depth and not t.elsewhere]
    # A stale connection's second call is no retry: the first most likely never reached the upstream.
    retries = len(calls) - 1 - calls[0].replayable
    if retries >= step.limits.retries or not last.retryable:
        return None
    if last.reason in TOLD_WHEN and last.retry_after_s:
        if last.retry_after_s > step.limits.retry_after_s_max or _another_is_open(step, known):
            return None
        return last.retry_after_s + PAUSE_S * step.draw
    if last.reason not in RETRIED:
        return None
    longest: float = min(PAUSE_S * 2 ** max(retries, 0), PAUSE_S_MAX)
    return longest * (1 + step.draw) / 2


def _another_is_open(step: Step, known: Known) -> bool:
    """Whether a rung further down could be called now."""
    return any(isinstance(_move_to(rung, step, known), Send) for rung in _unseen(step))
