"""Money is a Decimal with a currency. No float enters here, and no cent is lost when a sum is shared out."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Context, Decimal, Inexact, localcontext

EXACT = Context(prec=76, traps=[Inexact])
"""Arithmetic that raises rather than round: 76 digits hold any sum this project can meet (Decimal256's width)."""


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in one currency (ISO 4217 code)."""

    amount: Decimal
    currency: str

    def __post_init__(self) -> None:
        if not isinstance(self.amount, Decimal):
            raise TypeError(f"Money takes a Decimal, not {type(self.amount).__name__}")
        if not self.amount.is_finite():
            raise ValueError(f"Money takes a finite amount, not {self.amount}")

    def __add__(self, other: "Money") -> "Money":
        if self.currency != other.currency:
            raise ValueError(f"cannot add {other.currency} to {self.currency}: convert one of them first")
        return Money(EXACT.add(self.amount, other.amount), self.currency)


def plain(amount: Decimal) -> str:
    """The amount without exponent and without trailing zeros: what JSON and CSV carry ("0", "12.345678")."""
    if amount == 0:
        return "0"
    text = format(amount, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def allocate(total: Decimal, weights: Sequence[Decimal], quantum: Decimal) -> list[Decimal]:
    """Share `total` by `weights` in whole multiples of `quantum`; the parts sum to `total` exactly.

    The largest remainder method: each part is rounded down, and what is left goes, a quantum each, to the parts that
    lost most. What `total` has below one quantum goes to the first part of the largest weight. Equal shares when all
    weights are zero. Raises ValueError for no weights with a non-zero total, or a negative weight.
    """
    if not weights:
        if total == 0:
            return []
        raise ValueError(f"nothing to allocate {total} to")
    if any(weight < 0 for weight in weights):
        raise ValueError("a weight is negative")
    if total < 0:
        return [part.copy_negate() for part in allocate(total.copy_negate(), weights, quantum)]
    with localcontext(prec=76):
        whole = sum(weights, Decimal(0))
        shares = list(weights) if whole else [Decimal(1)] * len(weights)
        whole = whole or Decimal(len(weights))
        units = (total / quantum).to_integral_value(ROUND_FLOOR)
        exact = [units * share / whole for share in shares]
        floors = [part.to_integral_value(ROUND_FLOOR) for part in exact]
        left = int(units - sum(floors, Decimal(0)))
        by_loss = sorted(range(len(shares)), key=lambda i: (floors[i] - exact[i], i))
        for i in by_loss[:left]:
            floors[i] += 1
        parts = [part * quantum for part in floors]
        heaviest = max(range(len(shares)), key=lambda i: (shares[i], -i))
        parts[heaviest] += total - units * quantum
        return parts
