"""A month reconciled from the store: fetch, run the pure core, sum up. The async twin differs in the fetch alone."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import polars as pl
from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.client import Client

import sql
from analytics import rate_cards
from analytics.reconciliation import evidence, ledger
from analytics.reconciliation.documents import INVOICE
from analytics.reconciliation.frames import reconcile_frames
from analytics.reconciliation.grain import Days
from analytics.reconciliation.policy import FOCUS, Policy
from analytics.reconciliation.summary import Coverage, Reconciliation, summarise
from analytics.windows import Window, begun_month


@dataclass(frozen=True, slots=True)
class Invoiced:
    """What the store knows of a month but for the attempts themselves."""

    billed: pl.DataFrame
    coverage: pl.DataFrame
    snapshots: pl.DataFrame
    cards: pl.DataFrame


def reconcile_month(client: Client, month: str, *, now: datetime, policy: Policy = FOCUS) -> Reconciliation:
    """Reconcile a UTC month such as "2026-11". Raises MonthInvalid for a month that has not begun at `now`."""
    window = begun_month(month, now=now)
    invoiced = fetch_invoiced(client, window)
    attempts = ledger.fetch(client, window, rate_cards.book_of(invoiced.cards))
    return assemble(month, window, invoiced, attempts, policy)


async def areconcile_month(client: AsyncClient, month: str, *, now: datetime, policy: Policy = FOCUS) -> Reconciliation:
    """As reconcile_month."""
    window = begun_month(month, now=now)
    span = {"since": window.since, "until": window.until}
    invoiced = Invoiced(
        billed=await sql.afetch(client, "recon_billed", **span),
        coverage=await sql.afetch(client, "recon_coverage", **span),
        snapshots=await sql.afetch(client, "recon_snapshots", **span),
        cards=await sql.afetch(client, "rate_card_current"),
    )
    attempts = await ledger.afetch(client, window, rate_cards.book_of(invoiced.cards))
    return assemble(month, window, invoiced, attempts, policy)


def fetch_invoiced(client: Client, window: Window) -> Invoiced:
    """The month's billed rows, which days they cover, and the names and prices to read them by."""
    span = {"since": window.since, "until": window.until}
    return Invoiced(
        billed=sql.fetch(client, "recon_billed", **span),
        coverage=sql.fetch(client, "recon_coverage", **span),
        snapshots=sql.fetch(client, "recon_snapshots", **span),
        cards=sql.fetch(client, "rate_card_current"),
    )


def days_of(window: Window) -> Days:
    """The UTC days of a month's window."""
    return Days(window.since.date(), window.until.date())


def assemble(
    month: str, window: Window, invoiced: Invoiced, attempts: pl.DataFrame, policy: Policy = FOCUS
) -> Reconciliation:
    """The reconciliation from what was fetched. Raises IdentityBroken when totals do not agree."""
    matched = reconcile_frames(
        invoiced.billed,
        attempts,
        rate_cards.book_of(invoiced.cards),
        evidence.snapshots(invoiced.snapshots),
        policy=policy,
        within=days_of(window),
    )
    return summarise(
        month,
        window,
        lines=matched.lines,
        ledger=matched.ledger,
        coverage=_coverage(invoiced.coverage.iter_rows()),
        policy=policy,
    )


def _coverage(rows: Iterable[tuple[object, ...]]) -> list[Coverage]:
    """What the invoices cover, and the cost reports of accounts without one."""
    found = [
        (str(document), Coverage(str(provider), str(account), str(import_id), str(currency), int(str(days))))
        for provider, account, document, import_id, currency, days in rows
    ]
    invoiced = {(each.provider, each.account) for document, each in found if document == INVOICE}
    return [each for document, each in found if document == INVOICE or (each.provider, each.account) not in invoiced]
