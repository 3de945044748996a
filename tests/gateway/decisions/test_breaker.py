"""The breaker by its table, by late tickets, and by every history of sixteen steps."""

from collections.abc import Iterator

import pytest

from gateway.breaker import Closed, HalfOpen, Open, Outcome, Policy, State, Ticket, admit, record

POLICY = Policy(failures_max=2, cooldown_s=10)
NOW = 100.0
LATER = NOW + POLICY.cooldown_s

TABLE = [
    # state, outcome, the state after
    (Closed(3, 0), Outcome.SUCCEEDED, Closed(3, 0)),
    (Closed(3, 1), Outcome.SUCCEEDED, Closed(3, 0)),
    (Closed(3, 0), Outcome.FAILED, Closed(3, 1)),
    (Closed(3, 1), Outcome.FAILED, Open(4, LATER)),
    (Closed(3, 1), Outcome.ABANDONED, Closed(3, 1)),
    (Closed(3, 1), Outcome.FLOWING, Closed(3, 1)),
    (Open(3, LATER), Outcome.SUCCEEDED, Open(3, LATER)),
    (Open(3, LATER), Outcome.FAILED, Open(3, LATER)),
    (Open(3, LATER), Outcome.ABANDONED, Open(3, LATER)),
    (Open(3, LATER), Outcome.FLOWING, Open(3, LATER)),
    (HalfOpen(3), Outcome.SUCCEEDED, Closed(4, 0)),
    (HalfOpen(3), Outcome.FLOWING, Closed(4, 0)),
    (HalfOpen(3), Outcome.FAILED, Open(4, LATER)),
    (HalfOpen(3), Outcome.ABANDONED, Open(4, NOW)),
]


@pytest.mark.parametrize(("state", "outcome", "after"), TABLE, ids=str)
def test_each_state_answers_each_outcome_as_the_table_says(state: State, outcome: Outcome, after: State) -> None:
    assert record(state, Ticket(3), outcome, POLICY, NOW) == after


@pytest.mark.parametrize("state", [Closed(3, 1), Open(3, LATER), HalfOpen(3)], ids=str)
@pytest.mark.parametrize("outcome", Outcome)
@pytest.mark.parametrize("epoch", [2, 4])
def test_an_answer_from_another_epoch_moves_nothing(state: State, outcome: Outcome, epoch: int) -> None:
    assert record(state, Ticket(epoch), outcome, POLICY, NOW) is state


ADMISSIONS = [
    (Closed(3, 1), NOW, Closed(3, 1), Ticket(3)),
    (Open(3, LATER), LATER - 0.1, Open(3, LATER), None),
    (Open(3, LATER), LATER, HalfOpen(4), Ticket(4)),
    (HalfOpen(4), LATER, HalfOpen(4), None),
]


@pytest.mark.parametrize(("state", "now", "after", "ticket"), ADMISSIONS, ids=str)
def test_leave_is_given_while_closed_and_once_after_the_cooldown(
    state: State, now: float, after: State, ticket: Ticket | None
) -> None:
    assert admit(state, now) == (after, ticket)


Situation = tuple[State, float, tuple[Ticket, ...]]
"""A breaker, the time, and the tickets that are out, oldest first."""

STEPS = 16


def successors(situation: Situation) -> Iterator[Situation]:
    """What may come next: the cooldown passes, someone asks, or any ticket that is out is answered in any way."""
    state, now, tickets = situation
    yield state, now + POLICY.cooldown_s, tickets
    after, ticket = admit(state, now)
    refused = isinstance(state, HalfOpen) or (isinstance(state, Open) and now < state.until)
    assert (ticket is None) == refused
    assert ticket is None or ticket.epoch == after.epoch
    yield after, now, (*tickets, ticket) if ticket is not None else tickets
    for index, held in enumerate(tickets):
        for outcome in Outcome:
            after = record(state, held, outcome, POLICY, now)
            assert held.epoch == state.epoch or after is state, "a late answer moves nothing"
            answered_probe = isinstance(state, HalfOpen) and held.epoch == state.epoch
            assert not (answered_probe and isinstance(after, HalfOpen)), "a probe's answer always ends the probing"
            yield after, now, tickets[:index] + tickets[index + 1 :]


def test_no_history_of_sixteen_steps_breaks_a_promise() -> None:
    reached: set[Situation] = {(Closed(), 0.0, ())}
    seen: set[type[State]] = set()
    for _ in range(STEPS):
        later = set()
        for situation in reached:
            for after, now, tickets in successors(situation):
                state = situation[0]
                assert after.epoch >= state.epoch
                assert (after.epoch != state.epoch) == (type(after) is not type(state))
                assert not isinstance(after, Closed) or 0 <= after.failures < POLICY.failures_max
                probes = [ticket for ticket in tickets if ticket.epoch == after.epoch]
                assert not isinstance(after, HalfOpen) or len(probes) == 1, "one probe is out, no more and no fewer"
                later.add((after, now, tickets))
                seen.add(type(after))
        reached = later
    assert seen == {Closed, Open, HalfOpen}
