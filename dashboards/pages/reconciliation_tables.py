"""The tables of the Reconciliation page: accounts, invoice lines, what is not settled. Screen and CSV share them."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from analytics.reconciliation import Account, Evidence, Line, Part, VarianceClass
from analytics.reconciliation.variance import total
from dashboards import formats
from dashboards.pages.reconciliation_scope import Scope
from dashboards.tables import Column, Kind, Row, Table
from dashboards.vocabulary import VARIANCE_CLASSES, token_class, variance_class
from gateway.domain.money import EXACT

EXCEPTIONAL = frozenset({VarianceClass.UNEXPLAINED, VarianceClass.UNTRACKED_CHARGE, VarianceClass.UNBILLED_USAGE})

STATUSES = {
    "no_invoice": "No invoice yet",
    "matched": "Matched",
    "within_tolerance": "Within tolerance",
    "unexplained": "Unexplained",
}

ACCOUNTS = (
    Column("provider", "Provider", Kind.CODE),
    Column("account", "Account", Kind.CODE),
    Column(
        "status",
        "Status",
        Kind.STATUS,
        "Matched: nothing is unexplained. Within tolerance: less than rounding could make.",
    ),
    Column("invoiced", "Invoiced", Kind.MONEY),
    Column("metered", "Metered", Kind.MONEY),
    Column("variance", "Variance", Kind.DIFFERENCE, "Invoiced minus metered."),
    Column("unexplained", "Unexplained", Kind.DIFFERENCE),
    Column(
        "tolerance",
        "Tolerance",
        Kind.MONEY,
        "FOCUS 1.4: the larger of 1.00 and half a cent times the root of the rows.",
    ),
    Column("invoiced_days", "Days invoiced", Kind.COUNT, "UTC days of the month that an imported file covers."),
    Column(
        "unmeasured", "Not measured", Kind.COUNT, "Attempts that may be billed and whose final usage never arrived."
    ),
    Column("unpriced", "No price", Kind.COUNT, "Attempts with usage that no rate card prices."),
)
_CLASS_COLUMNS = tuple(Column(each.code.lower(), each.name, Kind.PART, each.meaning) for each in VARIANCE_CLASSES)
LINES = (
    Column("provider", "Provider", Kind.CODE),
    Column("account", "Account", Kind.CODE),
    Column("model", "Model", Kind.CODE),
    Column("token_class", "Tokens", Kind.TEXT),
    Column("day", "Day (UTC)", Kind.DAY),
    Column("invoiced", "Invoiced", Kind.MONEY),
    Column("metered", "Metered", Kind.MONEY),
    Column("variance", "Variance", Kind.DIFFERENCE, "Invoiced minus metered; the classes further right sum to it."),
    Column("billed_quantity", "Tokens billed", Kind.TOKENS),
    Column("metered_quantity", "Tokens metered", Kind.TOKENS),
    Column("unit_price", "Card price per 1M", Kind.PRICE, "The price in force; the CSV has it per token."),
)
EXCEPTIONS = (
    Column("variance_class", "What it is", Kind.TEXT),
    Column("amount", "Amount", Kind.DIFFERENCE),
    Column("provider", "Provider", Kind.CODE),
    Column("account", "Account", Kind.CODE),
    Column("model", "Model", Kind.CODE),
    Column("token_class", "Tokens", Kind.TEXT),
    Column("day", "Day (UTC)", Kind.DAY),
    Column("evidence", "What we know", Kind.TEXT),
)


def accounts(scope: Scope) -> Table:
    """One row per account of the month."""
    rows = [_account(each, scope.invoiced_known(each)) for each in scope.accounts]
    return Table("reconciliation_accounts", ACCOUNTS, rows, style=scope.style)


def lines(scope: Scope) -> Table:
    """One row per account, model, token class and day; the classes sum to the variance, exactly."""
    sums = {name: total(getattr(line, name) for line in scope.lines) for name in ("invoiced", "metered", "variance")}
    parts = {each.code.lower(): scope.by_class[VarianceClass(each.code)] for each in VARIANCE_CLASSES}
    foot: Row = {"provider": "Total", **sums, **parts}
    # Nineteen columns would hide the few that say something; each class has its own where it occurs.
    occurring = {part.variance_class.lower() for line in scope.lines for part in line.parts}
    columns = (*LINES, *(column for column in _CLASS_COLUMNS if column.key in occurring))
    return Table("reconciliation_lines", columns, [_line(line) for line in scope.lines], foot, scope.style)


def found(scope: Scope) -> list[tuple[Line, Part]]:
    """The parts that no explanation settles, each with its line, the largest first."""
    parts = [(line, part) for line in scope.lines for part in line.parts if part.variance_class in EXCEPTIONAL]
    return sorted(parts, key=lambda each: (-each[1].amount.copy_abs(), each[0].key))


def exceptions(scope: Scope) -> Table:
    """One row per part that no explanation settles, the largest first."""
    rows = [_exception(line, part) for line, part in found(scope)]
    return Table("reconciliation_exceptions", EXCEPTIONS, rows, style=scope.style)


def in_words(evidence: Evidence) -> str:
    """Evidence as sentences: what is missing or found, which attempts stand behind it, which card priced it."""
    said = [evidence.note[:1].upper() + evidence.note[1:]] if evidence.note else []
    said += [
        f"{formats.plural(seen.attempts, 'attempt')} ended {seen.outcome}, usage {seen.completeness}, "
        f"{formats.count(seen.tokens)} tokens seen"
        for seen in evidence.outcomes
    ]
    if evidence.ceiling_tokens is not None:
        said.append(f"Together they can have used {formats.count(evidence.ceiling_tokens)} tokens at most")
    if evidence.attempt_ids:
        said.append(f"For example attempt {evidence.attempt_ids[0]}")
    if evidence.card_id:
        said.append(f"Card {evidence.card_id}")
    return ". ".join(said) + "." if said else ""


def _account(each: Account, known: bool) -> Row:
    return {
        "provider": each.provider,
        "account": each.account,
        "status": STATUSES.get(each.status, each.status),
        "invoiced": each.invoiced if known else None,
        "metered": each.metered,
        "variance": each.variance if known else None,
        "unexplained": each.by_class[VarianceClass.UNEXPLAINED] if known else None,
        "tolerance": each.tolerance,
        "invoiced_days": each.invoiced_days,
        "unmeasured": each.unmeasured,
        "unpriced": each.unpriced,
    }


def _line(line: Line) -> Row:
    parts = {each.code.lower(): _part(line.parts, each.code) for each in VARIANCE_CLASSES}
    names = (
        "provider",
        "account",
        "model",
        "day",
        "metered_quantity",
        "unit_price",
        "invoiced",
        "metered",
        "variance",
    )
    # Without a billed row nothing was billed, which is zero; a billed row without a quantity leaves it unknown.
    billed = line.billed_quantity if line.billed_rows else 0
    shown = {name: getattr(line, name) for name in names}
    return {**shown, "token_class": token_class(line.token_class), "billed_quantity": billed, **parts}


def _part(parts: Iterable[Part], code: str) -> Decimal:
    amount = Decimal(0)
    for part in parts:
        if part.variance_class == code:
            amount = EXACT.add(amount, part.amount)
    return amount


def _exception(line: Line, part: Part) -> Row:
    return {
        "variance_class": variance_class(part.variance_class).name,
        "amount": part.amount,
        "provider": line.provider,
        "account": line.account,
        "model": line.model or "(no model named)",
        "token_class": token_class(line.token_class),
        "day": line.day,
        "evidence": in_words(part.evidence),
    }
