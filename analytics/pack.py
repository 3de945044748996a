"""The tables of a month's pack, and the controls that hold them together. Pure: a reconciliation in, rows out.

recon_summary.csv          one row an account
recon_lines.csv            one row an account, UTC day, model and token class; sums to recon_summary.csv
recon_by_alias_tenant.csv  one row an owner of cost; its billed_cost sums to the invoices
recon_exceptions.csv       one row a part of a line that somebody has to look into, with its owner and note
recon_corrections.csv      what became known of closed months since (analytics.corrections)
focus_*.csv                the same month as FOCUS 1.4 (analytics.focus)
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal, localcontext

from analytics.allocation import NOBODY, Owner
from analytics.economic.table import COLUMNS as COSTS
from analytics.economic.table import ManagementCost
from analytics.exceptions import NOBODYS, Care, Finding
from analytics.reconciliation.summary import Account, Reconciliation
from analytics.reconciliation.variance import Line, VarianceClass, by_class, total
from analytics.rfc4180 import Cell
from gateway.domain.money import EXACT, plain
from gateway.domain.usage import TokenClass

PRICE_PLACES = Decimal(1).scaleb(-18)
_VARIANCES = tuple(f"var_{name.value.lower()}" for name in VarianceClass)


class ControlBroken(ArithmeticError):
    """Totals that should be equal are not. Nothing was written."""


@dataclass(frozen=True, slots=True)
class Table:
    """One file of the pack, before it is text. Rows are sorted by their full key."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def sum(self, column: str) -> Decimal:
        """The exact sum of a money column."""
        at = self.columns.index(column)
        return total(value for row in self.rows if isinstance(value := row[at], Decimal))


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """What an owner of cost did in the month."""

    requests: int = 0
    attempts: int = 0
    """Those decided against included."""
    queue_seconds: Decimal = Decimal(0)
    tokens: Mapping[TokenClass, int]
    """Measured tokens."""
    metered: Decimal = Decimal(0)


NOTHING = Activity(tokens={})


@dataclass(frozen=True, slots=True, kw_only=True)
class SignOff:
    """How far the month's close is, and whose names are under it; "" and None = nobody's yet."""

    state: str = "open"
    prepared_by: str = ""
    prepared_at: datetime | None = None
    reviewed_by: str = ""
    reviewed_at: datetime | None = None
    closed_at: datetime | None = None


UNSIGNED = SignOff()


@dataclass(frozen=True, slots=True)
class Prior:
    """What the closed month before said of an account."""

    expected: Decimal
    invoiced: Decimal


def summary(
    month: Reconciliation,
    signed: SignOff = UNSIGNED,
    prior: Mapping[tuple[str, str], Prior] | None = None,
    previous_sha256: str = "",
) -> Table:
    """One row an account: what the ledger expected, what the invoice says, and the classes between them.

    accrual_amount is what the ledger expects and no invoice has yet; the prior period's are of its pack, if it is
    closed.
    """
    columns = (
        *("period_start", "period_end", "issuer", "billing_account_id", "currency", "ledger_expected", "invoice_total"),
        *("variance_total", *_VARIANCES, "tolerance", "rows", "match_status", "invoiced_days"),
        *("unmeasured_attempts", "unpriced_attempts", "prior_period_expected", "prior_period_invoice", "mom_change"),
        *("accrual_amount", "prepared_by", "prepared_at", "reviewed_by", "reviewed_at", "source_sha256"),
        "pack_sha256_prev",
    )

    def row(account: Account) -> tuple[Cell, ...]:
        before = (prior or {}).get((account.provider, account.account))
        return (
            month.window.since,
            month.window.until,
            account.provider,
            account.account,
            account.currency,
            account.metered,
            account.invoiced,
            account.variance,
            *(account.by_class[name] for name in VarianceClass),
            account.tolerance,
            account.billed_rows,
            account.status,
            account.invoiced_days,
            account.unmeasured,
            account.unpriced,
            before.expected if before else None,
            before.invoiced if before else None,
            EXACT.subtract(account.invoiced, before.invoiced) if before else None,
            account.metered if account.status == "no_invoice" else Decimal(0),
            signed.prepared_by or None,
            signed.prepared_at,
            signed.reviewed_by or None,
            signed.reviewed_at,
            " ".join(account.import_ids),
            previous_sha256 or None,
        )

    return Table("recon_summary.csv", columns, tuple(row(account) for account in month.accounts))


def lines(month: Reconciliation) -> Table:
    """One row a line, with its variance by class and what proves each part."""
    columns = (
        *("issuer", "billing_account_id", "day", "model", "model_snapshot", "token_class", "processing_tier"),
        *("region", "days", "qty_ledger", "qty_invoice"),
        *("price_card", "price_billed", "cost_ledger", "cost_invoice", "variance", "variance_class", *_VARIANCES),
        "ambiguous",
        *("rows", "sku_price_id", "evidence_ref", "source_sha256"),
    )

    def row(line: Line) -> tuple[Cell, ...]:
        classes = by_class([line])
        return (
            line.provider,
            line.account,
            line.day,
            line.model,
            " ".join(line.invoice_models),
            line.token_class,
            line.processing_tier,
            line.region,
            line.days,
            line.metered_quantity,
            line.billed_quantity,
            line.unit_price,
            _price(line),
            line.metered,
            line.invoiced,
            line.variance,
            "+".join(name.value for name in VarianceClass if classes[name]),
            *(classes[name] for name in VarianceClass),
            "|".join(line.ambiguous),
            line.billed_rows,
            line.card_id,
            " | ".join(f"{p.variance_class.value} {plain(p.amount)}: {p.evidence.reference()}" for p in line.parts),
            " ".join(line.import_ids),
        )

    return Table("recon_lines.csv", columns, tuple(row(line) for line in month.lines))


