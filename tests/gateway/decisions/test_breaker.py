"""The breaker by its table, by late tickets, by its deadlines, and by every history of twelve steps."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from gateway.breakers.breaker import (
    Closed,
    HalfOpen,
    Open,
    Outcome,
    Policy,
    State,
    Ticket,
    admit,
    record,
    unhindered,
    untouched,
)

POLICY = Policy(failures_max=2, cooldown_s=10, cooldown_max_s=40, jitter=0.5, ramp_s=8, probe_s=30)
NOW = 100.0
LATER = NOW + POLICY.cooldown_s
LOST = LATER + POLICY.probe_s
"""When a probe that went at LATER is given up for lost."""
RAMPING = Closed(3, 0, openings=1, ramp_from=NOW - 2)
RAMPED = Closed(3, 0, openings=1, ramp_from=NOW - 8)

TABLE = [
    # state, outcome, the state after
    (Closed(3, 0), Outcome.SUCCEEDED, Closed(3, 0)),
    (Closed(3, 1), Outcome.SUCCEEDED, Closed(3, 0)),
    (Closed(3, 0), Outcome.FAILED, Closed(3, 1)),
    (Closed(3, 1), Outcome.FAILED, Open(4, LATER, 2, 1, NOW)),
    (Closed(3, 1), Outcome.ABANDONED, Closed(3, 1)),
    (Closed(3, 1), Outcome.FLOWING, Closed(3, 1)),
    (RAMPING, Outcome.SUCCEEDED, RAMPING),
    (replace(RAMPING, failures=1), Outcome.SUCCEEDED, RAMPING),
    (replace(RAMPING, failures=1), Outcome.FAILED, Open(4, NOW + 20, 2, 2, NOW)),
    (RAMPED, Outcome.SUCCEEDED, Closed(3, 0)),
    (replace(RAMPED, failures=1), Outcome.FAILED, Open(4, LATER, 2, 1, NOW)),
    (Open(3, LATER, 2, 1, NOW), Outcome.SUCCEEDED, Open(3, LATER, 2, 1, NOW)),
    (Open(3, LATER, 2, 1, NOW), Outcome.FAILED, Open(3, LATER, 2, 1, NOW)),
    (Open(3, LATER, 2, 1, NOW), Outcome.ABANDONED, Open(3, LATER, 2, 1, NOW)),
    (Open(3, LATER, 2, 1, NOW), Outcome.FLOWING, Open(3, LATER, 2, 1, NOW)),
    (HalfOpen(3, 2, 1, 50, LOST), Outcome.SUCCEEDED, Closed(3, 0, openings=1, ramp_from=NOW)),
    (HalfOpen(3, 2, 1, 50, LOST), Outcome.FLOWING, Closed(3, 0, openings=1, ramp_from=NOW)),
    (HalfOpen(3, 2, 1, 50, LOST), Outcome.FAILED, Open(4, NOW + 20, 3, 2, 50)),
    (HalfOpen(3, 2, 1, 50, LOST), Outcome.ABANDONED, Open(4, NOW, 2, 1, 50)),
]


@pytest.mark.parametrize(("state", "outcome", "after"), TABLE, ids=str)
def test_each_state_answers_each_outcome_as_the_table_says(state: State, outcome: Outcome, after: State) -> None:
    assert record(state, Ticket(3), outcome, POLICY, now=NOW, draw=0) == after


@pytest.mark.parametrize("state", [Closed(3, 1), Open(3, LATER, 2, 1, NOW), HalfOpen(3, 2, 1, NOW, LOST)], ids=str)
@pytest.mark.parametrize("outcome", Outcome)
@pytest.mark.parametrize("epoch", [2, 4])
def test_an_answer_from_another_epoch_moves_nothing(state: State, outcome: Outcome, epoch: int) -> None:
    assert record(state, Ticket(epoch), outcome, POLICY, now=NOW, draw=0, ill=True) is state


@pytest.mark.parametrize("outcome", Outcome)
def test_ill_health_opens_a_closed_breaker_whatever_the_call_showed_and_leaves_a_probe_to_its_answer(
    outcome: Outcome,
) -> None:
    failures = int(outcome is Outcome.FAILED)
    ill = record(Closed(3, 0), Ticket(3), outcome, POLICY, now=NOW, draw=0, ill=True)
    assert ill == Open(4, LATER, failures, 1, NOW)
    probing = HalfOpen(3, 2, 1, 50, LOST)
    assert record(probing, Ticket(3), outcome, POLICY, now=NOW, draw=0, ill=True) == record(
        probing, Ticket(3), outcome, POLICY, now=NOW, draw=0
    )


OPEN = Open(3, LATER, 2, 1, NOW)
ADMISSIONS = [
    # state, now, draw, the state after, the ticket
    (Closed(3, 1), NOW, 0.99, Closed(3, 1), Ticket(3)),
    (OPEN, LATER - 0.1, 0.0, OPEN, None),
    (OPEN, LATER, 0.99, HalfOpen(4, 2, 1, NOW, LOST), Ticket(4)),
    (HalfOpen(4, 2, 1, NOW, LOST), LATER, 0.0, HalfOpen(4, 2, 1, NOW, LOST), None),
    (HalfOpen(4, 2, 1, NOW, LOST), LOST - 0.1, 0.0, HalfOpen(4, 2, 1, NOW, LOST), None),
    (HalfOpen(4, 2, 1, NOW, LOST), LOST, 0.99, HalfOpen(5, 2, 1, NOW, LOST + POLICY.probe_s), Ticket(5)),
    (RAMPING, NOW, 0.25, RAMPING, Ticket(3)),
    (RAMPING, NOW, 0.26, RAMPING, None),
    (RAMPING, NOW + 4, 0.75, RAMPING, Ticket(3)),
    (RAMPING, NOW + 4, 0.76, RAMPING, None),
    (RAMPING, NOW - 2, 0.0, RAMPING, Ticket(3)),
    (RAMPED, NOW, 0.999, RAMPED, Ticket(3)),
]


@pytest.mark.parametrize(("state", "now", "draw", "after", "ticket"), ADMISSIONS, ids=str)
def test_leave_is_given_while_closed_once_after_the_cooldown_and_to_a_growing_share_on_the_ramp(
    state: State, now: float, draw: float, after: State, ticket: Ticket | None
) -> None:
    assert admit(state, POLICY, now=now, draw=draw) == (after, ticket)


@pytest.mark.parametrize("outcome", Outcome)
def test_the_ticket_of_a_probe_that_was_given_up_for_lost_is_void(outcome: Outcome) -> None:
    probing, lost = admit(OPEN, POLICY, now=LATER, draw=0)
    again, ticket = admit(probing, POLICY, now=LOST, draw=0)
    assert lost is not None
    assert ticket is not None
    assert record(again, lost, outcome, POLICY, now=LOST, draw=0) is again
    assert isinstance(record(again, ticket, Outcome.SUCCEEDED, POLICY, now=LOST, draw=0), Closed)


def opened(state: State, **given: float) -> float:
    """How long it rests after one more failure."""
    said = {"draw": 0.0, **given}
    after = record(state, Ticket(3), Outcome.FAILED, POLICY, now=NOW, **said)
    assert isinstance(after, Open)
    return after.until - NOW


@pytest.mark.parametrize(("before", "rest_s"), [(1, 20), (2, 40), (3, 40), (1000, 40)])
def test_the_cooldown_doubles_with_each_opening_in_a_row_up_to_its_bound(before: int, rest_s: float) -> None:
    assert opened(HalfOpen(3, 2, before, 50, LOST)) == rest_s


def test_jitter_adds_up_to_its_share() -> None:
    assert [opened(Closed(3, 1), draw=draw) for draw in (0, 0.5, 1)] == [10, 12.5, 15]


@pytest.mark.parametrize(("asked_s", "rest_s"), [(5, 10), (25, 25), (3600, 40)])
def test_a_retry_after_is_honoured_up_to_the_bound_and_never_shortens_the_rest(asked_s: float, rest_s: float) -> None:
    assert opened(Closed(3, 1), retry_after_s=asked_s) == rest_s
    assert opened(HalfOpen(3, 2, 0, 50, LOST), retry_after_s=asked_s) == rest_s


def test_what_an_earlier_failure_asked_for_still_holds_when_a_later_one_opens() -> None:
    first = record(Closed(3, 0), Ticket(3), Outcome.FAILED, POLICY, now=NOW - 1, draw=0, retry_after_s=30)
    assert opened(first) == pytest.approx(29)
    recovered = record(first, Ticket(3), Outcome.SUCCEEDED, POLICY, now=NOW - 1, draw=0)
    assert recovered == Closed(3, 0)


def test_a_late_failure_can_move_the_deadline_out_and_never_in() -> None:
    resting = Open(4, NOW + 20, 2, 1, NOW)

    def late(asked_s: float) -> State:
        return record(resting, Ticket(3), Outcome.FAILED, POLICY, now=NOW, draw=0, retry_after_s=asked_s)

    assert late(30) == replace(resting, until=NOW + 30)
    assert late(19) is resting
    assert late(9999) == replace(resting, until=NOW + POLICY.cooldown_max_s)


def test_a_probe_whose_stream_breaks_after_its_first_token_still_counts_as_a_failure() -> None:
    once = replace(POLICY, failures_max=1)
    probing, ticket = admit(OPEN, once, now=LATER, draw=0)
    assert ticket is not None
    flowing = record(probing, ticket, Outcome.FLOWING, once, now=LATER, draw=0)
    assert isinstance(flowing, Closed)
    broken = record(flowing, ticket, Outcome.FAILED, once, now=LATER + 1, draw=0)
    assert broken == Open(5, LATER + 1 + 20, 1, 2, LATER + 1)


Situation = tuple[State, float, tuple[Ticket, ...]]
"""A breaker, the time, and the tickets that are out, oldest first."""

STEPS = 12
SMALL = Policy(failures_max=2, cooldown_s=1, cooldown_max_s=2, jitter=0, ramp_s=1, probe_s=3)


def successors(situation: Situation) -> Iterator[Situation]:
    """What may come next: time passes, someone asks, or any ticket that is out is answered in any way."""
    state, now, tickets = situation
    yield state, now + 1, tickets
    after, ticket = admit(state, SMALL, now=now, draw=0.5)
    resting = isinstance(state, HalfOpen | Open) and now < state.until
    ramping = isinstance(state, Closed) and state.ramp_from == now
    assert (ticket is None) == (resting or ramping)
    assert ticket is None or ticket.epoch == after.epoch
    assert not unhindered(state) or (ticket is not None and after is state), "what is called unhindered is"
    if len(tickets) < 3:
        yield after, now, (*tickets, ticket) if ticket is not None else tickets
    for index, held in enumerate(tickets):
        for outcome, ill in ((outcome, ill) for outcome in Outcome for ill in (False, True)):
            after = record(state, held, outcome, SMALL, now=now, draw=0, ill=ill)
            assert ill or not untouched(state, held, outcome) or after is state, "what is called untouched is"
            assert held.epoch == state.epoch or after is state, "a late answer moves nothing"
            answered_probe = isinstance(state, HalfOpen) and held.epoch == state.epoch
            assert not (answered_probe and isinstance(after, HalfOpen)), "a probe's answer always ends the probing"
            nothing_learned = outcome is Outcome.ABANDONED and not ill
            assert not (nothing_learned and isinstance(state, Closed)) or after is state, (
                "a caller's fault moves nothing"
            )
            yield after, now, tickets[:index] + tickets[index + 1 :]


def test_no_history_of_twelve_steps_breaks_a_promise() -> None:
    reached: set[Situation] = {(Closed(), 0.0, ())}
    seen: set[tuple[type[State], type[State]]] = set()
    probes_lost = 0
    for _ in range(STEPS):
        later = set()
        for situation in reached:
            for after, now, tickets in successors(situation):
                state = situation[0]
                assert after.epoch >= state.epoch
                closing = isinstance(state, HalfOpen) and isinstance(after, Closed)
                lost = isinstance(state, HalfOpen) and isinstance(after, HalfOpen) and after.until > state.until
                assert (after.epoch != state.epoch) == ((type(after) is not type(state) and not closing) or lost)
                assert not isinstance(after, Closed) or 0 <= after.failures < SMALL.failures_max
                assert not isinstance(after, Open) or after.until <= now + SMALL.cooldown_max_s
                same_rest = isinstance(state, Open) and isinstance(after, Open)
                assert not same_rest or after.until >= state.until, "a deadline never moves in"
                probes = [ticket for ticket in tickets if ticket.epoch == after.epoch]
                assert not isinstance(after, HalfOpen) or len(probes) == 1, "one probe is out, no more and no fewer"
                probes_lost += lost
                later.add((after, now, tickets))
                seen.add((type(state), type(after)))
        reached = later
    assert probes_lost
    stays = {(Closed, Closed), (Open, Open), (HalfOpen, HalfOpen)}
    assert seen == stays | {(Closed, Open), (Open, HalfOpen), (HalfOpen, Closed), (HalfOpen, Open)}
