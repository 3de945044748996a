"""A window's slices tile it, and each is of the coarsest cells that are whole and reached."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.rollups.sources import EARLIEST, Grain, Reach, Slice, day_of, month_of, slices
from analytics.windows import Window
from tests.analytics.recon_builders import instant

NOW = instant("2026-11-20T14:20")
REACH = Reach(
    hours_since=instant("2026-10-01"),
    hours_until=instant("2026-11-20T14:00"),
    days_until=instant("2026-11-20"),
    totals_until=instant("2026-11-19"),
    months_until=instant("2026-11-01"),
)


def sliced(since: str, until: str, grain: Grain = Grain.MONTH, reach: Reach = REACH) -> list[tuple[str, str, str]]:
    found = slices(Window(instant(since), instant(until)), reach, grain)
    return [
        ((part.cells or "facts").removeprefix("rollup_"), f"{part.since:%m-%dT%H:%M}", f"{part.until:%m-%dT%H:%M}")
        for part in found
    ]


def test_a_long_window_is_months_with_days_hours_and_facts_at_its_edges():
    assert sliced("2026-08-30T22:30", "2026-11-20T14:20") == [
        ("facts", "08-30T22:30", "08-31T00:00"),  # Hours are not kept that long.
        ("days", "08-31T00:00", "09-01T00:00"),
        ("months", "09-01T00:00", "11-01T00:00"),
        ("days", "11-01T00:00", "11-20T00:00"),
        ("hours", "11-20T00:00", "11-20T14:00"),
        ("facts", "11-20T14:00", "11-20T14:20"),
    ]


def test_a_question_of_days_gets_no_months():
    assert sliced("2026-09-01", "2026-11-01", Grain.DAY) == [("days", "09-01T00:00", "11-01T00:00")]


def test_totals_that_are_behind_their_days_are_filled_up_with_hours():
    assert sliced("2026-11-01", "2026-11-20", Grain.TOTAL) == [
        ("totals", "11-01T00:00", "11-19T00:00"),
        ("hours", "11-19T00:00", "11-20T00:00"),
    ]


def test_minutes_are_facts_and_what_was_never_rolled_up_too():
    assert sliced("2026-11-03T10:01", "2026-11-03T10:59") == [("facts", "11-03T10:01", "11-03T10:59")]
    assert sliced("2026-09-01", "2026-11-01", reach=Reach()) == [("facts", "09-01T00:00", "11-01T00:00")]
    assert sliced("1999-12-30", "2000-02-02") == [
        ("facts", "12-30T00:00", "01-01T00:00"),
        ("months", "01-01T00:00", "02-01T00:00"),
        ("days", "02-01T00:00", "02-02T00:00"),
    ]


INSTANTS = st.integers(0, 27 * 366 * 24 * 60).map(lambda minutes: NOW - timedelta(minutes=minutes))
NEAR = st.integers(0, 90 * 24 * 60).map(lambda minutes: NOW - timedelta(minutes=minutes))
ENDS = st.one_of(INSTANTS, NEAR, NEAR.map(day_of), NEAR.map(month_of))
REACHES = st.builds(
    lambda kept, hours, days, totals, months: Reach(
        hours_since=day_of(hours - timedelta(days=kept)) if hours else None,
        hours_until=hours and hours.replace(minute=0, second=0, microsecond=0),
        days_until=days and day_of(days),
        totals_until=totals and day_of(totals),
        months_until=months and month_of(months),
    ),
    st.integers(0, 60), *(st.one_of(st.none(), NEAR) for _ in range(4)),
)  # fmt: skip


@given(ENDS, ENDS, REACHES, st.sampled_from(Grain))
def test_slices_tile_the_window_and_never_leave_their_cells_reach(one, other, reach, grain):
    if one == other:
        return
    window = Window(min(one, other), max(one, other))
    found = slices(window, reach, grain)
    assert [part.until for part in found[:-1]] == [part.since for part in found[1:]]
    assert (found[0].since, found[-1].until) == (window.since, window.until)
    assert all(within(part, reach) for part in found)


def within(part: Slice, reach: Reach) -> bool:
    until = {
        "rollup_hours": reach.hours_until, "rollup_days": reach.days_until, "rollup_totals": reach.totals_until,
        "rollup_months": reach.months_until, None: part.until,
    }[part.cells]  # fmt: skip
    whole = {"rollup_days": day_of, "rollup_totals": day_of, "rollup_months": month_of}.get(part.cells)
    since = reach.hours_since if part.cells == "rollup_hours" else None if part.cells is None else EARLIEST
    return (
        until is not None
        and part.until <= until
        and (since is None or since <= part.since)
        and (whole is None or (whole(part.since), whole(part.until)) == (part.since, part.until))
    )


@pytest.mark.parametrize("grain", Grain)
def test_nothing_of_an_empty_store_is_asked_of_a_rollup(grain):
    assert {part.cells for part in slices(Window(instant("2026-01-01"), NOW), Reach(), grain)} == {None}
