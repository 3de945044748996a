"""Spans that come late or whose clock is off: they lie where they were received and count when they claim."""

import uuid
from datetime import datetime, timedelta

import pytest
from clickhouse_connect.driver.client import Client

from analytics import spend
from analytics.rollups import catch_up
from analytics.windows import Window
from sql import landing
from tests.analytics.landed import attempt as attempt_row
from tests.analytics.landed import land as land_rows
from tests.analytics.recon_builders import instant
from tests.sql.otlp import attempt, request, span

pytestmark = pytest.mark.slow

RECEIVED = instant("2026-11-20T13:47")
NOW = instant("2026-11-20T14:40")
"""The hour from 14:00 is open."""


def land(client: Client, *starts_ns: int, received: datetime = RECEIVED) -> str:
    batch = uuid.uuid4().hex
    landing.insert(
        client, request(*(span(attempt(), start=start) for start in starts_ns)), batch_id=batch, sender="gateway",
        tenant="", received_at_ms=int(received.timestamp() * 1000), token=batch, query_id=batch,
    )  # fmt: skip
    return batch


def ns(at: str) -> int:
    return int(instant(at).timestamp()) * 10**9


def cells(client: Client, rollup: str, at: str) -> int:
    found = client.query(f"SELECT sum(attempts) FROM tollway.{rollup} WHERE at = '{at}'")  # noqa: S608
    return int(found.result_rows[0][0])


def test_a_span_of_any_day_lies_in_the_partition_of_the_day_it_was_received(writer, reader):
    """A clock may say anything: no day that it makes up opens a partition, and both times are kept."""
    garbage = [ns(f"{year}-0{1 + year % 9}-11T05:00") for year in range(1971, 2261, 7)]
    batch = land(writer, 0, *garbage, 2**63, 2**64 - 2 * 10**9, ns("2026-11-20T13:46"))
    ((spans, places, received, moments),) = reader.query(
        "SELECT count(), groupUniqArray(_partition_id), groupUniqArray(toString(received_at)), uniqExact(started_at) "
        "FROM tollway.spans WHERE batch_id = {batch:String}", parameters={"batch": batch},
    ).result_rows  # fmt: skip
    assert (spans, moments) == (len(garbage) + 4, len(garbage) + 4)
    assert (places, received) == (["20261120"], ["2026-11-20 13:47:00.000"])
    catch_up(writer, now=NOW)
    assert not catch_up(writer, now=NOW), "what is never rolled up is not stale for ever"
    ((hours, first, last),) = reader.query(
        "SELECT uniqExact(toDate(at)), min(at), max(at) FROM tollway.rollup_hours"
    ).result_rows
    assert (hours, first, last) == (
        1,
        instant("2026-11-20T13:00").replace(tzinfo=None),
        instant("2026-11-20T13:00").replace(tzinfo=None),
    )
    ((future,),) = reader.query("SELECT count() FROM tollway.rollup_days WHERE at > '2026-11-20'").result_rows
    assert future == 0


def test_a_span_that_comes_late_is_in_the_hour_and_the_day_in_which_it_began(writer, reader):
    land(writer, ns("2026-11-20T13:05"), ns("2026-06-15T09:00"))
    catch_up(writer, now=NOW)
    land(writer, ns("2026-11-20T12:10"), received=instant("2026-11-20T14:35"))
    assert catch_up(writer, now=NOW, whole=False).hours == 1
    assert [cells(writer, "rollup_hours", f"2026-11-20 {hour}:00:00") for hour in (12, 13)] == [1, 1]
    land(writer, ns("2026-06-15T10:20"), received=instant("2026-11-20T14:36"))
    assert cells(writer, "rollup_days", "2026-06-15 00:00:00") == 1
    catch_up(writer, now=NOW)  # The hourly look at every day.
    assert [cells(writer, rollup, "2026-06-15 00:00:00") for rollup in ("rollup_days", "rollup_totals")] == [2, 2]
    assert cells(writer, "rollup_months", "2026-06-01 00:00:00") == 2


def test_minutes_are_the_same_wherever_their_spans_lie(writer, reader):
    """Late ones, and those of clocks that are ahead, lie in partitions of other days."""
    inside, outside = "2026-11-03T10:05", "2026-11-03T10:30"
    for received in (inside, "2026-11-19T11:00", "2026-02-01T00:00"):
        land_rows(writer, attempt_row(inside, received_at=instant(received)), attempt_row(outside))
    now = attempt_row("2026-11-20T14:10")
    ahead = attempt_row("2026-11-20T14:11", received_at=instant("2026-11-19T14:20"))
    land_rows(writer, now, ahead)
    minutes = Window(instant("2026-11-03T10:01"), instant("2026-11-03T10:20"))
    open_hour = Window(instant("2026-11-20T14:00"), NOW)
    from_facts = [spend.by_alias_tenant(reader, window).rows() for window in (minutes, open_hour)]
    assert [rows[0][3] for rows in from_facts] == [3, 2]
    catch_up(writer, now=NOW)
    assert [spend.by_alias_tenant(reader, window).rows() for window in (minutes, open_hour)] == from_facts
    both = Window(minutes.since, NOW)
    assert spend.kpis(reader, both).current.attempts == 8
    assert spend.kpis(reader, Window(NOW - timedelta(days=9), NOW)).current.attempts == 2
