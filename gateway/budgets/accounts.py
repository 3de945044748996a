"""What one bound on spend has left: a pure account of settled costs and open reservations, in dollars.

Before a call its worst case is reserved; when the call has ended the reservation is settled with what it cost. So what
was admitted can never cost more than the limit, however many calls are under way at once, unless a vendor bills more
than the worst case. Nothing in an account is ever below zero.
"""

from dataclasses import dataclass, replace
from decimal import Decimal

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Account:
    """Money that may be spent up to `limit_usd`."""

    limit_usd: Decimal
    spent_usd: Decimal = ZERO
    """By calls that have ended."""
    reserved_usd: Decimal = ZERO
    """For calls under way, at their worst."""

    def __post_init__(self) -> None:
        if self.limit_usd < 0 or self.spent_usd < 0 or self.reserved_usd < 0:
            raise ValueError(f"an account has an amount below zero: {self}")

    @property
    def used_usd(self) -> Decimal:
        """Spent and reserved."""
        return self.spent_usd + self.reserved_usd

    @property
    def left_usd(self) -> Decimal:
        """What may still be reserved; 0 where a call cost more than its worst case and went beyond the limit."""
        return max(ZERO, self.limit_usd - self.used_usd)

    def reserve(self, usd: Decimal) -> "Account | None":
        """The account with so much more reserved; None if that is more than is left. Raises ValueError below zero."""
        if usd < 0:
            raise ValueError(f"cannot reserve {usd}")
        return replace(self, reserved_usd=self.reserved_usd + usd) if usd <= self.left_usd else None

    def settle(self, reserved_usd: Decimal, cost_usd: Decimal) -> "Account":
        """The account after a call that had `reserved_usd` reserved and cost `cost_usd`.

        Raises ValueError for a cost below zero, or to settle more than is reserved.
        """
        if cost_usd < 0 or not 0 <= reserved_usd <= self.reserved_usd:
            raise ValueError(f"cannot settle {reserved_usd} of {self.reserved_usd} at {cost_usd}")
        return replace(self, spent_usd=self.spent_usd + cost_usd, reserved_usd=self.reserved_usd - reserved_usd)
