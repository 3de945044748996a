"""The keeper of breakers: keys stand apart, moves are told and counted, and what stands for nothing is forgotten."""

from dataclasses import replace

import pytest

from gateway.breakers.breaker import Outcome, Policy, Ticket
from gateway.breakers.health import ANSWERED, AT_CEILING, FAILED, TIMED_OUT, Rule, Tally
from gateway.breakers.keeper import SWEEP_AT, Breakers, Key, Move, Rules, Seen
from gateway.breakers.regions import Place

ACME = Key("fast", "acme", "u0")
OTHERS = [Key("fast", "globex", "u0"), Key("bulk", "acme", "u0"), Key("fast", "acme", "u1")]
EU = Place("openai", "eu")
POLICY = Policy(failures_max=2, cooldown_s=10, cooldown_max_s=80, jitter=0, ramp_s=0, probe_s=30)
RULES = Rules(
    policy=POLICY,
    policies={"agent": replace(POLICY, failures_max=4)},
    health=Rule(
        window_s=60, window_calls=4, failure_ratio=0.6, unhealthy_at=0.5, timeouts=0.6, token_ceiling=0.2,
        memory_pressure=0.2,
    ),
    places={"u0": EU},
    brownout_tenants=2,
    recovery_s={"interactive": 11.9, "batch": 12.0},
)  # fmt: skip


def made(rules: Rules = RULES, draw: float = 0.0) -> Breakers:
    return Breakers(rules, lambda: draw)


def failed(breakers: Breakers, key: Key = ACME, now: float = 0.0, tier: str = "interactive", times: int = 1) -> None:
    told(breakers, key, Outcome.FAILED, FAILED, now, tier, times)


def told(
    breakers: Breakers,
    key: Key,
    outcome: Outcome,
    tally: Tally | None,
    now: float = 0.0,
    tier: str = "x",
    times: int = 1,
) -> None:
    for _ in range(times):
        ticket = breakers.admit(key, tier, now)
        assert ticket is not None
        breakers.record(key, tier, ticket, Seen(outcome, tally, "server_error"), now)


def tripped() -> Breakers:
    breakers = made()
    failed(breakers, times=2)
    return breakers


def test_a_probe_nobody_reports_of_is_given_up_for_lost_and_the_move_is_told() -> None:
    breakers = tripped()
    assert breakers.admit(ACME, "x", 10.0) is not None
    assert breakers.admit(ACME, "x", 39.9) is None
    ticket = breakers.admit(ACME, "x", 40.0)
    assert ticket is not None
    assert list(breakers.take_moves())[-1] == Move(ACME, EU, "half_open", "half_open", "probe_lost", 2)
    breakers.record(ACME, "x", ticket, Seen(Outcome.SUCCEEDED, ANSWERED, "answered"), 41.0)
    assert breakers.admit(ACME, "x", 41.0) is not None


def test_an_open_breaker_is_nobody_elses() -> None:
    breakers = tripped()
    assert breakers.admit(ACME, "x", 1.0) is None
    assert all(breakers.admit(key, "x", 1.0) is not None for key in OTHERS)


def test_it_tells_when_the_next_try_may_be_made() -> None:
    breakers = tripped()
    assert breakers.retry_in_s([ACME], 4.0) == 6.0
    assert breakers.retry_in_s([ACME, OTHERS[0]], 4.0) == 0.0


def test_every_move_is_told_once_in_order_with_its_cause_and_the_failures_that_led_to_it_and_counted() -> None:
    breakers = tripped()
    ticket = breakers.admit(ACME, "x", 10.0)
    assert ticket is not None
    breakers.record(ACME, "x", ticket, Seen(Outcome.FAILED, FAILED, "timeout"), 11.0)
    ticket = breakers.admit(ACME, "x", 31.0)
    assert ticket is not None
    moved = breakers.record(ACME, "x", ticket, Seen(Outcome.FLOWING, None, "first_token"), 32.5)
    expected = [
        Move(ACME, EU, "closed", "open", "server_error", 2),
        Move(ACME, EU, "open", "half_open", "cooldown_over", 2),
        Move(ACME, EU, "half_open", "open", "timeout", 3),
        Move(ACME, EU, "open", "half_open", "cooldown_over", 3),
        Move(ACME, EU, "half_open", "closed", "first_token", 3, 32.5),
    ]
    assert list(breakers.take_moves()) == expected
    assert moved == expected[-1]
    assert list(breakers.take_moves()) == []
    assert breakers.transitions == {
        ("u0", "closed", "open", "server_error"): 1,
        ("u0", "open", "half_open", "cooldown_over"): 2,
        ("u0", "half_open", "open", "timeout"): 1,
        ("u0", "half_open", "closed", "first_token"): 1,
    }
    assert breakers.open_by_upstream() == {("fast", "u0"): 0}
    assert breakers.by_state() == {
        ("fast", "u0", "closed"): 1,
        ("fast", "u0", "open"): 0,
        ("fast", "u0", "half_open"): 0,
    }


def test_a_tier_with_a_promise_of_its_own_opens_by_that() -> None:
    breakers = made()
    failed(breakers, tier="agent", times=3)
    assert breakers.admit(ACME, "agent", 1.0) is not None
    failed(breakers, tier="agent")
    assert breakers.admit(ACME, "agent", 1.0) is None


def test_the_failure_ratio_opens_it_though_no_row_of_failures_did() -> None:
    breakers = made(replace(RULES, policy=replace(POLICY, failures_max=99)))
    for outcome, tally in ((Outcome.SUCCEEDED, ANSWERED), (Outcome.FAILED, FAILED)) * 3:
        told(breakers, ACME, outcome, tally)
    failed(breakers)
    failed(breakers)
    (move,) = breakers.take_moves()
    assert (move.before, move.after, move.cause, move.failures) == ("closed", "open", "failure_ratio", 3)


