"""What scheduled work is due. Pure: what was done and the time in, the jobs out.

load the rate cards   once, before all else
audit                 each hour, ten minutes after it closed, when late spans have landed: the last 24 closed hours
reconcile             at start, then each night from 02:00 UTC: yesterday's month, and today's where it is another
"""

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import TypeAlias, assert_never

from analytics.windows import Window

LATE_SPANS = timedelta(minutes=10)
AUDITED = timedelta(hours=24)
NIGHT_HOUR = 2


@dataclass(frozen=True, slots=True)
class LoadCards:
    """Make the store's rate cards those of the configuration."""


@dataclass(frozen=True, slots=True)
class Audit:
    """Look for what landed twice."""

    window: Window


@dataclass(frozen=True, slots=True)
class Reconcile:
    """Reconcile months; `night` is the night this is done for."""

    months: tuple[str, ...]
    night: date


Job: TypeAlias = LoadCards | Audit | Reconcile


@dataclass(frozen=True, slots=True)
class Done:
    """What was done so far; the start is nothing."""

    cards_loaded: bool = False
    audited_until: datetime | None = None
    reconciled_night: date | None = None

    def after(self, job: Job) -> "Done":
        """The same, with that job done."""
        match job:
            case LoadCards():
                return replace(self, cards_loaded=True)
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
    closed = (now - LATE_SPANS).replace(minute=0, second=0, microsecond=0)
    if done.audited_until is None or done.audited_until < closed:
        jobs.append(Audit(Window(closed - AUDITED, closed)))
    night = (now - timedelta(hours=NIGHT_HOUR)).date()
    if done.reconciled_night is None or done.reconciled_night < night:
        months = {f"{now - timedelta(days=1):%Y-%m}", f"{now:%Y-%m}"}
        jobs.append(Reconcile(tuple(sorted(months)), night))
    return tuple(jobs)
