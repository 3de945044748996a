"""What a billed row is by the invoice's own words, and what is left of it to be compared with attempts.

    Tax                        TAX
    Credit, Refund             CREDIT
    Fee                        FEE
    Purchase                   PURCHASE
    Adjustment                 ROUNDING up to a cent, else UNEXPLAINED: it does not say of what
    any, of an earlier period  PRIOR_PERIOD_CORRECTION
    Usage                      compared; what converting its price into another currency made is FX

The same row twice is a DUPLICATE, if our attempts do not account for the second one: every field that tells rows apart
is the same, and as many tokens are billed beyond what was metered.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal

from analytics.reconciliation.facts import USAGE, BilledRow
from analytics.reconciliation.variance import Evidence, Part, VarianceClass, total
from gateway.domain.money import EXACT, plain

ROWS_NAMED_MAX = 5
CENT = Decimal("0.01")

CATEGORIES = {
    "Tax": VarianceClass.TAX,
    "Credit": VarianceClass.CREDIT,
    "Refund": VarianceClass.CREDIT,
    "Fee": VarianceClass.FEE,
    "Purchase": VarianceClass.PURCHASE,
}


def named(row: BilledRow) -> VarianceClass | None:
    """The class that the invoice itself puts the row in; None = usage, to be compared."""
    if row.category in CATEGORIES:
        return CATEGORIES[row.category]
    if row.correction:
        return VarianceClass.PRIOR_PERIOD_CORRECTION
    if row.category == USAGE:
        return None
    return VarianceClass.ROUNDING if row.amount.copy_abs() <= CENT else VarianceClass.UNEXPLAINED


def set_apart(rows: Iterable[BilledRow]) -> tuple[list[BilledRow], list[Part]]:
    """The usage among the rows, at the vendor's own price, and the parts that the invoice itself explains."""
    usage: list[BilledRow] = []
    found: dict[tuple[VarianceClass, str], list[tuple[BilledRow, Decimal]]] = defaultdict(list)
    for row in rows:
        variance_class = named(row)
        if variance_class is not None:
            found[variance_class, _words(row)].append((row, row.amount))
        elif row.priced is not None and row.priced != row.amount:
            gain = EXACT.subtract(row.amount, row.priced)
            found[VarianceClass.FX, f"the vendor's price comes to {plain(row.priced)} USD"].append((row, gain))
            usage.append(replace(row, amount=row.priced))
        else:
            usage.append(row)
    parts = [
        Part(name, total(amount for _, amount in each), Evidence(note, rows=references(row for row, _ in each)))
        for (name, note), each in sorted(found.items())
    ]
    return usage, parts


def without_duplicates(rows: Sequence[BilledRow], metered: int) -> tuple[list[BilledRow], list[Part]]:
    """The rows but for the copies that exceed what was metered, and those copies as a part."""
    if len(rows) < 2 or any(row.quantity is None for row in rows):
        return list(rows), []
    beyond = sum(row.quantity or 0 for row in rows) - metered
    copies: dict[tuple[object, ...], list[BilledRow]] = defaultdict(list)
    for row in rows:
        copies[_identity(row)].append(row)
    doubled: list[BilledRow] = []
    for same in copies.values():
        for copy in same[1:]:
            if copy.quantity and copy.quantity <= beyond:
                doubled.append(copy)
                beyond -= copy.quantity
    if not doubled:
        return list(rows), []
    gone = {id(row) for row in doubled}
    note = "a row that the invoice has already, in every field"
    evidence = Evidence(note, rows=references(doubled))
    amount = total(row.amount for row in doubled)
    part = Part(VarianceClass.DUPLICATE, amount, evidence, sum(row.quantity or 0 for row in doubled))
    return [row for row in rows if id(row) not in gone], [part]


def references(rows: Iterable[BilledRow]) -> tuple[str, ...]:
    """The first few rows, by where they are found."""
    found = sorted((row.import_id, row.row, row.reference) for row in rows)
    return tuple(reference for _, _, reference in found[:ROWS_NAMED_MAX])


def _identity(row: BilledRow) -> tuple[object, ...]:
    """Equal for what cannot be told apart: rows of one request, else of all the same fields."""
    if row.request_id:
        return (row.request_id,)
    return (row.model, row.quantity, row.amount, row.invoice_id, row.processing_tier, row.region, row.identity)


def _words(row: BilledRow) -> str:
    said = "a correction of an earlier period" if row.correction else f"the invoice calls it {row.category}"
    return "; ".join([said, row.reason] if row.reason else [said])
