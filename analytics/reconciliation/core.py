"""The core: billed rows and attempts in, lines out. Pure. The rules of price are in `price`, those of tokens in `gap`.

    variance = invoiced - metered
             = (invoiced - exact cost of what was billed)     rounding, rate or unexplained: price.py
             + (tokens billed - tokens metered) x card price  by attempts as evidence: gap.py

Both halves are found on their own, and a Line refuses parts that do not sum to its variance.
"""

from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal

from analytics.reconciliation import names
from analytics.reconciliation.facts import AttemptGroup, BilledRow, Snapshot
from analytics.reconciliation.gap import evidence_of, split_gap, tokens_of
from analytics.reconciliation.price import Charge, last_place, split_charges
from analytics.reconciliation.sides import Cell, PriceList, Side, check_cost, sides_of
from analytics.reconciliation.variance import OTHER, Evidence, Line, Part, VarianceClass, total
from gateway.domain.money import EXACT
from gateway.domain.rate_card import RateBook


def reconcile_lines(
    billed: Iterable[BilledRow], attempts: Iterable[AttemptGroup], book: RateBook, snapshots: Iterable[Snapshot] = ()
) -> tuple[Line, ...]:
    """One line per account, model, token class and UTC day that was billed or metered, sorted by Line.key.

    The order of the inputs does not matter. Raises IdentityBroken when parts do not sum to a variance, or when the
    store's own cost of a group is not its tokens times its card; CardMissing for a group rated by an unknown card.
    """
    rows, groups = list(billed), [group for group in attempts if group.sent]
    known = names.resolve(rows, groups, snapshots, book)
    prices = PriceList(book)
    rows_of: dict[Cell, list[BilledRow]] = defaultdict(list)
    groups_of: dict[Cell, list[AttemptGroup]] = defaultdict(list)
    for row in rows:
        rows_of[row.provider, row.account, row.day, known.of(row.provider, row.account, row.model)].append(row)
    for group in groups:
        check_cost(group, prices.by_id)
        model = known.of(group.provider, group.account, group.model)
        groups_of[group.provider, group.account, group.day, model].append(group)
    lines: list[Line] = []
    for cell in rows_of.keys() | groups_of.keys():
        sides = sides_of(cell, rows_of.get(cell, []), groups_of.get(cell, []), prices)
        lines += [_line(side) for side in sides]
    return tuple(sorted(lines, key=lambda line: line.key))


def _line(side: Side) -> Line:
    provider, account, day, model = side.cell
    return Line(
        provider=provider,
        account=account,
        day=day,
        model=model,
        invoice_models=tuple(sorted({row.model for row in side.rows})),
        token_class=side.token_class.value if side.token_class else OTHER,
        models=tuple(sorted({group.model for group in side.groups})),
        classes=side.classes,
        billed_rows=len(side.rows),
        billed_quantity=side.quantity,
        metered_quantity=side.metered_quantity,
        invoiced=side.invoiced,
        metered=side.metered,
        card_id=side.card.card_id if side.card else "",
        unit_price=side.unit_price,
        scale=max((row.scale for row in side.rows), default=None),
        import_ids=tuple(sorted({row.import_id for row in side.rows})),
        parts=tuple(part for part in _parts(side) if part.amount),
    )


def _parts(side: Side) -> list[Part]:
    variance = EXACT.subtract(side.invoiced, side.metered)
    card_id = side.card.card_id if side.card else ""
    if not side.rows:
        metered = [g for g in side.groups if g.metered and tokens_of(g, side.classes)]
        evidence = evidence_of(metered, side.classes, card_id=card_id, note="no billed row")
        return [Part(VarianceClass.UNBILLED_USAGE, variance, evidence, -side.metered_quantity)]
    if not side.groups:
        note = "; ".join(["no attempt of this account and model that day", *_reasons(side)])
        return [Part(VarianceClass.UNTRACKED_CHARGE, variance, Evidence(note), side.quantity)]
    if side.card is None or side.token_class is None or side.unit_price is None:
        note = "; ".join(_reasons(side)) or f"no card prices {side.token_class or OTHER} of {side.cell[3]}"
        return [Part(VarianceClass.UNEXPLAINED, variance, evidence_of(side.groups, side.classes, note=note))]
    if side.quantity is None:
        return [_unquantified(side, variance)]
    charges = _charges(side, side.unit_price)
    parts = split_charges(charges, side.token_class, card=side.card, others=side.others)
    gap = side.quantity - side.metered_quantity
    return parts + split_gap(gap, side.groups, side.classes, unit_price=side.unit_price, card_id=card_id)


def _reasons(side: Side) -> list[str]:
    return sorted({row.reason for row in side.rows if row.reason})


def _unquantified(side: Side, variance: Decimal) -> Part:
    """An amount without a quantity can be compared with the metered cost and no further."""
    tolerance = sum((last_place(row.scale) for row in side.rows), Decimal(0))
    close = variance.copy_abs() <= tolerance
    note = "the invoice gives no quantity"
    evidence = evidence_of(side.groups, side.classes, card_id=side.card.card_id if side.card else "", note=note)
    return Part(VarianceClass.ROUNDING if close else VarianceClass.UNEXPLAINED, variance, evidence)


def _charges(side: Side, unit_price: Decimal) -> list[Charge]:
    """Each billed row on its own; pooled into one where the day was metered at more prices than the line's.

    A day with two prices (a card that changed at noon, reasoning tokens priced apart) can only be compared as a whole:
    its exact cost is what was metered, at the prices it was metered at, and the line's price for the rest.
    """
    charges = [
        Charge(row.quantity, row.amount, EXACT.multiply(unit_price, Decimal(row.quantity)), row.scale)
        for row in side.rows
        if row.quantity is not None
    ]
    drift = EXACT.subtract(side.metered, EXACT.multiply(unit_price, Decimal(side.metered_quantity)))
    if not drift:
        return charges
    pooled = Charge(
        quantity=sum(charge.quantity for charge in charges),
        amount=total(charge.amount for charge in charges),
        exact=EXACT.add(total(charge.exact for charge in charges), drift),
        scale=min(charge.scale for charge in charges),
        rows=len(charges),
    )
    return [pooled]
