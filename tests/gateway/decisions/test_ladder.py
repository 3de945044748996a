"""The ladder by its table: what was tried, and what comes next; then over every short history."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.ids import TierName
from gateway.domain.reasons import Reason
from gateway.ladder.ladder import (
    FINAL,
    NO_QUOTE,
    PAUSE_S,
    PAUSE_S_MAX,
    RETRIED,
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
    next_move,
    unbound_first_move,
)

TIER = TierName("interactive")
RUNGS = tuple(Rung(depth, f"u{depth}", f"m{depth}", TIER) for depth in range(3))
FOREIGN = Rung(1, "u1", "m1", TierName("batch"), own=False)
CHEAP = Quote(Decimal("0.01"), Decimal("0.02"))
AMPLE = Funds(Decimal("0.05"))


def foreign(rung: Rung) -> Reason | None:
    """A hurdle before every rung of another tier."""
    return None if rung.tier == TIER else Reason.NOT_AUTHORIZED


def move(
    *tried: Tried,
    rungs: tuple[Rung, ...] = RUNGS,
    quote: Quote = CHEAP,
    funds: Funds = AMPLE,
    prompt: int = 100,
    hurdle: Callable[[Rung], Reason | None] = foreign,
    left_s: float = 60.0,
    draw: float = 0.0,
    paused: bool = False,
    **limits: float,
) -> Move:
    bounds = Limits(**limits)  # type: ignore[arg-type]
    step = Step(rungs, tried, bounds, funds, left_s, draw, paused)
    return next_move(step, Known(hurdle, lambda rung: quote, lambda window: prompt))


def failed(depth: int, reason: Reason = Reason.SERVER_ERROR, **more: object) -> Tried:
    return Tried(depth, reason, **more)  # type: ignore[arg-type]


def skipped(depth: int, reason: Reason) -> Tried:
    return Tried(depth, reason, called=False)


def stale(depth: int) -> Tried:
    return failed(depth, Reason.CONNECTION_LOST, replayable=True)


@pytest.mark.parametrize("rungs", [RUNGS, RUNGS[:1], (replace(RUNGS[0], own=False), *RUNGS[1:])])
def test_the_first_move_that_a_route_works_out_is_the_ladders_own(rungs: tuple[Rung, ...]) -> None:
    assert unbound_first_move(rungs) == move(rungs=rungs)


def test_a_route_works_out_no_first_move_where_the_prompts_length_decides() -> None:
    short = replace(RUNGS[0], context_tokens=50)
    assert isinstance(move(rungs=(short,)), Skip)
    assert unbound_first_move((short,)) is None


def test_the_first_move_is_the_first_target_whatever_it_costs() -> None:
    assert move(quote=NO_QUOTE) == Send(RUNGS[0], None, NO_QUOTE)


MENDABLE = [reason for reason in Reason if reason not in FINAL]


@pytest.mark.parametrize("reason", MENDABLE)
def test_what_another_upstream_could_mend_moves_one_rung_down_and_says_why(reason: Reason) -> None:
    assert move(failed(0, reason)) == Send(RUNGS[1], reason, CHEAP, extra=True)


@pytest.mark.parametrize("reason", sorted(FINAL))
def test_what_no_upstream_could_mend_ends_the_ladder(reason: Reason) -> None:
    assert move(failed(0, reason), retries=3) == GiveUp()


def test_the_last_rungs_failure_ends_the_ladder() -> None:
    assert move(failed(0), failed(1), failed(2)) == GiveUp()


# Hurdles


def test_a_rung_behind_a_hurdle_is_skipped_with_its_reason() -> None:
    rungs = (RUNGS[0], FOREIGN, RUNGS[2])
    skip = move(failed(0), rungs=rungs)
    assert skip == Skip(FOREIGN, Reason.SERVER_ERROR, Reason.NOT_AUTHORIZED, NO_QUOTE)
    after = move(failed(0), skipped(1, Reason.NOT_AUTHORIZED), rungs=rungs)
    assert after == Send(RUNGS[2], Reason.NOT_AUTHORIZED, CHEAP, extra=True)


def test_the_first_choice_is_behind_its_hurdle_like_any_other() -> None:
    first = Rung(0, "u0", "m0", TierName("batch"))
    assert move(rungs=(first, RUNGS[1])) == Skip(first, None, Reason.NOT_AUTHORIZED, NO_QUOTE)


def test_a_hurdle_that_came_up_during_a_pause_stands_before_the_retry() -> None:
    rungs = (RUNGS[0], RUNGS[1])
    vetoed = move(failed(0), rungs=rungs, retries=1, paused=True, hurdle=lambda rung: Reason.REGION_BROWNOUT)
    assert vetoed == Skip(RUNGS[0], None, Reason.REGION_BROWNOUT, NO_QUOTE)
    after = move(failed(0), skipped(0, Reason.REGION_BROWNOUT), rungs=rungs, retries=5)
    assert after == Send(RUNGS[1], Reason.REGION_BROWNOUT, CHEAP, extra=True)


# Retries


def test_a_stale_connection_is_tried_once_more_over_a_fresh_one() -> None:
    assert move(stale(0)) == Send(RUNGS[0], None, NO_QUOTE, fresh=True)
    assert move(stale(0), stale(0)) == Send(RUNGS[1], Reason.CONNECTION_LOST, CHEAP, extra=True)


def test_a_stale_connection_below_keeps_its_rung_and_its_price() -> None:
    kept = Send(RUNGS[1], Reason.CONNECTION_LOST, CHEAP, fresh=True, extra=True)
    assert move(failed(0), stale(1)) == kept


def test_a_stale_connection_costs_no_retry() -> None:
    assert isinstance(move(stale(0), failed(0), retries=1), Wait)
    assert move(stale(0), failed(0), failed(0), retries=1) == Send(RUNGS[1], Reason.SERVER_ERROR, CHEAP, extra=True)


@pytest.mark.parametrize("reason", MENDABLE)
def test_only_a_failure_that_may_mend_itself_is_tried_again_on_its_rung(reason: Reason) -> None:
    assert isinstance(move(failed(0, reason), retries=1), Wait) == (reason in RETRIED)


def test_a_rung_is_tried_again_as_often_as_retries_say_and_then_the_next() -> None:
    assert move(failed(0), retries=2, paused=True) == Send(RUNGS[0], None, NO_QUOTE)
    assert isinstance(move(failed(0), failed(0), retries=2), Wait)
    assert move(failed(0), failed(0), failed(0), retries=2) == Send(RUNGS[1], Reason.SERVER_ERROR, CHEAP, extra=True)
    assert isinstance(move(failed(0), failed(0), failed(0), failed(1), retries=2), Wait)


@pytest.mark.parametrize(("draw", "seconds"), [(0.0, PAUSE_S / 2), (0.5, PAUSE_S * 0.75), (0.999, PAUSE_S)])
def test_the_pause_is_short_and_drawn(draw: float, seconds: float) -> None:
    paused = move(failed(0), retries=1, draw=draw)
    assert isinstance(paused, Wait)
    assert paused.seconds == pytest.approx(seconds, rel=0.001)


def test_the_pause_doubles_up_to_its_most() -> None:
    pauses = [move(*[failed(0)] * n, retries=10, attempts_max=32, draw=0.999) for n in range(1, 9)]
    seconds = [pause.seconds for pause in pauses if isinstance(pause, Wait)]
    assert seconds == pytest.approx([min(PAUSE_S * 2**n, PAUSE_S_MAX) for n in range(8)], rel=0.001)


def test_a_vendor_that_says_not_to_retry_is_not_tried_again_but_the_next_is() -> None:
    told = failed(0, retryable=False)
    assert move(told, retries=3) == Send(RUNGS[1], Reason.SERVER_ERROR, CHEAP, extra=True)


@pytest.mark.parametrize(("left_s", "kind"), [(PAUSE_S, Wait), (PAUSE_S / 2, Send), (0.0, Send), (-1.0, Send)])
def test_a_pause_that_would_end_after_the_deadline_is_not_begun(left_s: float, kind: type[Move]) -> None:
    assert isinstance(move(failed(0), retries=1, left_s=left_s), kind)


# Retry-After


@pytest.mark.parametrize("reason", [Reason.RATE_LIMITED, Reason.SERVER_ERROR])
def test_told_when_to_come_back_the_last_rung_waits_that_long_if_it_is_not_longer_than_its_patience(
    reason: Reason,
) -> None:
    def asked(retry_after_s: float) -> Move:
        tried = failed(2, reason, retry_after_s=retry_after_s)
        return move(failed(0), failed(1), tried, retries=1, retry_after_s_max=10.0)

    assert asked(10.0) == Wait(10.0)
    assert asked(10.001) == GiveUp()


@pytest.mark.parametrize("reason", [Reason.RATE_LIMITED, Reason.SERVER_ERROR])
def test_told_when_to_come_back_a_rung_that_is_open_goes_first(reason: Reason) -> None:
    told = failed(0, reason, retry_after_s=1.0)
    assert move(told, retries=1) == Send(RUNGS[1], reason, CHEAP, extra=True)


def test_told_when_to_come_back_the_rung_waits_if_those_below_cannot_be_called() -> None:
    rungs = (RUNGS[0], FOREIGN)
    told = failed(0, Reason.RATE_LIMITED, retry_after_s=1.0)
    assert move(told, rungs=rungs, retries=1) == Wait(1.0)
    assert move(told, rungs=rungs, retries=1, paused=True) == Send(RUNGS[0], None, NO_QUOTE)
    assert isinstance(move(told, rungs=rungs, retries=0), Skip)


def test_a_429_that_says_nothing_is_not_tried_again() -> None:
    assert move(failed(0, Reason.RATE_LIMITED), rungs=RUNGS[:1], retries=3) == GiveUp()


# Money


@pytest.mark.parametrize(("left", "kind"), [("0.02", Send), ("0.0199", Skip)])
def test_a_rung_runs_only_if_its_worst_case_is_covered(left: str, kind: type[Move]) -> None:
    assert isinstance(move(failed(0), funds=Funds(Decimal(left))), kind)


def test_a_rung_without_a_price_cannot_be_shown_to_be_covered() -> None:
    assert move(failed(0), quote=NO_QUOTE) == Skip(RUNGS[1], Reason.SERVER_ERROR, Reason.BUDGET_EXHAUSTED, NO_QUOTE)


def test_a_rung_that_costs_nothing_runs_without_any_budget() -> None:
    free = Quote(Decimal(0), Decimal(0))
    funds = Funds(Decimal(0), Decimal(0))
    assert move(failed(0), quote=free, funds=funds) == Send(RUNGS[1], Reason.SERVER_ERROR, free, extra=True)


@pytest.mark.parametrize(("month", "kind"), [("0.02", Send), ("0.0199", Skip)])
def test_under_a_tenants_budget_the_first_choice_too_runs_only_if_it_is_covered(month: str, kind: type[Move]) -> None:
    funds = Funds(Decimal(0), Decimal(month))
    assert isinstance(move(funds=funds), kind)
    assert isinstance(move(funds=funds, quote=NO_QUOTE), Skip), "no price is not free"
    assert isinstance(move(failed(0), funds=Funds(Decimal(1), Decimal(month))), kind)


def test_a_first_choice_that_is_not_covered_ends_the_request() -> None:
    assert move(skipped(0, Reason.BUDGET_EXHAUSTED)) == GiveUp()


def test_a_retry_that_is_not_covered_goes_on_to_the_next_rung() -> None:
    tried = (failed(0, billable=True), skipped(0, Reason.BUDGET_EXHAUSTED))
    assert move(*tried, retries=1) == Send(RUNGS[1], Reason.BUDGET_EXHAUSTED, CHEAP, extra=True)


@pytest.mark.parametrize("billable", [True, False])
def test_a_retry_is_extra_spend_only_where_the_vendor_may_bill_what_failed(billable: bool) -> None:
    again = move(failed(0, billable=billable), retries=1, paused=True)
    assert again == Send(RUNGS[0], None, CHEAP if billable else NO_QUOTE, extra=billable)


# Context windows


def windows(*sizes: int | None) -> tuple[Rung, ...]:
    return tuple(Rung(i, f"u{i}", f"m{i}", TIER, context_tokens=size) for i, size in enumerate(sizes))


@pytest.mark.parametrize(("prompt", "kind"), [(8000, Send), (8001, Skip)])
def test_a_prompt_that_does_not_fit_a_rungs_window_skips_it(prompt: int, kind: type[Move]) -> None:
    rungs = windows(8000, 9000)
    first = move(rungs=rungs, prompt=prompt)
    assert isinstance(first, kind)
    if isinstance(first, Skip):
        assert first.reason is Reason.CONTEXT_TOO_LONG
        after = move(skipped(0, Reason.CONTEXT_TOO_LONG), rungs=rungs, prompt=prompt)
        assert after == Send(rungs[1], Reason.CONTEXT_TOO_LONG, CHEAP, extra=True)


def test_a_rung_whose_window_is_not_known_is_never_skipped_for_it() -> None:
    assert isinstance(move(rungs=windows(None), prompt=10**9), Send)


@pytest.mark.parametrize(("window", "kind"), [(8000, Skip), (7000, Skip), (8001, Send), (None, Send)])
def test_after_a_context_error_only_larger_windows_are_tried(window: int | None, kind: type[Move]) -> None:
    rungs = windows(8000, window)
    assert isinstance(move(failed(0, Reason.CONTEXT_TOO_LONG), rungs=rungs), kind)


def test_when_no_window_fits_nothing_is_called() -> None:
    tried = [skipped(i, Reason.CONTEXT_TOO_LONG) for i in range(3)]
    for n in range(3):
        assert isinstance(move(*tried[:n], rungs=windows(1, 2, 3)), Skip)
    assert move(*tried, rungs=windows(1, 2, 3)) == GiveUp()


# Bounds


def test_calls_are_bounded_over_retries_and_rungs_together() -> None:
    rungs = tuple(Rung(depth, f"u{depth}", "m", TIER) for depth in range(9))
    tried = [failed(0), failed(0), failed(0), failed(1), failed(1), failed(1), failed(2)]
    assert move(*tried[:6], rungs=rungs, retries=2, attempts_max=7) == Send(
        rungs[2], Reason.SERVER_ERROR, CHEAP, extra=True
    )
    assert move(*tried, rungs=rungs, retries=2, attempts_max=7) == GiveUp()


def test_a_rung_that_was_skipped_is_no_call() -> None:
    tried = [skipped(depth, Reason.BREAKER_OPEN) for depth in range(2)]
    assert isinstance(move(*tried, attempts_max=1), Send)


ENDS = [
    Tried(0, Reason.SERVER_ERROR),
    Tried(0, Reason.STREAM_BROKEN, billable=True),
    Tried(0, Reason.RATE_LIMITED, retry_after_s=1.0),
    Tried(0, Reason.CONNECTION_LOST, replayable=True),
    Tried(0, Reason.CONTEXT_TOO_LONG),
    Tried(0, Reason.BREAKER_OPEN, called=False),
    Tried(0, Reason.BREAKER_OPEN, called=False, spared=True),
]
"""How a call may end; the depth is filled in."""


def histories(ends: tuple[Tried, ...], limits: Limits, rungs: tuple[Rung, ...]) -> Iterator[tuple[str, Rung, int]]:
    """Play one history to its end: each call, its rung and how many were made before it on that rung."""
    tried: tuple[Tried, ...] = ()
    paused = False
    left = list(ends)
    for _ in range(200):
        step = Step(rungs, tried, limits, AMPLE, 60.0, 0.5, paused)
        made = next_move(step, Known(foreign, lambda rung: CHEAP, lambda window: 100))
        if isinstance(made, Wait):
            assert not paused, "a pause is not followed by a pause"
            paused = True
            continue
        if isinstance(made, GiveUp) or (isinstance(made, Send) and not left):
            return
        if isinstance(made, Skip):
            tried += (Tried(made.rung.depth, made.reason, called=False),)
        else:
            end = left.pop(0)
            ended = Tried(made.rung.depth, *[getattr(end, name) for name in Tried.__slots__[1:]])
            before = [t for t in tried if t.called and t.depth == made.rung.depth]
            yield "call" if end.called else "veto", made.rung, len(before) - any(t.replayable for t in before)
            tried += (ended,)
        paused = False
    raise AssertionError("it did not end")


@pytest.mark.parametrize(("retries", "attempts_max"), [(0, 3), (1, 3), (2, 4), (2, 8)])
def test_no_history_calls_a_rung_or_all_of_them_more_often_than_allowed(retries: int, attempts_max: int) -> None:
    limits = Limits(retries=retries, attempts_max=attempts_max)
    rungs = (RUNGS[0], FOREIGN, Rung(2, "u2", "m2", TIER, context_tokens=50), Rung(3, "u3", "m3", TIER))
    seen = set()
    for ends in product(ENDS, repeat=5):
        calls = list(histories(ends, limits, rungs))
        assert sum(kind == "call" for kind, _, _ in calls) <= attempts_max
        assert all(again <= retries for _, _, again in calls)
        assert all(rung.tier == TIER and rung.context_tokens is None for _, rung, _ in calls)
        depths = [rung.depth for _, rung, _ in calls]
        assert list(dict.fromkeys(depths)) == sorted(set(depths)), "each rung is come to in its turn"
        seen |= {rung.depth for _, rung, _ in calls}
    assert seen == {0, 3}


def spared(depth: int) -> Tried:
    return Tried(depth, Reason.BREAKER_OPEN, called=False, spared=True)


@pytest.mark.parametrize("below", [skipped(1, Reason.RESIDENCY), failed(1), failed(1, Reason.RATE_LIMITED)], ids=str)
def test_a_rung_that_was_only_spared_is_called_after_all_where_nothing_below_it_answered(below: Tried) -> None:
    assert move(spared(0), below, rungs=RUNGS[:2]) == Send(RUNGS[0], None, NO_QUOTE)
    assert move(spared(0), below, failed(0), rungs=RUNGS[:2]) == GiveUp()
    assert move(spared(0), below, spared(0), rungs=RUNGS[:2]) == GiveUp()
    assert move(spared(0), below, rungs=RUNGS[:2], attempts_max=int(below.called)) == GiveUp()


def test_of_several_spared_rungs_the_highest_is_called_first_and_those_below_are_not_come_to_again() -> None:
    tried = (spared(0), spared(1), failed(2))
    assert move(*tried) == Send(RUNGS[0], None, NO_QUOTE)
    assert move(*tried, failed(0)) == Send(RUNGS[1], Reason.SERVER_ERROR, CHEAP, extra=True)
    assert move(*tried, failed(0), failed(1)) == GiveUp()


def test_a_spared_rung_is_tried_again_and_over_a_fresh_connection_like_any_other() -> None:
    before = (spared(0), skipped(1, Reason.RESIDENCY))
    assert isinstance(move(*before, failed(0), rungs=RUNGS[:2], retries=1), Wait)
    assert move(*before, stale(0), rungs=RUNGS[:2]) == Send(RUNGS[0], None, NO_QUOTE, fresh=True)


def test_a_rung_whose_rest_is_not_over_is_not_come_back_to() -> None:
    assert move(skipped(0, Reason.BREAKER_OPEN), failed(1), rungs=RUNGS[:2]) == GiveUp()


@given(
    regions=st.lists(st.sampled_from(["eu", "us", ""]), min_size=1, max_size=6),
    tiers=st.lists(st.sampled_from(["interactive", "batch"]), min_size=6, max_size=6),
    ends=st.lists(st.sampled_from(ENDS), max_size=12),
    retries=st.integers(0, 3),
    attempts_max=st.integers(1, 8),
)
def test_no_rung_of_a_forbidden_region_or_tier_is_ever_called(
    regions: list[str], tiers: list[str], ends: list[Tried], retries: int, attempts_max: int
) -> None:
    def hurdle(rung: Rung) -> Reason | None:
        return Reason.RESIDENCY if rung.region != "eu" else foreign(rung)

    rungs = tuple(
        Rung(i, f"u{i}", "m", TierName(tier), region=region)
        for i, (region, tier) in enumerate(zip(regions, tiers, strict=False))
    )
    tried: tuple[Tried, ...] = ()
    paused = False
    for end in ends:
        bounds = Limits(retries=retries, attempts_max=attempts_max)
        made = next_move(Step(rungs, tried, bounds, AMPLE, 60.0, 0.0, paused), Known(hurdle, lambda rung: CHEAP, len))  # type: ignore[arg-type]
        if isinstance(made, GiveUp):
            break
        if isinstance(made, Wait):
            paused = True
            continue
        paused = False
        if isinstance(made, Skip):
            tried += (Tried(made.rung.depth, made.reason, called=False),)
            continue
        assert (made.rung.region, made.rung.tier) == ("eu", "interactive")
        tried += (Tried(made.rung.depth, end.reason, end.replayable, end.called),)
    assert sum(t.called for t in tried) <= attempts_max


@pytest.mark.parametrize("depth", [0, 1])
def test_a_rung_whose_host_cannot_be_reached_is_tried_at_another_host_at_once(depth: int) -> None:
    """However often, within the bound on attempts; without a pause, and not as one of the retries."""
    before = [failed(0)] * depth
    unreached = failed(depth, Reason.CONNECT_ERROR, host="a", elsewhere=True)
    for count in range(1, 4):
        sent = move(*before, *[unreached] * count)
        assert isinstance(sent, Send)
        assert (sent.rung, sent.fresh) == (RUNGS[depth], False)
    assert isinstance(move(*before, *[unreached] * 3, attempts_max=3 + depth), GiveUp)
    assert isinstance(move(unreached, failed(0, host="b"), retries=1), Wait)
    last = move(failed(0, Reason.CONNECT_ERROR, host="b"))
    assert isinstance(last, Send)
    assert last.rung == RUNGS[1], "where no host is left, the next rung"
