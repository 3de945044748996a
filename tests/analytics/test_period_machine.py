"""The way of a month, exhausted: each state, step, role and fact; and every history of six steps."""

from dataclasses import replace
from datetime import UTC, datetime
from itertools import product

import pytest

from analytics.accounts import Actor
from analytics.periods.machine import (
    FROM,
    NEEDS,
    Blocker,
    Facts,
    Kind,
    Moved,
    Period,
    Refused,
    Signature,
    State,
    Step,
    transition,
)

NOW = datetime(2026, 12, 2, tzinfo=UTC)
MIA = Actor("mia", frozenset({"finance"}))
ANN = Actor("ann", frozenset({"finance_approver"}))
BOB = Actor("bob", frozenset({"finance_approver"}))
OTHERS = [Actor(role, frozenset({role})) for role in ("sre", "admin", "tenant:acme")]
CLEAN = Facts(figures="f1")
PREPARED = Signature(by="mia", at=NOW)
STANDING = {
    State.OPEN: Period(month="2026-11"),
    State.PROVISIONAL: Period(month="2026-11", state=State.PROVISIONAL, revision=1),
    State.INVOICED: Period(month="2026-11", state=State.INVOICED, revision=2),
    State.MATCHED: Period(month="2026-11", state=State.MATCHED, revision=4, prepared=PREPARED, figures="f1"),
    State.SIGNED: Period(
        month="2026-11", state=State.SIGNED, revision=5, prepared=PREPARED, reviewed=PREPARED, figures="f1"
    ),
    State.CLOSED: Period(
        month="2026-11", state=State.CLOSED, revision=6, prepared=PREPARED, reviewed=PREPARED, figures="f1"
    ),
}
TABLE = {
    (State.OPEN, Step.PROVISION): State.PROVISIONAL,
    (State.PROVISIONAL, Step.PROVISION): State.PROVISIONAL,
    (State.PROVISIONAL, Step.INVOICE): State.INVOICED,
    (State.INVOICED, Step.MATCH): State.MATCHED,
    (State.MATCHED, Step.MATCH): State.MATCHED,
    (State.MATCHED, Step.SIGN): State.MATCHED,
    (State.MATCHED, Step.REVIEW): State.SIGNED,
    (State.SIGNED, Step.CLOSE): State.CLOSED,
    **{(state, Step.REOPEN): State.OPEN for state in State if state is not State.OPEN},
}


def take(period, step, actor=ANN, facts=CLEAN, reason="late invoice"):
    return transition(period, step, actor, facts, now=NOW, reason=reason)


def code(outcome):
    return outcome.code if isinstance(outcome, Refused) else "moved"


@pytest.mark.parametrize(("state", "step"), list(product(State, Step)))
def test_each_step_leads_where_the_table_says_and_from_nowhere_else(state, step):
    outcome = take(STANDING[state], step)
    if (state, step) in TABLE:
        assert isinstance(outcome, Moved)
        assert outcome.period.state is TABLE[state, step]
        assert outcome.period.revision == STANDING[state].revision + 1
    else:
        assert code(outcome) == "wrong_state"
        assert all(each in outcome.words for each in Step if (state, each) in TABLE), "it says what can be done"


@pytest.mark.parametrize(("step", "actor"), list(product(Step, [MIA, ANN, *OTHERS])))
def test_a_step_takes_the_right_that_it_needs(step, actor):
    outcome = take(STANDING[FROM[step][0]], step, actor)
    assert (code(outcome) == "forbidden") == (NEEDS[step] not in actor.rights)


@pytest.mark.parametrize(("step", "kind"), list(product(Step, Kind)))
def test_signing_reviewing_and_closing_are_blocked_by_anything_and_invoicing_by_what_is_missing(step, kind):
    blocker = Blocker(kind, "x", f"there is {kind}")
    outcome = take(STANDING[FROM[step][-1] if step is not Step.REOPEN else State.SIGNED], step, facts=Facts(
        figures="f1", blockers=(blocker,)
    ))  # fmt: skip
    gated = step in (Step.SIGN, Step.REVIEW, Step.CLOSE) or (
        step is Step.INVOICE and kind in (Kind.NOT_ENDED, Kind.MISSING_INVOICE)
    )
    assert code(outcome) == ("blocked" if gated else "moved")
    if isinstance(outcome, Refused):
        assert outcome.blockers == (blocker,)
        assert f"there is {kind}" in outcome.words


def test_whoever_prepared_a_month_never_reviews_it_whatever_its_roles():
    both = Actor("mia", frozenset({"finance", "finance_approver"}))
    assert code(take(STANDING[State.MATCHED], Step.REVIEW, both)) == "same_person"
    assert code(take(STANDING[State.MATCHED], Step.REVIEW, BOB)) == "moved"


def test_only_the_figures_that_were_signed_can_be_reviewed_and_closed():
    other = Facts(figures="f2")
    assert code(take(STANDING[State.MATCHED], Step.REVIEW, facts=other)) == "figures_changed"
    assert code(take(STANDING[State.SIGNED], Step.CLOSE, facts=other)) == "figures_changed"
    again = take(STANDING[State.MATCHED], Step.SIGN, MIA, other)
    assert isinstance(again, Moved)
    assert code(take(again.period, Step.REVIEW, facts=other)) == "moved"


def test_matching_again_takes_the_preparers_signature_back():
    matched = take(STANDING[State.MATCHED], Step.MATCH)
    assert isinstance(matched, Moved)
    assert (matched.period.prepared, matched.period.figures) == (None, "")
    assert code(take(matched.period, Step.REVIEW, BOB)) == "not_prepared"


def test_months_close_in_the_order_of_the_calendar_and_only_the_last_opens_again():
    assert code(take(STANDING[State.SIGNED], Step.CLOSE, facts=replace(CLEAN, earlier_open=("2026-10",)))) == (
        "earlier_month_open"
    )
    later = replace(CLEAN, later_closed=("2026-12",))
    assert code(take(STANDING[State.CLOSED], Step.REOPEN, facts=later)) == "later_month_closed"
    assert code(take(STANDING[State.SIGNED], Step.REOPEN, facts=later)) == "moved"


@pytest.mark.parametrize("state", [state for state in State if state is not State.OPEN])
def test_opening_again_takes_a_reason_and_leaves_no_signature(state):
    assert code(take(STANDING[state], Step.REOPEN, reason="  ")) == "reason_missing"
    opened = take(STANDING[state], Step.REOPEN)
    assert isinstance(opened, Moved)
    assert opened.period == Period(month="2026-11", revision=STANDING[state].revision + 1)


def test_no_history_of_eight_steps_closes_a_month_without_two_people_and_the_same_figures():
    """Every order of steps, by two people, with figures that may change between: what closed has both names to it."""
    start, seen, closed = Period(month="2026-11"), set(), 0
    layer = {start}
    for _ in range(8):
        following = set()
        for period, step, actor, figures in product(layer, Step, (MIA, ANN), ("f1", "f2")):
            outcome = take(period, step, actor, Facts(figures=figures))
            if isinstance(outcome, Moved):
                now = outcome.period
                following.add(replace(now, revision=0))
                seen.add(now.state)
                if now.state is State.CLOSED:
                    closed += 1
                    assert now.prepared
                    assert now.reviewed
                    assert now.prepared.by != now.reviewed.by
                    assert now.figures == figures
        layer = following
    assert seen == set(State)
    assert closed
