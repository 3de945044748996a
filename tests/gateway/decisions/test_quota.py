"""Requests and tokens per minute: what passes, what waits, and how long."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.limits.quota import Quota, Spent


def test_a_minutes_worth_passes_at_once_and_the_next_when_it_has_filled_up() -> None:
    quota = Quota(3, 0)
    for _ in range(3):
        assert quota.spent(0, 100) is None
        quota.take(0, 100)
    assert quota.spent(0, 100) == Spent("requests", 20)
    assert quota.spent(0, 119.9) is not None
    assert quota.spent(0, 120) is None


def test_no_bound_means_no_bound() -> None:
    quota = Quota(0, 0)
    for _ in range(1000):
        quota.take(10**9, 5)
    assert quota.spent(10**9, 5) is None


def test_tokens_are_bounded_beside_requests_and_the_longer_wait_is_told() -> None:
    quota = Quota(60, 600)
    quota.take(600, 0)
    assert quota.spent(100, 0) == Spent("tokens", 10)
    for _ in range(59):
        quota.take(0, 0)
    assert quota.spent(1, 0) == Spent("requests", 1)


def test_more_than_a_minutes_worth_passes_when_nothing_was_taken_and_is_made_up_for() -> None:
    quota = Quota(0, 100)
    assert quota.spent(300, 0) is None
    quota.take(300, 0)
    assert quota.spent(1, 120) == Spent("tokens", pytest.approx(0.6))
    assert quota.spent(1, 121) is None


@pytest.mark.parametrize(("used", "wait_s"), [(40, 0), (60, 6), (90, 24)])
def test_what_was_used_in_truth_counts_once_it_is_known(used: int, wait_s: float) -> None:
    quota = Quota(0, 100)
    quota.take(50, 0)
    quota.tokens.settle(50, used, 0)
    assert quota.tokens.wait_s(50, 0) == pytest.approx(wait_s)


def test_what_was_used_beyond_the_estimate_counts_from_when_it_is_known() -> None:
    quota = Quota(0, 60)
    quota.take(10, 0)
    quota.tokens.settle(10, 70, 600)
    assert quota.tokens.wait_s(1, 600) == pytest.approx(1)


def test_another_bound_keeps_the_share_that_was_taken() -> None:
    quota = Quota(10, 0)
    for _ in range(10):
        quota.take(0, 0)
    quota.resize(60, 0)
    assert quota.spent(0, 0) == Spent("requests", 1)


CALLS = st.lists(st.tuples(st.floats(0, 30), st.integers(1, 80), st.integers(0, 80)), max_size=60)


@given(CALLS)
def test_no_stretch_of_time_lets_more_through_than_a_minutes_worth_beyond_its_own_and_the_estimates_errors(
    calls: list[tuple[float, int, int]],
) -> None:
    quota, now, passed = Quota(0, 60), 0.0, []
    for after_s, expected, used in calls:
        now += after_s
        spent = quota.spent(expected, now)
        if spent is None:
            quota.take(expected, now)
            quota.tokens.settle(expected, used, now)
            passed.append((now, expected, used))
        else:
            assert quota.spent(expected, now + spent.retry_in_s) is None, "the time told suffices"
            assert quota.spent(expected, now + spent.retry_in_s * 0.99 - 1e-3) is not None, "and no less does"
    for first in range(len(passed)):
        for last in range(first, len(passed)):
            stretch = passed[first : last + 1]
            seconds = stretch[-1][0] - stretch[0][0]
            error = sum(max(0, used - expected) for _, expected, used in stretch)
            # One that asks for more than a minute's worth passes a full bucket, and those after it make up for it.
            beyond = max(0, max(expected for _, expected, _ in stretch) - 60)
            assert sum(used for *_, used in stretch) <= 60 + seconds + error + beyond + 1e-3
