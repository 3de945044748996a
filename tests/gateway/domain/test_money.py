"""Money is exact, and shares sum to what was shared."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.money import Money, allocate, plain

AMOUNTS = st.decimals(min_value=-10_000, max_value=10_000, places=9)
WEIGHTS = st.lists(st.decimals(min_value=0, max_value=1_000_000, places=6), min_size=1, max_size=12)


def test_money_refuses_a_float() -> None:
    with pytest.raises(TypeError, match="not float"):
        Money(0.1, "USD")  # type: ignore[arg-type]


def test_currencies_do_not_mix() -> None:
    with pytest.raises(ValueError, match="cannot add EUR to USD"):
        Money(Decimal(1), "USD") + Money(Decimal(1), "EUR")


def test_money_adds_to_the_last_digit() -> None:
    third = Money(Decimal("0.000000000000000001"), "USD")
    assert (third + Money(Decimal(10**18), "USD")).amount == Decimal("1000000000000000000.000000000000000001")


@given(total=AMOUNTS, weights=WEIGHTS)
def test_shares_sum_to_the_total_exactly(total: Decimal, weights: list[Decimal]) -> None:
    assert sum(allocate(total, weights, Decimal("0.01")), Decimal(0)) == total


@given(total=st.integers(0, 10**6), weights=WEIGHTS)
def test_no_share_is_a_quantum_or_more_away_from_its_exact_part(total: int, weights: list[Decimal]) -> None:
    quantum = Decimal("0.01")
    whole = sum(weights) or Decimal(len(weights))
    shares = weights if sum(weights) else [Decimal(1)] * len(weights)
    for part, weight in zip(allocate(Decimal(total), weights, quantum), shares, strict=True):
        assert abs(part - Decimal(total) * weight / whole) < quantum


def test_the_odd_cent_goes_to_whoever_lost_most() -> None:
    cents = allocate(Decimal("1.00"), [Decimal(1), Decimal(1), Decimal(1)], Decimal("0.01"))
    assert cents == [Decimal("0.34"), Decimal("0.33"), Decimal("0.33")]


def test_a_credit_longer_than_a_default_context_keeps_its_digits() -> None:
    total = Decimal("-12345678901234567890.123456789012345678")
    assert allocate(total, [Decimal(1)], Decimal("0.000001")) == [total]


def test_nothing_can_be_shared_among_nobody() -> None:
    assert allocate(Decimal(0), [], Decimal("0.01")) == []
    with pytest.raises(ValueError, match="nothing to allocate"):
        allocate(Decimal(1), [], Decimal("0.01"))


@pytest.mark.parametrize(
    ("amount", "text"),
    [("0E-18", "0"), ("1E+3", "1000"), ("0.10", "0.1"), ("-5.00", "-5"), ("1E-12", "0.000000000001")],
)
def test_an_amount_is_written_plainly(amount: str, text: str) -> None:
    assert plain(Decimal(amount)) == text
