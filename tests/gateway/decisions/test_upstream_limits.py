"""What an upstream's key may carry."""

import pytest

from gateway.limits.upstream import UpstreamLimits


def busy(limits: UpstreamLimits, now: float = 0, tokens: int = 0, model: str = "m") -> float | None:
    return limits.busy_s(model, lambda: tokens, now)


def test_as_many_calls_at_once_as_it_may_and_no_more() -> None:
    limits = UpstreamLimits(max_inflight=2)
    for _ in range(2):
        assert busy(limits) is None
        limits.begin(0, 0)
    assert busy(limits) is not None
    limits.end(0, 0, 1.0, 1)
    assert busy(limits) is None


def test_how_long_it_is_busy_is_guessed_from_how_long_its_calls_last() -> None:
    limits = UpstreamLimits(max_inflight=1)
    for _ in range(200):
        limits.begin(0, 0)
        limits.end(0, 0, 8.0, 8)
    limits.begin(0, 0)
    assert busy(limits) == pytest.approx(8, abs=0.1)


def test_its_requests_and_tokens_per_minute_are_kept() -> None:
    limits = UpstreamLimits(requests_per_minute=2, tokens_per_minute=100)
    limits.begin(80, 0)
    assert busy(limits, tokens=20) is None
    assert busy(limits, tokens=30) == pytest.approx(6)
    limits.end(80, 10, 1.0, 0)
    assert busy(limits, tokens=90) is None
    limits.begin(0, 0)
    assert busy(limits, tokens=0) == pytest.approx(30)


def test_the_vendors_word_holds_for_its_model_until_the_reset() -> None:
    limits = UpstreamLimits()
    limits.heed("m", 5, now=100)
    limits.heed("m", 1, now=101)
    assert busy(limits, 104) == pytest.approx(1)
    assert busy(limits, 104, model="other") is None
    assert busy(limits, 105) is None


def test_tokens_are_not_estimated_where_nothing_bounds_them() -> None:
    def never() -> int:
        raise AssertionError

    limits = UpstreamLimits(max_inflight=1, requests_per_minute=1)
    assert limits.busy_s("m", never, 0) is None