def test_ill_health_opens_it_by_timeouts_ceilings_and_memory_together() -> None:
    rules = replace(RULES, policy=replace(POLICY, failures_max=99), health=replace(RULES.health, failure_ratio=1.0))
    for level, moves in (("normal", 0), ("critical", 1)):
        breakers = made(rules)
        breakers.health.memory("u0", level)
        told(breakers, ACME, Outcome.SUCCEEDED, AT_CEILING, times=2)
        told(breakers, ACME, Outcome.FAILED, TIMED_OUT, times=2)
        assert [move.cause for move in breakers.take_moves()] == ["unhealthy"] * moves


def test_a_word_that_is_no_level_of_memory_pressure_is_refused() -> None:
    with pytest.raises(ValueError, match="red"):
        made().health.memory("u0", "red")


def test_a_closed_breaker_starts_with_an_empty_window() -> None:
    breakers = made(replace(RULES, policy=replace(POLICY, failures_max=3)))
    failed(breakers, times=3)
    told(breakers, ACME, Outcome.SUCCEEDED, ANSWERED, now=10.0)
    told(breakers, ACME, Outcome.FAILED, FAILED, now=10.0, times=2)
    assert breakers.admit(ACME, "x", 10.0) is not None


def test_late_answers_do_not_count_in_the_window() -> None:
    breakers = made(replace(RULES, policy=replace(POLICY, failures_max=3)))
    late = Ticket(0)
    failed(breakers, times=3)
    told(breakers, ACME, Outcome.SUCCEEDED, ANSWERED, now=10.0)
    for _ in range(9):
        breakers.record(ACME, "x", late, Seen(Outcome.FAILED, FAILED, "timeout"), 11.0)
    failed(breakers, now=12.0)
    assert breakers.admit(ACME, "x", 12.0) is not None


def test_the_ramp_holds_back_who_has_somewhere_else_to_go() -> None:
    breakers = made(replace(RULES, policy=replace(POLICY, ramp_s=10)), draw=0.5)
    failed(breakers, times=2)
    told(breakers, ACME, Outcome.SUCCEEDED, ANSWERED, now=10.0)
    assert breakers.admit(ACME, "x", 14.9) is None
    assert breakers.admit(ACME, "x", 14.9, last=True) is not None
    assert breakers.admit(ACME, "x", 15.0) is not None


def test_a_browned_out_region_is_skipped_but_by_those_whose_own_breaker_decides() -> None:
    breakers = made()
    failed(breakers, ACME, times=2)
    assert not breakers.browned_out(OTHERS[1], 0.0)
    failed(breakers, OTHERS[0], times=2)
    assert breakers.browned_out(Key("bulk", "initech", "u0"), 0.0)
    assert not breakers.browned_out(ACME, 0.0)
    assert not breakers.browned_out(Key("fast", "initech", "u1"), 0.0)
    told(breakers, ACME, Outcome.SUCCEEDED, ANSWERED, now=10.0)
    assert not breakers.browned_out(Key("bulk", "initech", "u0"), 10.0)
    told(breakers, OTHERS[0], Outcome.SUCCEEDED, ANSWERED, now=12.0)
    regional = [move for move in breakers.take_moves() if move.key is None]
    assert regional == [
        Move(None, EU, "closed", "open", "server_error", 2),
        Move(None, EU, "open", "half_open", "server_error", 0),
        Move(None, EU, "half_open", "closed", "recovered", 0, 12.0),
    ]
    assert breakers.recoveries_late == {("interactive", "openai", "eu"): 1}


def test_a_region_whose_breakers_nobody_probes_is_tried_again_after_a_while() -> None:
    breakers = made()
    failed(breakers, ACME, times=2)
    failed(breakers, OTHERS[0], times=2)
    assert breakers.browned_out(Key("bulk", "initech", "u0"), 19.9)
    assert not breakers.browned_out(Key("bulk", "initech", "u0"), 20.0)
    assert list(breakers.take_moves())[-1] == Move(None, EU, "open", "closed", "expired", 0)


def test_closed_breakers_that_stand_for_nothing_any_more_are_forgotten_and_open_ones_are_not() -> None:
    breakers = tripped()
    for number in range(SWEEP_AT * 3):
        told(breakers, Key("fast", f"tenant-{number}", "u1"), Outcome.SUCCEEDED, ANSWERED, now=number * 1.0)
        assert len(breakers.states()) <= SWEEP_AT
    assert breakers.admit(ACME, "x", 1.0) is None


def test_breakers_still_in_their_window_are_kept_however_many() -> None:
    breakers = made()
    failed(breakers)
    for number in range(SWEEP_AT + 1):
        told(breakers, Key("fast", f"tenant-{number}", "u1"), Outcome.SUCCEEDED, ANSWERED, now=1.0)
    failed(breakers, now=2.0)
    assert breakers.admit(ACME, "x", 3.0) is None


def test_a_reload_closes_what_is_not_kept_and_says_so() -> None:
    breakers = tripped()
    list(breakers.take_moves())
    breakers.follow(RULES, lambda key: True)
    assert breakers.admit(ACME, "x", 1.0) is None
    breakers.follow(RULES, lambda key: False)
    assert [(move.before, move.after, move.cause) for move in breakers.take_moves()] == [("open", "closed", "reloaded")]
    assert breakers.admit(ACME, "x", 1.0) == Ticket(0)
