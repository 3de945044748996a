"""The hedge's decision by its table, and then over every short history of a ladder."""

from collections.abc import Callable
from decimal import Decimal
from itertools import product

import pytest

from gateway.domain.ids import TierName
from gateway.domain.reasons import Reason
from gateway.ladder.ladder import (
    NO_QUOTE,
    Funds,
    GiveUp,
    Known,
    Limits,
    Move,
    Quote,
    Rung,
    Send,
    Skip,
    Step,
    Tried,
    Wait,
    hedge_move,
    next_move,
)

TIER = TierName("interactive")
RUNGS = tuple(Rung(depth, f"u{depth}", "m", TIER, account=("openai", f"acct{depth}")) for depth in range(4))
CHEAP = Quote(Decimal("0.01"), Decimal("0.02"))
AMPLE = Funds(Decimal("0.05"))


def open_to_all(rung: Rung) -> Reason | None:
    return None


def beside(
    *tried: Tried,
    running: int = 0,
    rungs: tuple[Rung, ...] = RUNGS,
    quote: Quote = CHEAP,
    funds: Funds = AMPLE,
    prompt: int = 100,
    hurdle: Callable[[Rung], Reason | None] = open_to_all,
    attempts_max: int = 8,
) -> Move:
    step = Step(rungs, tried, Limits(attempts_max=attempts_max), funds)
    return hedge_move(step, rungs[running], Known(hurdle, lambda rung: quote, lambda window: prompt))


def failed(depth: int, reason: Reason = Reason.SERVER_ERROR) -> Tried:
    return Tried(depth, reason)


def passed_over(depth: int) -> Tried:
    return Tried(depth, Reason.BREAKER_OPEN, called=False)


def test_a_hedge_is_the_next_rung_as_extra_spend_and_says_that_it_is_one() -> None:
    assert beside() == Send(RUNGS[1], Reason.HEDGE, CHEAP, extra=True)
    assert beside(failed(0), running=1) == Send(RUNGS[2], Reason.HEDGE, CHEAP, extra=True)


def test_where_no_rung_is_left_nothing_is_hedged() -> None:
    assert beside(failed(0), failed(1), failed(2), running=3) == GiveUp()
    assert beside(rungs=RUNGS[:1]) == GiveUp()


def test_a_rung_of_the_same_account_and_model_is_no_hedge_whatever_its_upstream_is_called() -> None:
    twin = Rung(1, "u9", "m", TIER, account=RUNGS[0].account)
    assert beside(rungs=(RUNGS[0], twin)) == GiveUp()
    assert beside(rungs=(RUNGS[0], twin, RUNGS[2])) == Send(RUNGS[2], Reason.HEDGE, CHEAP, extra=True)
    other_model = Rung(1, "u9", "another", TIER, account=RUNGS[0].account)
    assert beside(rungs=(RUNGS[0], other_model)) == Send(other_model, Reason.HEDGE, CHEAP, extra=True)


@pytest.mark.parametrize(("attempts_max", "kind"), [(1, GiveUp), (2, Send)])
def test_the_call_that_runs_counts_among_the_requests_attempts(attempts_max: int, kind: type[Move]) -> None:
    assert isinstance(beside(attempts_max=attempts_max), kind)
    assert isinstance(beside(failed(0), running=1, attempts_max=attempts_max + 1), kind)
    assert isinstance(beside(passed_over(0), running=1, attempts_max=attempts_max), kind)


HURDLES = [Reason.NOT_AUTHORIZED, Reason.RESIDENCY, Reason.REGION_BROWNOUT, Reason.UPSTREAM_BUSY, Reason.NOT_SERVED]


@pytest.mark.parametrize("reason", HURDLES)
def test_what_stands_before_a_fallback_stands_before_a_hedge_and_the_next_rung_is_asked_for(reason: Reason) -> None:
    def first_is_shut(rung: Rung) -> Reason | None:
        return reason if rung.depth == 1 else None

    assert beside(hurdle=first_is_shut) == Skip(RUNGS[1], Reason.HEDGE, reason, NO_QUOTE)
    after = beside(Tried(1, reason, called=False), hurdle=first_is_shut)
    assert after == Send(RUNGS[2], Reason.HEDGE, CHEAP, extra=True)


@pytest.mark.parametrize(("left", "kind"), [("0.02", Send), ("0.0199", Skip)])
def test_a_hedge_runs_only_if_its_worst_case_is_covered_by_every_bound(left: str, kind: type[Move]) -> None:
    usd = Decimal(left)
    for funds in (Funds(usd), Funds(usd, Decimal(1)), Funds(Decimal(1), usd)):
        move = beside(funds=funds)
        assert isinstance(move, kind)
        assert not isinstance(move, Skip) or move.reason is Reason.BUDGET_EXHAUSTED
    assert isinstance(beside(quote=NO_QUOTE), Skip), "no price is not free"