def by_alias_tenant(
    billed: Mapping[Owner, Decimal],
    activity: Mapping[Owner, Activity],
    costs: Mapping[Owner, ManagementCost] | None = None,
) -> Table:
    """One row an owner: what it did, what that cost beside the vendors' charges, and its share of what was invoiced.

    Hosts' idle time has owners of its own (analytics.economic.table); billed_cost is in no sum with the others.
    """
    columns = (
        *("tenant", "alias", "tier", "fallback_depth", "reason_code", "requests", "attempts"),
        *(name.value for name in TokenClass),
        *COSTS,
        "billed_cost",
    )

    def row(owner: Owner) -> tuple[Cell, ...]:
        did = activity.get(owner, NOTHING)
        alone = ManagementCost(
            token_cost=did.metered, queue_seconds=did.queue_seconds, total_management_cost=did.metered
        )
        cost = told.get(owner, alone)
        return (
            owner.tenant,
            owner.alias,
            owner.tier,
            None if owner == NOBODY else owner.fallback_depth,
            owner.fallback_reason,
            did.requests,
            did.attempts,
            *(did.tokens.get(name, 0) for name in TokenClass),
            *(getattr(cost, name) for name in COSTS),
            billed.get(owner, Decimal(0)),
        )

    told = costs or {}
    owners = sorted((billed.keys() | activity.keys() | told.keys()) - {NOBODY})
    rows = [row(owner) for owner in [*owners, *([NOBODY] if NOBODY in billed else [])]]
    return Table("recon_by_alias_tenant.csv", columns, tuple(rows))


def exceptions(found: Iterable[Finding], cares: Mapping[str, Care]) -> Table:
    """One row an exception, the largest first, with whom it belongs to."""
    columns = (
        *("exception_id", "variance_class", "amount", "issuer", "billing_account_id", "day", "model", "token_class"),
        *("evidence_ref", "owner", "note"),
    )

    def row(each: Finding) -> tuple[Cell, ...]:
        care, line = cares.get(each.exception_id, NOBODYS), each.line
        return (
            *(each.exception_id, each.part.variance_class.value, each.part.amount, line.provider, line.account),
            *(line.day, line.model, line.token_class, each.part.evidence.reference(), care.owner, care.note),
        )

    return Table("recon_exceptions.csv", columns, tuple(row(each) for each in found))


def controls(month: Reconciliation, tables: Sequence[Table]) -> dict[str, str]:
    """The control totals, each of which several files must agree on. Raises ControlBroken, naming both sides."""
    by_name = {table.name: table for table in tables}
    accounts, detail, owners = (
        by_name[name] for name in ("recon_summary.csv", "recon_lines.csv", "recon_by_alias_tenant.csv")
    )
    sums = {
        "invoiced": [
            month.invoiced,
            accounts.sum("invoice_total"),
            detail.sum("cost_invoice"),
            owners.sum("billed_cost"),
        ],
        "metered": [
            month.metered,
            accounts.sum("ledger_expected"),
            detail.sum("cost_ledger"),
            owners.sum("token_cost"),
        ],
        "variance": [month.variance, accounts.sum("variance_total"), detail.sum("variance")],
    }
    for name, column in zip(VarianceClass, _VARIANCES, strict=True):
        sums[column] = [month.by_class[name], accounts.sum(column), detail.sum(column)]
    sums |= _focus_controls(month, by_name)
    for quantity, each in sums.items():
        if len(set(each)) != 1:
            raise ControlBroken(f"{quantity} differs between the files: {', '.join(plain(value) for value in each)}")
    return {quantity: plain(each[0]) for quantity, each in sums.items()}


def _focus_controls(month: Reconciliation, by_name: Mapping[str, Table]) -> dict[str, list[Decimal]]:
    """What the corrections and the FOCUS files add to the controls, where the pack has them."""
    if "focus_cost_and_usage.csv" not in by_name:
        return {}
    late, charges = by_name["recon_corrections.csv"].sum("cost_invoice"), by_name["focus_cost_and_usage.csv"]
    at, month_at = charges.columns.index("BilledCost"), charges.columns.index("x_ClosedMonth")
    charged_late = total(v for row in charges.rows if row[month_at] and isinstance(v := row[at], Decimal))
    billed = EXACT.add(month.invoiced, late)
    details = by_name["focus_invoice_detail.csv"].sum("BilledCost")
    return {"corrections": [late, charged_late], "billed": [billed, charges.sum("BilledCost"), details]}


def _price(line: Line) -> Decimal | None:
    """What one token was billed at, to eighteen places; None where that has no meaning."""
    if not line.billed_quantity:
        return None
    with localcontext(prec=76):
        return (line.invoiced / line.billed_quantity).quantize(PRICE_PLACES, ROUND_HALF_EVEN)
