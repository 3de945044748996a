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
from analytics.reconciliation.documents import INVOICE, settle
from analytics.reconciliation.facts import OUTPUT_CEILING_DEFAULT, AttemptGroup
from analytics.reconciliation.grain import DAY, Days
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
    attempts = sql.fetch(client, "recon_attempts", **attempt_params(window))
    return assemble(month, window, fetch_invoiced(client, window), groups_of(attempts), policy)


async def areconcile_month(client: AsyncClient, month: str, *, now: datetime, policy: Policy = FOCUS) -> Reconciliation:
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
    return assemble(month, window, invoiced, groups_of(attempts), policy)


def fetch_invoiced(client: Client, window: Window) -> Invoiced:
    """The month's billed rows, which days they cover, and the names and prices to read them by."""
    span = {"since": window.since, "until": window.until}
    return Invoiced(
        billed=sql.fetch(client, "recon_billed", **span),
        coverage=sql.fetch(client, "recon_coverage", **span),
        snapshots=sql.fetch(client, "recon_snapshots", **span),
        cards=sql.fetch(client, "rate_card_current"),
    )


def attempt_params(window: Window, *, by_owner: bool = False) -> dict[str, object]:
    """The parameters of recon_attempts: the window and a day on either side, over whose edges usage may be billed."""
    return {
        "since": window.since - DAY,
        "until": window.until + DAY,
        "output_ceiling": OUTPUT_CEILING_DEFAULT,
        "by_owner": by_owner,
    }


def groups_of(frame: pl.DataFrame) -> list[AttemptGroup]:
    """The attempts as the core takes them."""
    return [evidence.attempt_group(row) for row in frame.iter_rows(named=True)]


def days_of(window: Window) -> Days:
    """The UTC days of a month's window."""
    return Days(window.since.date(), window.until.date())


def assemble(
    month: str, window: Window, invoiced: Invoiced, groups: Sequence[AttemptGroup], policy: Policy = FOCUS
) -> Reconciliation:
    """The reconciliation from what was fetched. Raises IdentityBroken when totals do not agree."""
    within = days_of(window)
    settled = settle(evidence.documents(invoiced.billed, policy))
    lines = reconcile_lines(
        settled.billed,
        groups,
        rate_cards.book_of(invoiced.cards),
        evidence.snapshots(invoiced.snapshots),
        settled.reported,
        within,
    )
    return summarise(
        month,
        window,
        lines=lines,
        billed=[row for row in settled.billed if row.correction or within.holds(row.day)],
        groups=[group for group in groups if within.holds(group.day)],
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
