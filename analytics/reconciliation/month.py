"""A month reconciled from the store: fetch, run the pure core, sum up. The async twin differs in the fetch alone."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl
from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.client import Client

import sql
from analytics import rate_cards
from analytics.reconciliation import evidence
from analytics.reconciliation.core import reconcile_lines
from analytics.reconciliation.facts import OUTPUT_CEILING_DEFAULT, AttemptGroup
from analytics.reconciliation.summary import Coverage, Reconciliation, summarise
from analytics.windows import Window, begun_month


@dataclass(frozen=True, slots=True)
class Invoiced:
    """What the store knows of a month but for the attempts themselves."""

    billed: pl.DataFrame
    coverage: pl.DataFrame
    snapshots: pl.DataFrame
    cards: pl.DataFrame


def reconcile_month(client: Client, month: str, *, now: datetime) -> Reconciliation:
    """Reconcile a UTC month such as "2026-11". Raises MonthInvalid for a month that has not begun at `now`."""
    window = begun_month(month, now=now)
    attempts = sql.fetch(client, "recon_attempts", **attempt_params(window))
    return assemble(month, window, fetch_invoiced(client, window), groups_of(attempts))


async def areconcile_month(client: AsyncClient, month: str, *, now: datetime) -> Reconciliation:
    """As reconcile_month."""
    window = begun_month(month, now=now)
    span = {"since": window.since, "until": window.until}
    attempts = await sql.afetch(client, "recon_attempts", **attempt_params(window))
    invoiced = Invoiced(
        billed=await sql.afetch(client, "recon_billed", **span),
        coverage=await sql.afetch(client, "recon_coverage", **span),
        snapshots=await sql.afetch(client, "recon_snapshots", **span),
        cards=await sql.afetch(client, "rate_card_current"),
    )
    return assemble(month, window, invoiced, groups_of(attempts))


def fetch_invoiced(client: Client, window: Window) -> Invoiced:
    """The month's billed rows, which days they cover, and the names and prices to read them by."""
    span = {"since": window.since, "until": window.until}
    return Invoiced(
        billed=sql.fetch(client, "recon_billed", **span),
        coverage=sql.fetch(client, "recon_coverage", **span),
        snapshots=sql.fetch(client, "recon_snapshots", **span),
        cards=sql.fetch(client, "rate_card_current"),
    )


def attempt_params(window: Window) -> dict[str, object]:
    """The parameters of recon_attempts and recon_owners."""
    return {"since": window.since, "until": window.until, "output_ceiling": OUTPUT_CEILING_DEFAULT}


def groups_of(frame: pl.DataFrame) -> list[AttemptGroup]:
    """The attempts as the core takes them."""
    return [evidence.attempt_group(row) for row in frame.iter_rows(named=True)]


def assemble(month: str, window: Window, invoiced: Invoiced, groups: Sequence[AttemptGroup]) -> Reconciliation:
    """The reconciliation from what was fetched. Raises IdentityBroken when totals do not agree."""
    billed = evidence.billed_rows(invoiced.billed)
    lines = reconcile_lines(billed, groups, rate_cards.book_of(invoiced.cards), evidence.snapshots(invoiced.snapshots))
    return summarise(
        month, window, lines=lines, billed=billed, groups=groups, coverage=_coverage(invoiced.coverage.iter_rows())
    )


def _coverage(rows: Iterable[tuple[object, ...]]) -> list[Coverage]:
    return [
        Coverage(str(provider), str(account), str(import_id), str(currency), int(str(days)))
        for provider, account, import_id, currency, days in rows
    ]
