"""The store's rows as the core's frozen values; nothing is judged here."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import polars as pl

from analytics.reconciliation.documents import Document
from analytics.reconciliation.facts import AttemptGroup, BilledRow, Snapshot
from analytics.reconciliation.policy import USD, Policy
from gateway.domain.attempt import Outcome
from gateway.domain.money import EXACT
from gateway.domain.rate_card import processing_tier
from gateway.domain.usage import Completeness, TokenClass, Usage


def attempt_group(row: Mapping[str, object]) -> AttemptGroup:
    """One row of recon_attempts."""
    cost, ids = row["cost_usd"], row["attempt_ids"]
    return AttemptGroup(
        provider=str(row["provider"]),
        account=str(row["account"]),
        model=str(row["model"]),
        day=row["day"],  # type: ignore[arg-type] # polars gives a date for a Date
        outcome=Outcome(str(row["outcome"])),
        completeness=Completeness(str(row["completeness"])),
        priced=bool(row["priced"]),
        card_id=str(row["card_id"]),
        processing_tier=str(row["processing_tier"]),
        region=str(row["region"]),
        attempts=_count(row["attempts"]),
        unmeasured=_count(row["unmeasured"]),
        tokens=Usage(*(_count(row[token_class.value]) for token_class in TokenClass)),
        cost_usd=cost if isinstance(cost, Decimal) else None,
        request_bytes=_count(row["request_bytes"]),
        output_ceiling=_count(row["output_ceiling"]),
        attempt_ids=tuple(str(each) for each in ids) if isinstance(ids, list) else (),
    )


def documents(frame: pl.DataFrame, policy: Policy) -> list[Document]:
    """The rows of recon_billed. Amounts are text in the store, so that no digit of a vendor's is lost.

    An amount that was converted is taken at the rate of the books, where they have one for its currency.
    """
    return [Document(row["document"], _billed(row, policy)) for row in frame.iter_rows(named=True)]


def _billed(row: Mapping[str, Any], policy: Policy) -> BilledRow:
    amount, priced = _in_usd(row, policy)
    return BilledRow(
        provider=row["provider"],
        account=row["account"],
        day=row["day"],
        model=row["model"],
        token_class=row["token_class"],
        quantity=row["quantity"],
        amount=amount,
        scale=row["scale"],
        import_id=row["import_id"],
        row=row["row"],
        reason=row["reason"],
        category=row["category"],
        correction=row["correction"],
        processing_tier=processing_tier(row["processing_tier"]),
        region=row["region"],
        days=row["days"],
        priced=priced,
        identity=row["identity"],
        request_id=row["request_id"],
        invoice_id=row["invoice_id"],
    )


def _in_usd(row: Mapping[str, Any], policy: Policy) -> tuple[Decimal, Decimal | None]:
    """What the row bills in USD by the books, and what the vendor's price came to before it was converted."""
    billing, pricing = row["billing_currency"] or USD, row["pricing_currency"] or USD
    amount = Decimal(row["amount"])
    if billing == pricing == USD:
        return amount, None
    booked = amount
    if billing != USD and billing in policy.booked_usd:
        booked = EXACT.multiply(Decimal(row["billed_amount"]), policy.booked_usd[billing])
    if pricing == USD:
        return booked, Decimal(row["pricing_amount"]) if row["pricing_amount"] else None
    if pricing in policy.booked_usd and row["pricing_amount"]:
        return booked, EXACT.multiply(Decimal(row["pricing_amount"]), policy.booked_usd[pricing])
    return booked, None


def snapshots(frame: pl.DataFrame) -> list[Snapshot]:
    """The rows of recon_snapshots."""
    return [Snapshot(*row) for row in frame.select("provider", "account", "model", "response_model").iter_rows()]


def _count(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError(f"a count came back from the store as {type(value).__name__}")
    return value
