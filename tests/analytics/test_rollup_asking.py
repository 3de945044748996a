"""Which partitions of the facts are read for some minutes: bounded, and never too few."""

from datetime import date, datetime

import pytest

from analytics.rollups.asking import EVER, received_within
from analytics.rollups.sources import Reach, Slice
from tests.analytics.recon_builders import instant

REACH = Reach(
    hours_since=instant("2026-10-01"),
    hours_until=instant("2026-11-20T14:00"),
    days_until=instant("2026-11-20"),
    totals_until=instant("2026-11-20"),
    months_until=instant("2026-11-01"),
)
PLAIN = {date(2026, 11, day): (date(2026, 11, day), date(2026, 11, day + 1)) for day in range(1, 20)}


@pytest.mark.parametrize(
    ("since", "until", "received", "found_since", "found_until"),
    [
        # The hour that is open: a clock may be a day ahead, and a look at a response began a day before.
        ("2026-11-20T14:00", "2026-11-20T14:20", {}, "2026-11-18T14:00", None),
        # Of closed days it is known.
        ("2026-11-03T10:01", "2026-11-03T10:20", PLAIN, "2026-11-01T10:01", "2026-11-06T00:00"),
        ("2026-11-03T10:01", "2026-11-03T10:20", PLAIN | {date(2026, 11, 3): (date(2026, 3, 1), date(2026, 11, 15))},
         "2026-03-01T00:00", "2026-11-16T00:00"),
        # What was told of it may have begun the day before or after.
        ("2026-11-03T10:01", "2026-11-03T10:20", PLAIN | {date(2026, 11, 4): (date(2026, 11, 4), date(2026, 11, 9))},
         "2026-11-01T10:01", "2026-11-10T00:00"),
        # The day after is not closed.
        ("2026-11-19T14:20", "2026-11-19T15:00", PLAIN, "2026-11-17T14:20", None),
        # Cells of an older version do not say.
        ("2026-11-03T10:01", "2026-11-03T10:20", {date(2026, 11, 3): (date(1970, 1, 1), date(2149, 6, 6))},
         "1970-01-01T00:00", "2149-06-07T00:00"),
    ],
)  # fmt: skip
def test_facts_are_looked_for_where_the_rollups_know_them_to_be(since, until, received, found_since, found_until):
    found = received_within(Slice(None, instant(since), instant(until)), REACH, received)
    assert found == (instant(found_since), instant(found_until) if found_until else EVER[1])


@pytest.mark.parametrize(
    ("since", "until", "reach"),
    [
        (instant("2026-11-03"), instant("2026-11-04"), Reach()),  # Nothing is rolled up, so nothing is known.
        (instant("1969-12-31"), instant("2000-01-01"), REACH),  # A clock that was never set is in no rollup.
        (instant("2026-11-20T14:00"), instant("2026-11-22T14:01"), REACH),  # The worker stands, or the future is meant.
    ],
)
def test_where_nothing_is_known_every_partition_is_read(since: datetime, until: datetime, reach: Reach):
    assert received_within(Slice(None, since, until), reach, PLAIN) == EVER
