"""Numbers in words: nothing that costs something reads as nothing, and unknown is never zero."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards import formats

NOW = datetime(2026, 11, 23, 14, 5, tzinfo=UTC)
AMOUNTS = st.decimals(min_value="-1e9", max_value="1e9", places=18)


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("0", "$0.00"),
        ("1234.5", "$1,234.50"),
        ("1043.834", "$1,043.83"),
        ("-3.1", "−$3.10"),
        ("0.005", "$0.0050"),
        ("0.0000173", "$0.000017"),
        ("-0.00000042", "−$0.00000042"),
        ("0.01", "$0.01"),
        ("0.00999", "$0.01"),
    ],
)
def test_money_has_full_cents_and_two_digits_below_a_cent(amount: str, text: str) -> None:
    assert formats.CENTS.money(Decimal(amount)) == text


@given(AMOUNTS.filter(bool))
def test_no_amount_but_zero_reads_as_zero(amount: Decimal) -> None:
    assert any(digit in formats.CENTS.money(amount) for digit in "123456789")


@given(AMOUNTS)
def test_the_exact_form_is_the_number_itself(amount: Decimal) -> None:
    text = formats.exact(amount)
    assert Decimal(text) == amount
    assert "E" not in text


def test_an_unknown_amount_says_so() -> None:
    assert formats.CENTS.money(None) == "unknown"
    assert formats.exact(None) == ""
    assert formats.count(None) == "unknown"


def test_a_currency_without_a_symbol_leads_with_its_code() -> None:
    assert formats.Style("chf").money(Decimal(12)) == "CHF 12.00"


def test_amounts_under_one_get_the_decimals_in_which_they_add_up() -> None:
    style = formats.Style.fitting(Decimal("0.222759"))
    assert [style.money(Decimal(each)) for each in ("0.222759", "0.215263995", "0.007495005", "0.00001")] == [
        "$0.2228",
        "$0.2153",
        "$0.0075",
        "$0.000010",
    ]
    assert formats.Style.fitting(Decimal("942.61")) == formats.Style.fitting(Decimal(0)) == formats.CENTS


def test_a_difference_carries_its_sign() -> None:
    assert formats.CENTS.signed(Decimal("4.14")) == "+$4.14"
    assert formats.CENTS.signed(Decimal("-4.14")) == "−$4.14"
    assert formats.CENTS.signed(Decimal(0)) == "$0.00"


@pytest.mark.parametrize(
    ("now", "before", "text"),
    [
        ("112.4", "100", "+12.4 %"),
        ("97", "100", "−3.0 %"),
        ("100.01", "100", "no change"),
        ("5", "0", "nothing to compare"),
    ],
)
def test_a_change_is_a_percentage_of_what_was_before(now: str, before: str, text: str) -> None:
    assert formats.change(Decimal(now), Decimal(before)) == text


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [("8.46", "100", "8.5 %"), ("1", "0", "–"), ("0.00001", "1", "<0.1 %"), ("0", "5", "0.0 %")],
)
def test_a_share_never_rounds_something_to_nothing(part: str, whole: str, text: str) -> None:
    assert formats.share(Decimal(part), Decimal(whole)) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "just now"), (59, "just now"), (60, "1 min ago"), (7_500, "2 h 5 min ago"), (200_000, "2 days ago")],
)
def test_an_age_is_told_as_people_tell_it(seconds: int, text: str) -> None:
    assert formats.ago(NOW - timedelta(seconds=seconds), NOW) == text


def test_a_stamp_names_the_day_unless_it_is_today() -> None:
    assert formats.stamp(NOW, NOW) == "14:05:00 UTC"
    assert formats.stamp(NOW - timedelta(days=1), NOW) == "22 Nov 14:05 UTC"
    assert formats.stamp(NOW - timedelta(days=400), NOW) == "19 Oct 2025 14:05 UTC"
