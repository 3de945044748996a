"""What a page asks for one set of filters, answered as a whole: pages and CSV routes ask the same questions.

Traffic lands while we ask, so two queries may see different books. The parts of an answer are compared, and asked again
when their totals differ: a page never shows a total that is not the sum of its rows.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from analytics.reconciliation import Reconciliation
from analytics.reconciliation.variance import total
from analytics.spend import Choices, Kpis
from analytics.windows import Window
from dashboards.books import Books
from dashboards.filters import Filters
from dashboards.formats import Style

ROUNDS_MAX = 4


@dataclass(frozen=True, slots=True)
class Spend:
    """The Spend page's answer. Frames as analytics.spend gives them; `newest` is when the last span landed."""

    window: Window
    kpis: Kpis
    by_day_depth: pl.DataFrame
    by_alias_tenant: pl.DataFrame
    choices: Choices
    newest: datetime | None

    @property
    def style(self) -> Style:
        """How to write the amounts."""
        return Style.fitting(self.kpis.current.cost_usd)

    @property
    def agrees(self) -> bool:
        """Whether the headline, the days and the rows are of the same books."""
        cost, attempts = self.kpis.current.cost_usd, self.kpis.current.attempts
        frames = (self.by_day_depth, self.by_alias_tenant)
        return all(
            total(frame["cost_usd"].drop_nulls()) == cost and int(frame["attempts"].sum()) == attempts
            for frame in frames
        )


@dataclass(frozen=True, slots=True)
class Month:
    """The Reconciliation page's answer: the whole month, before any filter of provider or account."""

    reconciliation: Reconciliation
    newest: datetime | None


async def spend(books: Books, filters: Filters, now: datetime) -> Spend:
    """The spend of a period. Raises books.Unanswered or access.NoAccess."""
    window = filters.period.window(now)
    for _ in range(ROUNDS_MAX):
        answer = Spend(
            window,
            *await asyncio.gather(
                books.kpis(window, filters),
                books.by_day_depth(window, filters),
                books.by_alias_tenant(window, filters),
                books.choices(window),
                books.newest(),
            ),
        )
        if answer.agrees:
            break
    return answer


async def month(books: Books, filters: Filters, now: datetime) -> Month:
    """The reconciliation of the month in which the period ends. Raises books.Unanswered or access.NoAccess."""
    return Month(*await asyncio.gather(books.month(f"{filters.period.last:%Y-%m}", now), books.newest()))
