"""What is due when: cards first, an audit after each hour, a reconciliation each night and at the start."""

from dataclasses import replace
from datetime import date, datetime, timedelta

import pytest

from analytics.schedule import Audit, Done, Job, LoadCards, Reconcile, RollUp, due
from analytics.windows import Window
from tests.analytics.recon_builders import instant


def audit(until: str) -> Audit:
    return Audit(Window(instant(until) - timedelta(hours=24), instant(until)))


def others(done: Done, now: datetime) -> tuple[Job, ...]:
    return tuple(job for job in due(done, now) if not isinstance(job, RollUp))


def finished(audited: str, night: date) -> Done:
    return Done(cards_loaded=True, audited_until=instant(audited), reconciled_night=night)


LOADED = Done(cards_loaded=True)
ALL = finished("2026-11-20T09:00", date(2026, 11, 20))


@pytest.mark.parametrize(
    ("done", "now", "jobs"),
    [
        (Done(), "2026-11-20T09:30", (LoadCards(),)),
        (LOADED, "2026-11-20T09:30", (audit("2026-11-20T09:00"), Reconcile(("2026-11",), date(2026, 11, 20)))),
        (ALL, "2026-11-20T09:59", ()),
        (ALL, "2026-11-20T10:09:59", ()),  # Late spans may still land.
        (ALL, "2026-11-20T10:10", (audit("2026-11-20T10:00"),)),
        (ALL, "2026-11-20T15:10", (audit("2026-11-20T15:00"),)),  # After a long pause, once.
        (finished("2026-11-21T02:00", date(2026, 11, 20)), "2026-11-21T01:59", ()),
        (
            finished("2026-11-21T02:00", date(2026, 11, 20)),
            "2026-11-21T02:00",
            (Reconcile(("2026-11",), date(2026, 11, 21)),),
        ),
        (
            finished("2026-12-01T02:00", date(2026, 11, 30)),
            "2026-12-01T02:00",
            (Reconcile(("2026-11", "2026-12"), date(2026, 12, 1)),),
        ),
    ],
)
def test_what_is_due(done, now, jobs):
    assert others(done, instant(now)) == jobs


def test_what_was_done_is_not_due_again():
    now, done = instant("2026-11-20T09:30"), Done()
    for _ in range(3):
        for job in due(done, now):
            done = done.after(job)
    assert due(done, now) == ()
    assert done == replace(ALL, rolled_up=now, rolled_up_whole=now)


def test_a_week_of_turns_audits_each_hour_once_and_reconciles_each_night_once():
    now, done, seen = instant("2026-11-20T09:30"), LOADED, []
    for _ in range(7 * 24 * 12):
        for job in others(done, now):
            done = done.after(job)
            seen.append(job)
        now += timedelta(minutes=5)
    assert [job.window.until for job in seen if isinstance(job, Audit)] == [
        instant("2026-11-20T09:00") + timedelta(hours=i) for i in range(7 * 24 + 1)
    ]
    assert len([job for job in seen if isinstance(job, Reconcile)]) == 8


@pytest.mark.parametrize(
    ("rolled_up", "whole", "now", "jobs"),
    [
        (None, None, "2026-11-20T09:30:00", [True]),
        ("2026-11-20T09:30:00", "2026-11-20T09:10:00", "2026-11-20T09:30:59", []),
        ("2026-11-20T09:30:00", "2026-11-20T09:10:00", "2026-11-20T09:31:00", [False]),
        ("2026-11-20T10:09:50", "2026-11-20T09:10:00", "2026-11-20T10:10:00", [True]),  # An hour has closed.
    ],
)
def test_rollups_look_at_the_last_days_each_minute_and_at_all_each_hour(rolled_up, whole, now, jobs):
    done = Done(
        cards_loaded=True,
        rolled_up=rolled_up and instant(rolled_up),
        rolled_up_whole=whole and instant(whole),
    )
    assert [job.whole for job in due(done, instant(now)) if isinstance(job, RollUp)] == jobs
