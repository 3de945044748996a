"""What an operator lays down for reconciliations: what is tolerated, and at which rates currencies are booked."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import ROUND_DOWN, Decimal, localcontext

SUBUNIT = Decimal("0.01")
USD = "USD"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The `reconciliation` section of the configuration."""

    tolerance_usd: Decimal | None = None
    """Unexplained USD of an account's month that do not block its close; None = FOCUS 1.4's formula decides."""
    tolerance_percent: Decimal | None = None
    """The same as a share of what was invoiced; the smaller of both counts."""
    booked_usd: Mapping[str, Decimal] = field(default_factory=dict)
    """USD for one unit of each currency, as the books have it."""

    def tolerance(self, rows: int, invoiced: Decimal) -> Decimal:
        """What may stay unexplained of an account's month, USD, for that many billed rows and that much invoiced."""
        given = [] if self.tolerance_usd is None else [self.tolerance_usd]
        if self.tolerance_percent is not None:
            with localcontext(prec=76):
                share = invoiced.copy_abs() * self.tolerance_percent / 100
                given.append(share.quantize(Decimal("0.000001"), ROUND_DOWN))
        return min(given) if given else focus_tolerance(rows)


FOCUS = Policy()


def focus_tolerance(rows: int) -> Decimal:
    """FOCUS 1.4, Invoice Reconciliation: MAX(100 x Subunit, SQRT(Rows) x 0.5 x Subunit), to six places."""
    with localcontext(prec=40):
        return max(100 * SUBUNIT, (Decimal(rows).sqrt() * SUBUNIT / 2).quantize(Decimal("0.000001"), ROUND_DOWN))
