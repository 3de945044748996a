"""A vendor's documents held against each other: what of them is compared with our attempts, and what is evidence.

    an invoice that bills by the day      compared; the vendor's cost and usage reports are evidence of its tokens
    an invoice of longer periods          its cost report is compared in its place, by the day, and what the invoice
                                          bills beyond the report is a line of its own
    no invoice                            the cost report is compared; the usage report is evidence

So the ledger meets what is to be paid at the finest grain that any document has, and every cent of the invoice is in a
line. Pure.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal

from analytics.reconciliation.facts import USAGE, BilledRow, Reported
from analytics.reconciliation.variance import OTHER, total
from gateway.domain.money import EXACT, plain

USAGE_REPORT, COST_REPORT, INVOICE = "usage", "cost", "invoice"

Payer = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Document:
    """A row, and which of the vendor's documents it is of."""

    kind: str
    """usage | cost | invoice."""
    row: BilledRow


@dataclass(frozen=True, slots=True)
class Settled:
    """What is billed, and what the vendor says it counted."""

    billed: tuple[BilledRow, ...]
    reported: tuple[Reported, ...]


def settle(documents: Iterable[Document]) -> Settled:
    """The rows to compare, whose sum is what is to be paid; the order does not matter."""
    by_payer: dict[Payer, dict[str, list[BilledRow]]] = defaultdict(lambda: defaultdict(list))
    for each in documents:
        by_payer[each.row.provider, each.row.account][each.kind].append(each.row)
    billed: list[BilledRow] = []
    reported: list[Reported] = []
    for kinds in by_payer.values():
        usage, costs, invoice = kinds[USAGE_REPORT], kinds[COST_REPORT], kinds[INVOICE]
        told: Sequence[BilledRow] = usage
        if not invoice:
            billed += costs
        elif any(row.days > 1 and row.category == USAGE for row in invoice):
            billed += _by_day(invoice, costs)
        else:
            billed += invoice
            told = usage or costs
        reported += [_reported(row) for row in told if row.quantity is not None and row.token_class != OTHER]
    return Settled(tuple(billed), tuple(reported))


def _by_day(invoice: Sequence[BilledRow], costs: Sequence[BilledRow]) -> list[BilledRow]:
    """The invoice's rows, those of long periods replaced by the cost report's rows of the same and what is left."""
    left = [row for row in costs if row.category == USAGE]
    found: list[BilledRow] = []
    # A row that names its model takes its own first: one that names none takes what nobody else has.
    for row in sorted(invoice, key=lambda row: (row.model == "", row.import_id, row.row)):
        same = [cost for cost in left if _covers(row, cost)] if row.days > 1 and row.category == USAGE else []
        if not same:
            found.append(row)
            continue
        taken = {id(cost) for cost in same}
        left = [cost for cost in left if id(cost) not in taken]
        found += same
        beyond = EXACT.subtract(row.amount, total(cost.amount for cost in same))
        if beyond:
            found.append(_beyond(row, beyond, same))
    return found


def _covers(row: BilledRow, cost: BilledRow) -> bool:
    within = row.day <= cost.day < row.day + timedelta(days=row.days)
    if not row.model:
        return within
    return within and (row.model, row.token_class) == (cost.model, cost.token_class)


def _beyond(row: BilledRow, amount: Decimal, costs: Sequence[BilledRow]) -> BilledRow:
    told = plain(total(cost.amount for cost in costs))
    reason = f"the invoice bills {plain(row.amount)}, the vendor's own cost report says {told} for the same"
    return replace(row, amount=amount, quantity=None, token_class=OTHER, category="Adjustment", reason=reason, days=1)


def _reported(row: BilledRow) -> Reported:
    return Reported(
        provider=row.provider,
        account=row.account,
        day=row.day,
        model=row.model,
        token_class=row.token_class,
        quantity=row.quantity or 0,
        processing_tier=row.processing_tier,
        region=row.region,
        import_id=row.import_id,
    )
