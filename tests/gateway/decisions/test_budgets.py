"""Accounts: what is reserved is covered, and nothing is ever below zero."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gateway.budgets.accounts import Account

amounts = st.decimals(0, 100, places=9, allow_nan=False)


@pytest.mark.parametrize(("usd", "admitted"), [("0.5", True), ("0.500000001", False), ("0", True)])
def test_what_is_left_may_be_reserved_to_the_last_digit(usd: str, admitted: bool) -> None:
    account = Account(Decimal(1), spent_usd=Decimal("0.3"), reserved_usd=Decimal("0.2"))
    assert (account.reserve(Decimal(usd)) is not None) == admitted


def test_a_call_dearer_than_its_worst_case_leaves_nothing_and_no_debt_to_reserve_against() -> None:
    account = Account(Decimal(1)).reserve(Decimal(1))
    assert account is not None
    over = account.settle(Decimal(1), Decimal(3))
    assert (over.left_usd, over.spent_usd) == (Decimal(0), Decimal(3))
    assert over.reserve(Decimal("0.01")) is None
    assert over.reserve(Decimal(0)) is not None, "what costs nothing is always covered"


@given(limit=amounts, reserved=amounts, cost=amounts, more=amounts)
def test_no_amount_below_zero_is_taken(limit: Decimal, reserved: Decimal, cost: Decimal, more: Decimal) -> None:
    account = Account(limit, reserved_usd=reserved)
    with pytest.raises(ValueError, match="reserve"):
        account.reserve(-more - 1)
    with pytest.raises(ValueError, match="settle"):
        account.settle(reserved, -cost - 1)
    with pytest.raises(ValueError, match="settle"):
        account.settle(reserved + more + 1, cost)
    with pytest.raises(ValueError, match="below zero"):
        Account(-limit - 1)


class Calls(RuleBasedStateMachine):
    """Calls that are admitted, and end at their worst case or below."""

    def __init__(self) -> None:
        super().__init__()
        self.account = Account(Decimal(10))
        self.open: list[Decimal] = []
        self.spent = Decimal(0)

    @rule(usd=st.decimals(0, 6, places=9, allow_nan=False))
    def admit(self, usd: Decimal) -> None:
        before = self.account.left_usd
        after = self.account.reserve(usd)
        assert (after is not None) == (usd <= before)
        if after is not None:
            self.account = after
            self.open.append(usd)

    @rule(share=st.sampled_from([0, 1, 3, 10]), which=st.integers(0, 50))
    def end(self, share: int, which: int) -> None:
        if self.open:
            reserved = self.open.pop(which % len(self.open))
            cost = reserved * share / 10
            self.account = self.account.settle(reserved, cost)
            self.spent += cost

    @invariant()
    def nothing_is_lost_nor_beyond_the_limit(self) -> None:
        assert self.account.spent_usd == self.spent
        assert self.account.reserved_usd == sum(self.open, Decimal(0))
        assert self.account.used_usd <= self.account.limit_usd
        assert self.account.left_usd == self.account.limit_usd - self.account.used_usd


TestCalls = Calls.TestCase
