"""A month's lines summed up: by account and in total, with the checks that nothing was lost on the way. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from analytics.reconciliation.facts import AttemptGroup, BilledRow
from analytics.reconciliation.policy import FOCUS, Policy
from analytics.reconciliation.variance import IdentityBroken, Line, VarianceClass, by_class, total
from analytics.windows import Window
from gateway.domain.money import EXACT, plain
from gateway.domain.usage import Completeness


@dataclass(frozen=True, slots=True)
class Coverage:
    """How many of a month's UTC days an import speaks for."""

    provider: str
    account: str
    import_id: str
    currency: str
    days: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """What both sides of a month come to, told by other ways than its lines."""

    billed: Decimal
    metered: Decimal | None
    """By the store's own arithmetic; None = it does not say of each group."""
    unmeasured: Mapping[tuple[str, str], int]
    """Attempts that may be billed and whose final usage never arrived, by provider and account."""
    unpriced: Mapping[tuple[str, str], int]
    """Measured attempts that no card prices."""

    @classmethod
    def of(cls, billed: Iterable[BilledRow], groups: Iterable[AttemptGroup]) -> "Ledger":
        """That of these rows and groups."""
        sent = [group for group in groups if group.sent]
        metered = [group.cost_usd for group in sent if group.metered]
        unmeasured: dict[tuple[str, str], int] = defaultdict(int)
        unpriced: dict[tuple[str, str], int] = defaultdict(int)
        for group in sent:
            payer = (group.provider, group.account)
            unmeasured[payer] += group.unmeasured
            if group.completeness is Completeness.MEASURED and not group.priced:
                unpriced[payer] += group.attempts
        return cls(
            billed=total(row.amount for row in billed),
            metered=None if None in metered else total(cost for cost in metered if cost is not None),
            unmeasured=unmeasured,
            unpriced=unpriced,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One account's month. `by_class` holds every class and sums to invoiced minus metered."""

    provider: str
    account: str
    currency: str
    invoiced: Decimal
    metered: Decimal
    by_class: Mapping[VarianceClass, Decimal]
    unexplained_gross: Decimal
    """The UNEXPLAINED parts without their signs; the status is judged by it."""
    billed_rows: int
    tolerance: Decimal
    """What the policy tolerates; where it says nothing, FOCUS 1.4: max(100 x 0.01, sqrt(rows) x 0.5 x 0.01)."""
    status: str
    """no_invoice | matched (nothing unexplained) | within_tolerance | unexplained (beyond the tolerance)."""
    invoiced_days: int
    """UTC days of the month that an import covers, with or without charges."""
    unmeasured: int
    """Attempts that may be billed and whose final usage never arrived: they are not in `metered`."""
    unpriced: int
    """Attempts with usage that no card prices: not in `metered`, which is a floor while this is not zero."""
    import_ids: tuple[str, ...]

    @property
    def variance(self) -> Decimal:
        """Invoiced minus metered."""
        return EXACT.subtract(self.invoiced, self.metered)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """A month, reconciled."""

    month: str
    window: Window
    lines: tuple[Line, ...]
    accounts: tuple[Account, ...]
    invoiced: Decimal
    metered: Decimal
    by_class: Mapping[VarianceClass, Decimal]
    """Every class; sums to invoiced minus metered."""
    unexplained_gross: Decimal
    """The UNEXPLAINED parts without their signs: zero is what a month that is to be closed must have."""
    card_ids: tuple[str, ...]
    """Every card that priced a line or explains an amount."""
    import_ids: tuple[str, ...]

    @property
    def variance(self) -> Decimal:
        """Invoiced minus metered."""
        return EXACT.subtract(self.invoiced, self.metered)

    @property
    def unexplained(self) -> Decimal:
        """The UNEXPLAINED amount, signed: what is left of the variance. Two that cancel show in unexplained_gross."""
        return self.by_class[VarianceClass.UNEXPLAINED]


def summarise(
    month: str,
    window: Window,
    *,
    lines: Sequence[Line],
    ledger: Ledger,
    coverage: Sequence[Coverage],
    policy: Policy = FOCUS,
) -> Reconciliation:
    """Sum the lines up. Raises IdentityBroken unless they hold all that was billed and all that the store metered."""
    invoiced, metered = total(line.invoiced for line in lines), total(line.metered for line in lines)
    _agree("billed rows", ledger.billed, "their lines", invoiced)
    if ledger.metered is not None:
        _agree("the store's metered cost", ledger.metered, "that of the lines", metered)
    classes = by_class(lines)
    _agree("the classes", total(classes.values()), "invoiced minus metered", EXACT.subtract(invoiced, metered))
    by_payer: dict[tuple[str, str], list[Line]] = defaultdict(list)
    for line in lines:
        by_payer[line.provider, line.account].append(line)
    payers = by_payer.keys() | {(c.provider, c.account) for c in coverage}
    return Reconciliation(
        month=month,
        window=window,
        lines=tuple(lines),
        accounts=tuple(_account(payer, by_payer[payer], ledger, coverage, policy) for payer in sorted(payers)),
        invoiced=invoiced,
        metered=metered,
        by_class=classes,
        unexplained_gross=unexplained_gross(lines),
        card_ids=tuple(sorted(_cards(lines))),
        import_ids=tuple(sorted({c.import_id for c in coverage})),
    )


def _account(
    payer: tuple[str, str],
    mine: Sequence[Line],
    ledger: Ledger,
    coverage: Sequence[Coverage],
    policy: Policy,
) -> Account:
    covered = [c for c in coverage if (c.provider, c.account) == payer]
    classes = by_class(mine)
    rows = sum(line.billed_rows for line in mine)
    invoiced = total(line.invoiced for line in mine)
    tolerated = policy.tolerance(rows, invoiced)
    return Account(
        provider=payer[0],
        account=payer[1],
        currency=covered[0].currency if covered else "USD",
        invoiced=invoiced,
        metered=total(line.metered for line in mine),
        by_class=classes,
        billed_rows=rows,
        tolerance=tolerated,
        unexplained_gross=unexplained_gross(mine),
        status=_status(unexplained_gross(mine), tolerated) if covered else "no_invoice",
        invoiced_days=sum(c.days for c in covered),
        unmeasured=ledger.unmeasured.get(payer, 0),
        unpriced=ledger.unpriced.get(payer, 0),
        import_ids=tuple(sorted(c.import_id for c in covered)),
    )


def unexplained_gross(lines: Iterable[Line]) -> Decimal:
    """What is unexplained, over- and undercharges added up rather than set off against each other."""
    return total(
        part.amount.copy_abs()
        for line in lines
        for part in line.parts
        if part.variance_class is VarianceClass.UNEXPLAINED
    )


def _status(unexplained: Decimal, tolerated: Decimal) -> str:
    if not unexplained:
        return "matched"
    return "within_tolerance" if unexplained.copy_abs() <= tolerated else "unexplained"


def _cards(lines: Iterable[Line]) -> set[str]:
    named = {line.card_id for line in lines} | {part.evidence.card_id for line in lines for part in line.parts}
    return named - {""}


def _agree(left_name: str, left: Decimal, right_name: str, right: Decimal) -> None:
    if left != right:
        raise IdentityBroken(f"{left_name} sum to {plain(left)}, {right_name} to {plain(right)}")
