"""What `tollway reconcile` says beside the figures: which account lacks what."""

from dataclasses import replace
from decimal import Decimal

from analytics.reconciliation.summary import Account, Reconciliation
from analytics.windows import month_window
from deploy.cli.finance import missing_of

ACCOUNT = Account(
    provider="openai", account="org-main", currency="USD", invoiced=Decimal(0), metered=Decimal("1.50"), by_class={},
    unexplained_gross=Decimal(0), billed_rows=0, tolerance=Decimal(1), status="no_invoice", invoiced_days=0,
    unmeasured=0, unpriced=0, import_ids=(),
)  # fmt: skip


def words(*accounts: Account) -> list[str]:
    month = Reconciliation(
        month="2026-11", window=month_window("2026-11"), lines=(), accounts=accounts, invoiced=Decimal(0),
        metered=Decimal(0), by_class={}, unexplained_gross=Decimal(0), card_ids=(), import_ids=("an-import",),
    )  # fmt: skip
    return list(missing_of(month))


def test_an_account_without_invoice_or_with_attempts_without_price_is_named_and_no_other() -> None:
    unpriced = replace(ACCOUNT, account="sub-main", status="matched", unpriced=3)
    unused = replace(ACCOUNT, account="idle", metered=Decimal(0))
    no_invoice, no_price = words(ACCOUNT, unpriced, unused, replace(ACCOUNT, status="matched"))
    assert no_invoice.startswith("openai/org-main has 1.5 USD metered and no invoice")
    assert no_price.startswith("3 attempts of openai/sub-main have no price, so metered is a floor")
