"""What stands between a month and its signature, as a list. Pure: the reconciliation and what was inspected in.

not_ended         the month still runs
missing_invoice   an account has metered cost, and no invoice covers a day of it
unexplained       an account's UNEXPLAINED, over and under added up, is above its tolerance
unpriced          attempts with usage that no rate card prices: the total is a floor
pending, parked   spans that were acknowledged and are not in the store
audit_failed      facts, rollups, ledger or the audit trail contradict each other
audit_unknown     one of them could not be asked
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from analytics.periods.machine import Blocker, Kind
from analytics.reconciliation.summary import Reconciliation
from gateway.domain.money import plain


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What was found out about a month's spans on their way, and about the books."""

    pending: int = 0
    """Spans that a collector acknowledged and that are on their way for too long."""
    parked: int = 0
    faults: tuple[str, ...] = ()
    """What contradicts itself, each in words."""
    unknown: tuple[str, ...] = ()
    """What could not be asked, each in words."""


def blockers(month: Reconciliation, found: Inspection, *, now: datetime) -> tuple[Blocker, ...]:
    """All that is in the way, in the order above; nothing means that the month may be signed."""
    return (*_of_month(month, now), *_of_books(month.month, found))


def _of_month(month: Reconciliation, now: datetime) -> Iterator[Blocker]:
    if now < month.window.until:
        words = f"{month.month} runs until {month.window.until:%Y-%m-%dT%H:%MZ}"
        yield Blocker(Kind.NOT_ENDED, month.month, words)
    for account in month.accounts:
        name = f"{account.provider}/{account.account}"
        if account.status == "no_invoice" and account.metered:
            words = f"{name} has {plain(account.metered)} USD metered and no invoice: `tollway invoices import`"
            yield Blocker(Kind.MISSING_INVOICE, name, words)
        if account.status == "unexplained":
            amount, tolerance = plain(account.unexplained_gross), plain(account.tolerance)
            told = f"{amount} USD of {name} is unexplained, above its tolerance of {tolerance}"
            words = f"{told}: see `tollway period exceptions`"
            yield Blocker(Kind.UNEXPLAINED, name, words)
        if account.unpriced:
            words = f"{account.unpriced} attempts of {name} have no price: add a rate card (`tollway rates`)"
            yield Blocker(Kind.UNPRICED, name, words)


def _of_books(month: str, found: Inspection) -> Sequence[Blocker]:
    blocked = []
    if found.pending:
        words = f"{found.pending} spans are on their way to the store: `tollway doctor` says why"
        blocked.append(Blocker(Kind.PENDING, month, words))
    if found.parked:
        words = f"{found.parked} spans were set aside and are not in the store: land them with `tollway replay-spool`"
        blocked.append(Blocker(Kind.PARKED, month, words))
    blocked += [Blocker(Kind.AUDIT_FAILED, month, f"{words} (`tollway audit`)") for words in found.faults]
    blocked += [Blocker(Kind.AUDIT_UNKNOWN, month, words) for words in found.unknown]
    return blocked
