"""The keeper of breakers: keys stand apart, moves are told and counted."""

from gateway.breaker import Outcome, Policy
from gateway.breakers import Breakers, Key

ACME = Key("fast", "acme", "u0")
OTHERS = [Key("fast", "globex", "u0"), Key("bulk", "acme", "u0"), Key("fast", "acme", "u1")]


def tripped() -> Breakers:
    breakers = Breakers(Policy(failures_max=2, cooldown_s=10))
    for _ in range(2):
        ticket = breakers.admit(ACME, 0.0)
        assert ticket is not None
        moved = breakers.record(ACME, ticket, Outcome.FAILED, "server_error", 0.0)
    assert moved is not None
    assert (moved.before, moved.after, moved.cause) == ("closed", "open", "server_error")
    return breakers


def test_an_open_breaker_is_nobody_elses() -> None:
    breakers = tripped()
    assert breakers.admit(ACME, 1.0) is None
    assert all(breakers.admit(key, 1.0) is not None for key in OTHERS)


def test_it_tells_when_the_next_try_may_be_made() -> None:
    breakers = tripped()
    assert breakers.retry_in_s([ACME], 4.0) == 6.0
    assert breakers.retry_in_s([ACME, OTHERS[0]], 4.0) == 0.0


def test_every_move_is_counted() -> None:
    breakers = tripped()
    ticket = breakers.admit(ACME, 10.0)
    assert ticket is not None
    moved = breakers.record(ACME, ticket, Outcome.FLOWING, "first_token", 10.0)
    assert moved is not None
    assert breakers.transitions == {
        ("u0", "closed", "open"): 1,
        ("u0", "open", "half_open"): 1,
        ("u0", "half_open", "closed"): 1,
    }
    assert breakers.open_by_upstream() == {("fast", "u0"): 0}
