"""Spans of time: half-open, aware, in UTC; months that exist."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from analytics.windows import MonthInvalid, Window, begun_month, month_window
from tests.analytics.recon_builders import instant


@pytest.mark.parametrize(
    ("month", "since", "until"),
    [
        ("2026-11", "2026-11-01", "2026-12-01"),
        ("2026-12", "2026-12-01", "2027-01-01"),
        ("2024-02", "2024-02-01", "2024-03-01"),
    ],
)
def test_a_month_ends_where_the_next_begins(month, since, until):
    assert month_window(month) == Window(instant(since), instant(until))


@pytest.mark.parametrize(
    "text", ["", "2026", "2026-13", "2026-00", "2026-1", "11-2026", "2026-11-01", "1999-12", "２０２６-11"]
)
def test_what_is_no_month_is_refused(text):
    with pytest.raises(MonthInvalid):
        month_window(text)


def test_a_month_may_be_asked_for_from_its_first_instant():
    assert begun_month("2026-11", now=instant("2026-11-01")) == month_window("2026-11")
    with pytest.raises(MonthInvalid, match="has not begun"):
        begun_month("2026-11", now=instant("2026-11-01") - timedelta(microseconds=1))


def test_the_window_before_a_month_is_the_month_before():
    assert month_window("2026-03").previous() == month_window("2026-02")
    assert month_window("2026-01").previous() == month_window("2025-12")


def test_the_window_before_another_is_as_long():
    week = Window(instant("2026-11-10"), instant("2026-11-17"))
    assert week.previous() == Window(instant("2026-11-03"), instant("2026-11-10"))


@pytest.mark.parametrize(
    ("since", "until", "before"),
    [
        ("2026-10-20T14:40", "2026-11-20T14:40", "2026-09-19T14:40"),  # 31 days: to the minute.
        ("2026-10-20", "2026-11-20T11:00", "2026-09-19"),  # Longer: the midnight nearest to 13:00 on the 18th,
        ("2026-10-20", "2026-11-20T13:00", "2026-09-18"),  # and to 11:00.
    ],
)
def test_the_window_before_a_long_one_begins_at_a_midnight(since, until, before):
    assert Window(instant(since), instant(until)).previous() == Window(instant(before), instant(since))


def test_a_window_is_kept_in_utc():
    east = timezone(timedelta(hours=9))
    window = Window(datetime(2026, 11, 1, 9, tzinfo=east), datetime(2026, 11, 2, 9, tzinfo=east))
    assert (window.since, window.since.tzinfo) == (instant("2026-11-01"), UTC)
