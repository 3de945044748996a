"""Amounts billed against amounts expected: rounding, another tier, another rate, or none of them.

expected = exact cost, rounded at the file's last decimal place
ROUNDING = expected - exact, and the residual billed - expected when that is at most one unit of the last place
any other residual is TIER_MIX if the model's card of another processing tier, region, deployment, modality or prompt
length reproduces the billed amount, RATE if another card row of the model does, else UNEXPLAINED

One unit excuses another way to break a tie, so over many rows such residuals cancel; where they lean one way, beyond
the square root of the rows, they are no rounding and stay UNEXPLAINED. An overcharge and an undercharge are two parts:
they never cancel.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal

from analytics.reconciliation.variance import Evidence, Part, VarianceClass
from gateway.domain.money import EXACT, plain
from gateway.domain.rate_card import RateCard
from gateway.domain.usage import TokenClass

_ROUNDING = Context(prec=76, rounding=ROUND_HALF_EVEN)


@dataclass(frozen=True, slots=True)
class Charge:
    """An amount billed for a quantity, beside what it costs exactly at the prices in force."""

    quantity: int
    amount: Decimal
    exact: Decimal
    scale: int
    rows: int = 1
    """How many rows of the file the amount sums: each may have been rounded."""
    pooled: bool = False
    """Metered at several prices, so that each of them is another than what was expected."""

    @property
    def tolerance(self) -> Decimal:
        """One unit of the last place for each row."""
        return self.rows * last_place(self.scale)


def last_place(scale: int) -> Decimal:
    """One unit of the last decimal place: 0.000001 at scale 6."""
    return Decimal(1).scaleb(-scale, _ROUNDING)


def rounded(exact: Decimal, scale: int) -> Decimal:
    """The amount at that many decimal places, halves to the even digit. Another way to break a tie is one unit off."""
    return exact.quantize(last_place(scale), context=_ROUNDING)


def split_charges(
    charges: Iterable[Charge],
    token_class: TokenClass,
    *,
    card: RateCard,
    others: Sequence[RateCard],
    rated: Sequence[RateCard] = (),
) -> list[Part]:
    """What the charges differ from their exact cost, as parts that sum to it.

    `others` are tried in their order; `rated` are the cards that metered what is billed, where it is not `card` alone.
    """
    metering = rated or (card,)
    rounding = leaning = over = under = allowed = Decimal(0)
    rows = 0
    rates: dict[str, Decimal] = {}
    by_id = {other.card_id: other for other in (card, *others)}
    for charge in charges:
        expected = rounded(charge.exact, charge.scale)
        residual = EXACT.subtract(charge.amount, expected)
        rounding = EXACT.add(rounding, EXACT.subtract(expected, charge.exact))
        if residual.copy_abs() <= charge.tolerance:
            leaning, rows = EXACT.add(leaning, residual), rows + 1
            allowed = max(allowed, charge.tolerance)
        elif (other := _reproducing(charge, token_class, card, others, metering)) is not None:
            rates[other.card_id] = EXACT.add(rates.get(other.card_id, Decimal(0)), residual)
        elif residual > 0:
            over = EXACT.add(over, residual)
        else:
            under = EXACT.add(under, residual)
    rounding = EXACT.add(rounding, leaning)
    if leaning.copy_abs() > allowed * math.ceil(math.sqrt(rows)):
        rounding = EXACT.subtract(rounding, leaning)
        over, under = (EXACT.add(over, leaning), under) if leaning > 0 else (over, EXACT.add(under, leaning))
    parts = [
        Part(_mixed(by_id[card_id], metering), amount, _rate_evidence(by_id[card_id], card, token_class))
        for card_id, amount in sorted(rates.items())
    ]
    for amount, how in ((over, "more"), (under, "less")):
        note = f"billed at {how} than any card row of this model gives"
        parts.append(Part(VarianceClass.UNEXPLAINED, amount, Evidence(note, card.card_id)))
    if rounding:
        parts.append(Part(VarianceClass.ROUNDING, rounding, Evidence(card_id=card.card_id)))
    return [part for part in parts if part.amount]


def _reproducing(
    charge: Charge,
    token_class: TokenClass,
    card: RateCard,
    others: Sequence[RateCard],
    metering: Sequence[RateCard],
) -> RateCard | None:
    """The card row whose price gives the billed amount best, to one unit a row; of equals another tier's, then the
    first."""
    best: tuple[tuple[Decimal, bool], RateCard] | None = None
    for other in (card, *others) if charge.pooled else others:
        unit = other.unit_price(token_class)
        if unit is None or (unit == card.unit_price(token_class) and not charge.pooled):
            continue
        billed = rounded(EXACT.multiply(unit, Decimal(charge.quantity)), charge.scale)
        miss = EXACT.subtract(charge.amount, billed).copy_abs()
        fit = (miss, _mixed(other, metering) is not VarianceClass.TIER_MIX)
        if miss <= charge.tolerance and (best is None or fit < best[0]):
            best = (fit, other)
    return None if best is None else best[1]


def _mixed(other: RateCard, metering: Iterable[RateCard]) -> VarianceClass:
    """What it is to be billed by that card row: the price of other conditions, or another price of the same ones."""
    alike = all(_conditions(other) == _conditions(card) for card in metering)
    return VarianceClass.RATE if alike else VarianceClass.TIER_MIX


def _conditions(card: RateCard) -> tuple[object, ...]:
    """What a vendor prices a model apart by."""
    return (card.processing_tier, card.region, card.deployment, card.modality, card.prompt_from)


def _rate_evidence(other: RateCard, card: RateCard, token_class: TokenClass) -> Evidence:
    billed, ours = other.unit_price(token_class), card.unit_price(token_class)
    per_token = f"{plain(billed or Decimal(0))} per token, not {plain(ours or Decimal(0))} as {card.card_id} says"
    return Evidence(f"billed at {per_token}", other.card_id)
