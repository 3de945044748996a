"""The tables of a month's pack, and the controls that hold them together. Pure: a reconciliation in, rows out.

recon_summary.csv          one row an account
recon_lines.csv            one row an account, UTC day, model and token class; sums to recon_summary.csv
recon_by_alias_tenant.csv  one row an owner of cost; its billed_cost sums to the invoices
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal, localcontext

from analytics.allocation import NOBODY, Owner
from analytics.reconciliation.summary import Account, Reconciliation
from analytics.reconciliation.variance import Line, VarianceClass, by_class, total
from analytics.rfc4180 import Cell
from gateway.domain.money import plain
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


def summary(month: Reconciliation) -> Table:
    """One row an account: what the ledger expected, what the invoice says, and the classes between them."""
    columns = (
        *("period_start", "period_end", "issuer", "billing_account_id", "currency", "ledger_expected", "invoice_total"),
        *("variance_total", *_VARIANCES, "tolerance", "rows", "match_status", "invoiced_days"),
        *("unmeasured_attempts", "unpriced_attempts", "source_sha256"),
    )

    def row(account: Account) -> tuple[Cell, ...]:
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
            " ".join(account.import_ids),
        )

    return Table("recon_summary.csv", columns, tuple(row(account) for account in month.accounts))


def lines(month: Reconciliation) -> Table:
    """One row a line, with its variance by class and what proves each part."""
    columns = (
        *("issuer", "billing_account_id", "day", "model", "model_snapshot", "token_class", "qty_ledger", "qty_invoice"),
        *("price_card", "price_billed", "cost_ledger", "cost_invoice", "variance", "variance_class", *_VARIANCES),
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
            line.metered_quantity,
            line.billed_quantity,
            line.unit_price,
            _price(line),
            line.metered,
            line.invoiced,
            line.variance,
            "+".join(name.value for name in VarianceClass if classes[name]),
            *(classes[name] for name in VarianceClass),
            line.billed_rows,
            line.card_id,
            " | ".join(f"{p.variance_class.value} {plain(p.amount)}: {p.evidence.reference()}" for p in line.parts),
            " ".join(line.import_ids),
        )

    return Table("recon_lines.csv", columns, tuple(row(line) for line in month.lines))


def by_alias_tenant(billed: Mapping[Owner, Decimal], activity: Mapping[Owner, Activity]) -> Table:
    """One row an owner: what it did, what that was metered at, and its share of what was invoiced."""
    columns = (
        *("tenant", "alias", "tier", "fallback_depth", "reason_code", "requests", "attempts"),
        *(name.value for name in TokenClass),
        *("token_cost", "queue_seconds", "billed_cost"),
    )

    def row(owner: Owner) -> tuple[Cell, ...]:
        did = activity.get(owner, NOTHING)
        return (
            owner.tenant,
            owner.alias,
            owner.tier,
            None if owner == NOBODY else owner.fallback_depth,
            owner.fallback_reason,
            did.requests,
            did.attempts,
            *(did.tokens.get(name, 0) for name in TokenClass),
            did.metered,
            did.queue_seconds,
            billed.get(owner, Decimal(0)),
        )

    owners = sorted((billed.keys() | activity.keys()) - {NOBODY})
    rows = [row(owner) for owner in [*owners, *([NOBODY] if NOBODY in billed else [])]]
    return Table("recon_by_alias_tenant.csv", columns, tuple(rows))


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
    for quantity, each in sums.items():
        if len(set(each)) != 1:
            raise ControlBroken(f"{quantity} differs between the files: {', '.join(plain(value) for value in each)}")
    return {quantity: plain(each[0]) for quantity, each in sums.items()}


def _price(line: Line) -> Decimal | None:
    """What one token was billed at, to eighteen places; None where that has no meaning."""
    if not line.billed_quantity:
        return None
    with localcontext(prec=76):
        return (line.invoiced / line.billed_quantity).quantize(PRICE_PLACES, ROUND_HALF_EVEN)
