"""The ladder by its table: what was tried, and what comes next."""

from decimal import Decimal

import pytest

from gateway.domain.ids import TierName
from gateway.domain.reasons import Reason
from gateway.ladder import ATTEMPTS_MAX, NO_QUOTE, GiveUp, Move, Quote, Rung, Send, Skip, Tried, next_move

TIER = TierName("interactive")
RUNGS = tuple(Rung(depth, f"u{depth}", f"m{depth}", TIER) for depth in range(3))
FOREIGN = Rung(1, "u1", "m1", TierName("batch"), own=False)
CHEAP = Quote(Decimal("0.01"), Decimal("0.02"))


def move(*tried: Tried, rungs: tuple[Rung, ...] = RUNGS, quote: Quote = CHEAP, left: str = "0.05") -> Move:
    return next_move(rungs, tried, hurdle=foreign, quote=lambda rung: quote, extra_left_usd=Decimal(left))


def foreign(rung: Rung) -> Reason | None:
    """A hurdle before every rung of another tier."""
    return None if rung.tier == TIER else Reason.NOT_AUTHORIZED


def failed(depth: int, reason: Reason = Reason.SERVER_ERROR, *, stale: bool = False) -> Tried:
    return Tried(depth, reason, replayable=stale)


def test_the_first_move_is_the_first_target_whatever_it_costs() -> None:
    assert move(quote=NO_QUOTE) == Send(RUNGS[0], None, NO_QUOTE)


MENDABLE = [
    Reason.FIRST_TOKEN_TIMEOUT,
    Reason.CONNECT_ERROR,
    Reason.CONNECTION_LOST,
    Reason.RATE_LIMITED,
    Reason.SERVER_ERROR,
    Reason.STREAM_BROKEN,
    Reason.BAD_RESPONSE,
    Reason.BREAKER_OPEN,
    Reason.CONTEXT_TOO_LONG,
    Reason.CONTENT_FILTER,
    Reason.UPSTREAM_AUTH,
    Reason.NOT_AUTHORIZED,
    Reason.BUDGET_EXHAUSTED,
]


@pytest.mark.parametrize("reason", MENDABLE)
def test_what_another_upstream_could_mend_moves_one_rung_down_and_says_why(reason: Reason) -> None:
    assert move(failed(0, reason)) == Send(RUNGS[1], reason, CHEAP)


@pytest.mark.parametrize(
    "reason", [Reason.CALLER_ERROR, Reason.TIMEOUT, Reason.CLIENT_CANCELLED, Reason.GATEWAY_SHUTDOWN]
)
def test_what_no_upstream_could_mend_ends_the_ladder(reason: Reason) -> None:
    assert move(failed(0, reason)) == GiveUp()


def test_the_last_rungs_failure_ends_the_ladder() -> None:
    assert move(failed(0), failed(1), failed(2)) == GiveUp()


def test_a_stale_connection_is_tried_once_more_over_a_fresh_one() -> None:
    stale = failed(0, Reason.CONNECTION_LOST, stale=True)
    assert move(stale) == Send(RUNGS[0], None, NO_QUOTE, fresh=True)
    assert move(stale, stale) == Send(RUNGS[1], Reason.CONNECTION_LOST, CHEAP)


def test_a_stale_connection_below_keeps_its_rung_and_its_price() -> None:
    stale = failed(1, Reason.CONNECTION_LOST, stale=True)
    assert move(failed(0), stale) == Send(RUNGS[1], Reason.CONNECTION_LOST, CHEAP, fresh=True)


def test_a_rung_behind_a_hurdle_is_skipped_with_its_reason() -> None:
    rungs = (RUNGS[0], FOREIGN, RUNGS[2])
    skip = move(failed(0), rungs=rungs)
    assert skip == Skip(FOREIGN, Reason.SERVER_ERROR, Reason.NOT_AUTHORIZED, NO_QUOTE)
    assert move(failed(0), Tried(1, Reason.NOT_AUTHORIZED), rungs=rungs) == Send(RUNGS[2], Reason.NOT_AUTHORIZED, CHEAP)


def test_the_first_choice_is_behind_its_hurdle_like_any_other() -> None:
    first = Rung(0, "u0", "m0", TierName("batch"))
    assert move(rungs=(first, RUNGS[1])) == Skip(first, None, Reason.NOT_AUTHORIZED, NO_QUOTE)


@pytest.mark.parametrize(("left", "kind"), [("0.02", Send), ("0.0199", Skip)])
def test_a_rung_runs_only_if_its_worst_case_is_covered(left: str, kind: type[Move]) -> None:
    assert isinstance(move(failed(0), left=left), kind)


def test_a_rung_without_a_price_cannot_be_shown_to_be_covered() -> None:
    assert move(failed(0), quote=NO_QUOTE) == Skip(RUNGS[1], Reason.SERVER_ERROR, Reason.BUDGET_EXHAUSTED, NO_QUOTE)


def test_a_rung_that_costs_nothing_runs_without_any_budget() -> None:
    free = Quote(Decimal(0), Decimal(0))
    assert move(failed(0), quote=free, left="0") == Send(RUNGS[1], Reason.SERVER_ERROR, free)


def test_attempts_are_bounded_however_long_the_ladder() -> None:
    rungs = tuple(Rung(depth, f"u{depth}", "m", TIER) for depth in range(ATTEMPTS_MAX + 5))
    tried = [failed(depth) for depth in range(ATTEMPTS_MAX)]
    assert isinstance(move(*tried[:-1], rungs=rungs), Send)
    assert move(*tried, rungs=rungs) == GiveUp()
