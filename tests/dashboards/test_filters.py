"""Filters and the address: the same in both directions, and a link with a typing error opens."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards import filters
from dashboards.filters import Filters
from dashboards.periods import DAYS_MAX, Period, days_label, window_label

NOW = datetime(2026, 11, 23, 14, 5, tzinfo=UTC)
DAYS = st.dates(date(2000, 1, 1), date(2199, 1, 1))
PERIODS = st.builds(lambda day, length: Period(day, day + timedelta(days=length)), DAYS, st.integers(1, DAYS_MAX))
MONTHS = st.builds(Period.month, DAYS)
VALUES = st.lists(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20), max_size=5, unique=True
).map(lambda values: tuple(sorted(values)))
FILTERS = st.builds(Filters, PERIODS | MONTHS, tenant=VALUES, alias=VALUES, provider=VALUES, account=VALUES)


@given(FILTERS)
def test_an_address_gives_back_the_filters_it_was_made_from(chosen: Filters) -> None:
    read = filters.parse("?" + chosen.query(), NOW)
    assert read == chosen
    assert read.faults == ()


@given(st.text(max_size=200))
def test_any_address_opens(search: str) -> None:
    assert filters.parse(search, NOW).period.days()


def test_without_a_period_the_current_month_is_shown() -> None:
    assert filters.parse("", NOW) == Filters(Period(date(2026, 11, 1), date(2026, 12, 1)))


@pytest.mark.parametrize(
    "search",
    [
        "month=2026-13",
        "month=november",
        "from=2026-11-14&to=2026-11-01",
        "from=1999-12-31&to=2000-01-02",
        "from=x",
        "month=2026-1",
    ],
)
def test_a_period_that_is_none_is_said_and_the_current_month_shown(search: str) -> None:
    chosen = filters.parse(search, NOW)
    assert chosen.period == Period.month(NOW.date())
    assert len(chosen.faults) == 1
    assert "November 2026 instead" in chosen.faults[0]


def test_days_are_inclusive_in_the_address_and_half_open_in_the_query() -> None:
    window = filters.parse("from=2026-11-01&to=2026-11-14", NOW).period.window(NOW)
    assert window.since == datetime(2026, 11, 1, tzinfo=UTC)
    assert window.until == datetime(2026, 11, 15, tzinfo=UTC)


def test_too_many_values_are_left_out_and_said() -> None:
    chosen = filters.parse("&".join(f"tenant=t{n:03}" for n in range(60)), NOW)
    assert len(chosen.tenant) == filters.VALUES_MAX
    assert "60 values of tenant" in chosen.faults[0]


def test_a_running_month_is_read_up_to_now_and_compared_with_as_long_a_time() -> None:
    window = Period.month(NOW.date()).window(NOW)
    assert window.until == NOW
    assert window.previous().until - window.previous().since == window.until - window.since


def test_a_whole_month_is_compared_with_the_whole_month_before() -> None:
    window = Period.month(date(2026, 3, 1)).window(NOW)
    assert window_label(window) == "March 2026"
    assert window_label(window.previous()) == "February 2026"


@given(PERIODS | MONTHS, st.integers(-24, 24))
def test_a_step_away_and_back_is_where_one_was(period: Period, steps: int) -> None:
    assert period.shifted(steps).shifted(-steps) == period


def test_months_step_by_month_and_other_periods_by_their_length() -> None:
    assert Period.month(date(2026, 1, 31)).shifted(-1) == Period.month(date(2025, 12, 1))
    assert Period.inclusive(date(2026, 11, 8), date(2026, 11, 14)).shifted(-1).label == "1–7 Nov 2026"


@pytest.mark.parametrize(
    ("first", "last", "label"),
    [
        (date(2026, 11, 3), date(2026, 11, 3), "3 Nov 2026"),
        (date(2026, 11, 1), date(2026, 11, 14), "1–14 Nov 2026"),
        (date(2026, 10, 28), date(2026, 11, 3), "28 Oct – 3 Nov 2026"),
        (date(2025, 12, 30), date(2026, 1, 2), "30 Dec 2025 – 2 Jan 2026"),
    ],
)
def test_days_are_named_as_people_name_them(first: date, last: date, label: str) -> None:
    assert days_label(first, last) == label
