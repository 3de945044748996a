"""The core: billed rows and attempts in, lines out. Pure.

    variance = invoiced - metered
             = what the invoice itself explains               charges.py
             + (invoiced - exact cost of what was billed)     rounding, tier, rate or unexplained: price.py
             + (tokens billed - tokens metered) x card price  a neighbour's counterpart: shifts.py; attempts: gap.py

The parts are found on their own, and a Line refuses parts that do not sum to its variance.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal

from analytics.reconciliation import names
from analytics.reconciliation.charges import references
from analytics.reconciliation.facts import AttemptGroup, BilledRow, Reported, Snapshot
from analytics.reconciliation.gap import Gap, evidence_of, possible, split_gap, tokens_of
from analytics.reconciliation.grain import Cell, Days, Grain
from analytics.reconciliation.price import Charge, last_place, split_charges
from analytics.reconciliation.shifts import Claim, Shifts, match
from analytics.reconciliation.sides import PriceList, Side, check_cost, sides_of
from analytics.reconciliation.variance import OTHER, Counterpart, Evidence, Line, Part, VarianceClass, total
from gateway.domain.money import EXACT
from gateway.domain.rate_card import RateBook
from gateway.domain.usage import TokenClass

_CACHE = (TokenClass.CACHE_READ, TokenClass.CACHE_WRITE_5M, TokenClass.CACHE_WRITE_1H)


def reconcile_lines(
    billed: Iterable[BilledRow],
    attempts: Iterable[AttemptGroup],
    book: RateBook,
    snapshots: Iterable[Snapshot] = (),
    reported: Iterable[Reported] = (),
    within: Days | None = None,
) -> tuple[Line, ...]:
    """One line per account, model, token class, tier, region and UTC day that was billed or metered, in order of key.

    Of days beyond `within` (None = there is no such bound) there is a line only where a row corrects an earlier period:
    what else there is of them shows what moved over its edges.
    The order of the inputs does not matter. Raises IdentityBroken when parts do not sum to a variance, or when the
    store's own cost of a group is not its tokens times its card; CardMissing for a group rated by an unknown card.
    """
    rows, groups = list(billed), [group for group in attempts if group.sent]
    prices = PriceList(book)
    for group in groups:
        check_cost(group, prices.by_id)
    known = names.resolve(
        ((row.provider, row.account, row.model) for row in rows),
        ((group.provider, group.account, group.model) for group in groups),
        snapshots,
        book,
    )
    grain = Grain(known, rows, groups, within)
    return lines_of(rows, groups, reported, grain=grain, prices=prices, within=within)


def lines_of(
    rows: Iterable[BilledRow],
    groups: Iterable[AttemptGroup],
    reported: Iterable[Reported],
    *,
    grain: Grain,
    prices: PriceList,
    within: Days | None = None,
) -> tuple[Line, ...]:
    """The lines of attempts that may be billed, whose cost is checked, at a grain that is known."""
    rows_of: dict[Cell, list[BilledRow]] = defaultdict(list)
    groups_of: dict[Cell, list[AttemptGroup]] = defaultdict(list)
    told_of: dict[Cell, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for row in rows:
        rows_of[grain.of(row)].append(row)
    for group in groups:
        groups_of[grain.of(group)].append(group)
    for told in reported:
        told_of[grain.of(told)][told.token_class] += told.quantity
    cells = {
        cell: sides_of(cell, rows_of.get(cell, []), groups_of.get(cell, []), prices, told_of.get(cell, {}))
        for cell in rows_of.keys() | groups_of.keys()
    }
    shifts = match(side for sides in cells.values() for side in sides)
    lines = []
    for cell, sides in cells.items():
        if within is not None and not within.holds(cell.day):
            corrections = sides_of(cell, [row for row in rows_of.get(cell, []) if row.correction], [], prices)
            lines += [_line(side, corrections, Shifts()) for side in corrections]
        else:
            lines += [_line(side, sides, shifts) for side in sides]
    return tuple(sorted(lines, key=lambda line: line.key))


def _line(side: Side, beside: Sequence[Side], shifts: Shifts) -> Line:
    cell = side.cell
    claim = shifts.claims.get(side.key)
    parts = [part for part in [*side.apart, *_parts(side, claim, beside)] if part.amount]
    doubled = sum(part.tokens or 0 for part in side.apart)
    return Line(
        provider=cell.provider,
        account=cell.account,
        day=cell.day,
        model=cell.model,
        invoice_models=tuple(sorted({row.model for row in side.billed})),
        token_class=side.token_class.value if side.token_class else OTHER,
        sources=side.sources,
        counterparts=_counterparts(side, claim),
        classes=side.classes,
        billed_rows=len(side.billed),
        billed_quantity=None if side.quantity is None else side.quantity + doubled,
        metered_quantity=side.metered_quantity,
        invoiced=total(row.amount for row in side.billed),
        metered=side.metered,
        card_id=side.card.card_id if side.card else "",
        unit_price=side.unit_price,
        scale=max((row.scale for row in side.billed), default=None),
        import_ids=tuple(sorted({row.import_id for row in side.billed})),
        parts=tuple(parts),
        processing_tier=cell.processing_tier,
        region=cell.region,
        days=cell.days,
        ambiguous=_ambiguous(side, claim, shifts, parts),
    )


def _ambiguous(side: Side, claim: Claim | None, shifts: Shifts, parts: Sequence[Part]) -> tuple[VarianceClass, ...]:
    """The classes that have evidence for the same tokens, if they are several."""
    gap = side.gap or 0
    if not gap or not side.groups:
        return ()
    found = set(shifts.candidates.get(side.key, ()))
    if claim is None:
        found |= {part.variance_class for part in parts if part.tokens}
    found |= possible(side.groups, side.classes, gap)
    return tuple(name for name in VarianceClass if name in found) if len(found) > 1 else ()


def _parts(side: Side, claim: Claim | None, beside: Sequence[Side]) -> list[Part]:
    """What the compared rows differ from the metered usage."""
    variance = EXACT.subtract(side.compared, side.metered)
    if claim is not None:
        return _shifted(side, claim, variance)
    card_id = side.card.card_id if side.card else ""
    rows = references(side.rows)
    if not side.rows:
        if not side.metered_quantity:
            return []
        metered = [g for g in side.groups if g.metered and tokens_of(g, side.classes)]
        evidence = evidence_of(metered, side.classes, card_id=card_id, note="no billed row")
        return [Part(VarianceClass.UNBILLED_USAGE, variance, evidence, -side.metered_quantity)]
    if not side.groups:
        note = "; ".join(["no attempt of this account and model that day", *_reasons(side)])
        return [Part(VarianceClass.UNTRACKED_CHARGE, variance, Evidence(note, rows=rows), side.quantity)]
    if side.card is None or side.token_class is None or side.unit_price is None:
        note = "; ".join(_reasons(side)) or f"no card prices {side.token_class or OTHER} of {side.cell.model}"
        evidence = replace(evidence_of(side.groups, side.classes, note=note), rows=rows)
        return [Part(VarianceClass.UNEXPLAINED, variance, evidence)]
    if side.quantity is None:
        return [_unquantified(side, variance)]
    gap = Gap(
        tokens=side.quantity - side.metered_quantity,
        groups=side.groups,
        classes=side.classes,
        unit_price=side.unit_price,
        card_id=card_id,
        within=None if side.reported is None else side.reported - side.metered_quantity,
        twice=_twice(side, beside),
    )
    return [_with_rows(part, rows) for part in [*_prices(side), *split_gap(gap)]]


def _prices(side: Side) -> list[Part]:
    """What the compared rows bill beside what their tokens cost by the card."""
    if side.card is None or side.token_class is None or side.unit_price is None:
        return []
    charges = _charges(side, side.unit_price)
    return split_charges(charges, side.token_class, card=side.card, others=side.others, rated=side.rated)


def _shifted(side: Side, claim: Claim, variance: Decimal) -> list[Part]:
    """The side's gap under the class of the claim, and what its rows differ in price.

    A side without a card is priced as its counterpart.
    """
    priced = side
    if side.unit_price is None and claim.counterparts:
        other = claim.counterparts[0]
        priced = replace(side, card=other.card, others=other.others)
    prices = _prices(priced) if side.rows else []
    evidence = evidence_of(
        [group for group in side.groups if group.metered],
        side.classes,
        card_id=priced.card.card_id if priced.card else "",
        note=_told(claim),
    )
    amount = EXACT.subtract(variance, total(part.amount for part in prices))
    if priced.unit_price is not None and side.rows:
        amount = EXACT.multiply(priced.unit_price, Decimal(side.gap or 0))
    rows = references([*side.rows, *(row for other in claim.counterparts for row in other.rows)])
    return [*prices, Part(claim.variance_class, amount, replace(evidence, rows=rows), side.gap)]


def _counterparts(side: Side, claim: Claim | None) -> tuple[Counterpart, ...]:
    """Whose tokens the side has too many of."""
    if claim is None or (side.gap or 0) < 0:
        return ()
    return tuple(Counterpart(other.sources, other.classes) for other in claim.counterparts)


def _told(claim: Claim) -> str:
    """The counterparts in words."""
    told = []
    for other in claim.counterparts:
        where = [f"{other.cell.day}", other.cell.model, str(other.token_class)]
        where += [piece for piece in (other.cell.processing_tier, other.cell.region) if piece]
        how = "more" if (other.gap or 0) > 0 else "fewer"
        told.append(f"{' '.join(where)} has {abs(other.gap or 0)} tokens {how} than metered")
    return "; ".join(told)


def _twice(side: Side, beside: Sequence[Side]) -> str:
    """What the cell bills exactly as many tokens for as this line has too many; "" where nothing."""
    gap = side.gap or 0
    if gap <= 0:
        return ""
    if gap == side.metered_quantity:
        return f"the {side.metered_quantity} metered tokens are billed twice"
    if side.token_class is TokenClass.INPUT_UNCACHED:
        cached = [each for each in beside if each.token_class in _CACHE and each.rows and each.gap == 0]
        for each in cached:
            if each.metered_quantity == gap:
                return f"cached input is charged twice: {gap} tokens are billed as {each.token_class} and as input too"
        if len(cached) > 1 and sum(each.metered_quantity for each in cached) == gap:
            return f"cached input is charged twice: {gap} tokens are billed as cached and as input too"
    return ""


def _with_rows(part: Part, rows: tuple[str, ...]) -> Part:
    return replace(part, evidence=replace(part.evidence, rows=rows))


def _reasons(side: Side) -> list[str]:
    return sorted({row.reason for row in side.rows if row.reason})


def _unquantified(side: Side, variance: Decimal) -> Part:
    """An amount without a quantity can be compared with the metered cost and no further."""
    tolerance = sum((last_place(row.scale) for row in side.rows), Decimal(0))
    close = variance.copy_abs() <= tolerance
    note = "the invoice gives no quantity"
    evidence = evidence_of(side.groups, side.classes, card_id=side.card.card_id if side.card else "", note=note)
    evidence = replace(evidence, rows=references(side.rows))
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
        pooled=True,
    )
    return [pooled]