@pytest.mark.parametrize(("prompt", "kind"), [(8000, Send), (8001, Skip)])
def test_a_hedge_goes_to_no_window_that_the_prompt_does_not_fit(prompt: int, kind: type[Move]) -> None:
    small = Rung(1, "u1", "m1", TIER, context_tokens=8000)
    assert isinstance(beside(rungs=(RUNGS[0], small), prompt=prompt), kind)


def test_after_both_failed_the_ladder_goes_on_with_the_rungs_that_neither_came_to() -> None:
    known = Known(open_to_all, lambda rung: CHEAP, lambda window: 100)

    def after(*tried: Tried) -> Move:
        return next_move(Step(RUNGS, tried, Limits(), AMPLE), known)

    for tried in ((failed(0), failed(1)), (failed(1), failed(0))):
        assert after(*tried) == Send(RUNGS[2], Reason.SERVER_ERROR, CHEAP, extra=True)
    assert after(failed(0), failed(2)) == Send(RUNGS[1], Reason.SERVER_ERROR, CHEAP, extra=True), "passed over for it"
    assert after(failed(0), failed(2), failed(1)) == Send(RUNGS[3], Reason.SERVER_ERROR, CHEAP, extra=True)


ENDS = [
    Tried(0, Reason.SERVER_ERROR),
    Tried(0, Reason.CONNECTION_LOST, replayable=True),
    Tried(0, Reason.RATE_LIMITED, retry_after_s=1.0, billable=True),
    Tried(0, Reason.CALLER_ERROR),
]


def one_by_one(ends: list[Tried], hedge_at: int, limits: Limits, *, second_ends_first: bool) -> list[int]:
    """Play a request whose call number `hedge_at` is hedged; the depths of its calls, in order."""
    known = Known(lambda rung: Reason.RESIDENCY if rung.depth == 2 else None, lambda rung: CHEAP, lambda window: 1)
    tried: tuple[Tried, ...] = ()
    calls: list[int] = []
    paused = False
    while ends:
        step = Step(RUNGS, tried, limits, AMPLE, 60.0, 0.5, paused)
        made = next_move(step, known)
        if isinstance(made, GiveUp):
            break
        paused = isinstance(made, Wait)
        if isinstance(made, Wait):
            continue
        if isinstance(made, Skip):
            tried += (Tried(made.rung.depth, made.reason, called=False),)
            continue
        calls.append(made.rung.depth)
        ended = [of(ends.pop(0), made.rung.depth)]
        if len(calls) - 1 == hedge_at and ends:
            second = hedge_move(step, made.rung, known)
            if isinstance(second, Skip):
                assert second.rung.depth == 2
                second = hedge_move(
                    step._replace(tried=(*tried, Tried(2, second.reason, called=False))), made.rung, known
                )
            assert not isinstance(second, Skip)
            if isinstance(second, Send):
                assert second.rung.depth not in {made.rung.depth, *(t.depth for t in tried)}
                assert (second.because, second.extra, second.quote) == (Reason.HEDGE, True, CHEAP)
                calls.append(second.rung.depth)
                ended.append(of(ends.pop(0), second.rung.depth))
        if second_ends_first:
            ended.reverse()
        tried += tuple(sorted(ended, key=lambda t: t.reason is Reason.CALLER_ERROR))
    return calls


def of(end: Tried, depth: int) -> Tried:
    return Tried(depth, *[getattr(end, name) for name in Tried.__slots__[1:]])


@pytest.mark.parametrize("second_ends_first", [False, True])
@pytest.mark.parametrize(("retries", "attempts_max"), [(0, 2), (0, 8), (1, 3), (1, 8)])
def test_no_history_with_a_hedge_makes_more_calls_than_allowed_or_calls_what_is_shut(
    retries: int, attempts_max: int, second_ends_first: bool
) -> None:
    limits, seen = Limits(retries=retries, attempts_max=attempts_max), set()
    for ends in product(ENDS, repeat=5):
        for hedge_at in range(3):
            calls = one_by_one(list(ends), hedge_at, limits, second_ends_first=second_ends_first)
            assert len(calls) <= attempts_max
            assert 2 not in calls
            # A stale connection's second call is no retry.
            assert all(calls.count(depth) <= 2 + retries for depth in calls)
            seen |= set(calls)
    assert seen == ({0, 1, 3} if attempts_max > 2 else {0, 1})
