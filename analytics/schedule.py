"""What scheduled work is due. Pure: what was done and the time in, the jobs out.

load the rate cards   once, before all else
roll up               each minute what began since yesterday; all there is at the start and once an hour has closed
audit                 once an hour has closed, ten minutes after its end: the last 24 closed hours
reconcile             at start, then each night from 02:00 UTC: yesterday's month, and today's where it is another
"""

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import TypeAlias, assert_never

from analytics.rollups.plan import closed
from analytics.windows import Window

ROLLED_UP_EVERY = timedelta(minutes=1)
AUDITED = timedelta(hours=24)
NIGHT_HOUR = 2


@dataclass(frozen=True, slots=True)
class LoadCards:
    """Make the store's rate cards those of the configuration."""


@dataclass(frozen=True, slots=True)
class RollUp:
    """Make the rollups what the facts say at `at`: of every day, or of those since yesterday."""

    at: datetime
    whole: bool


@dataclass(frozen=True, slots=True)
class Audit:
    """Look for what landed twice."""

    window: Window


@dataclass(frozen=True, slots=True)
class Reconcile:
    """Reconcile months; `night` is the night this is done for."""

    months: tuple[str, ...]
    night: date


Job: TypeAlias = LoadCards | RollUp | Audit | Reconcile


@dataclass(frozen=True, slots=True)
class Done:
    """What was done so far; the start is nothing."""

    cards_loaded: bool = False
    rolled_up: datetime | None = None
    rolled_up_whole: datetime | None = None
    audited_until: datetime | None = None
    reconciled_night: date | None = None

    def after(self, job: Job) -> "Done":
        """The same, with that job done."""
        match job:
            case LoadCards():
                return replace(self, cards_loaded=True)
            case RollUp(at, whole):
                return replace(self, rolled_up=at, rolled_up_whole=at if whole else self.rolled_up_whole)
            case Audit(window):
                return replace(self, audited_until=window.until)
            case Reconcile(_, night):
                return replace(self, reconciled_night=night)
            case _:
                assert_never(job)


def due(done: Done, now: datetime) -> tuple[Job, ...]:
    """The jobs to do now, in order. Nothing else is due while the cards are not loaded."""
    if not done.cards_loaded:
        return (LoadCards(),)
    jobs: list[Job] = []
    hour = closed(now)
    whole = done.rolled_up_whole is None or closed(done.rolled_up_whole) < hour
    if whole or done.rolled_up is None or now - done.rolled_up >= ROLLED_UP_EVERY:
        jobs.append(RollUp(now, whole))
    if done.audited_until is None or done.audited_until < hour:
        jobs.append(Audit(Window(hour - AUDITED, hour)))
    night = (now - timedelta(hours=NIGHT_HOUR)).date()
    if done.reconciled_night is None or done.reconciled_night < night:
        months = {f"{now - timedelta(days=1):%Y-%m}", f"{now:%Y-%m}"}
        jobs.append(Reconcile(tuple(sorted(months)), night))
    return tuple(jobs)
