"""A month's reconciliation, narrowed to the providers and accounts that are asked for, with sums of what is left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from analytics.reconciliation import Account, Line, Reconciliation, VarianceClass
from analytics.reconciliation.summary import unexplained_gross
from analytics.reconciliation.variance import by_class, total
from dashboards.filters import Filters
from dashboards.formats import Style
from gateway.domain.money import EXACT


@dataclass(frozen=True, slots=True)
class Scope:
    """The accounts and lines shown, and their sums. `by_class` has every class and sums to invoiced minus metered."""

    accounts: tuple[Account, ...]
    lines: tuple[Line, ...]
    invoiced: Decimal
    metered: Decimal
    by_class: Mapping[VarianceClass, Decimal]
    providers: tuple[str, ...]
    """All of the month, for the filter to offer."""
    account_names: tuple[str, ...]

    @property
    def variance(self) -> Decimal:
        """Invoiced minus metered."""
        return EXACT.subtract(self.invoiced, self.metered)

    @property
    def unexplained(self) -> Decimal:
        """What is unexplained of the variance, signed."""
        return self.by_class[VarianceClass.UNEXPLAINED]

    @property
    def unexplained_gross(self) -> Decimal:
        """What blocks the close: over- and undercharges added up, not set off against each other."""
        return unexplained_gross(self.lines)

    @property
    def tolerance(self) -> Decimal:
        """The accounts' rounding tolerances together."""
        return total(each.tolerance for each in self.accounts)

    @property
    def currencies(self) -> tuple[str, ...]:
        """Of the accounts shown; sums mean something only when there is one."""
        return tuple(sorted({each.currency for each in self.accounts if each.currency}))

    @property
    def style(self) -> Style:
        """How to write the amounts."""
        return Style.fitting(
            max(abs(self.invoiced), abs(self.metered)), self.currencies[0] if self.currencies else "USD"
        )

    @property
    def without_invoice(self) -> tuple[Account, ...]:
        """Accounts for which no file has been imported."""
        return tuple(each for each in self.accounts if not self.invoiced_known(each))

    @property
    def has_invoice(self) -> bool:
        """Whether there is anything to compare with."""
        return any(self.invoiced_known(each) for each in self.accounts)

    @staticmethod
    def invoiced_known(account: Account) -> bool:
        """Whether a file was imported for it: without one, what it was invoiced is unknown, not zero."""
        return account.status != "no_invoice"


def narrow(month: Reconciliation, filters: Filters) -> Scope:
    """The part of a month that the filters leave."""

    def kept(each: Account | Line) -> bool:
        return (not filters.provider or each.provider in filters.provider) and (
            not filters.account or each.account in filters.account
        )

    accounts, lines = tuple(filter(kept, month.accounts)), tuple(filter(kept, month.lines))
    return Scope(
        accounts,
        lines,
        total(line.invoiced for line in lines),
        total(line.metered for line in lines),
        by_class(lines),
        tuple(sorted({each.provider for each in month.accounts})),
        tuple(sorted({each.account for each in month.accounts})),
    )
