"""The store's rows as the core's frozen values; nothing is judged here."""

from collections.abc import Mapping
from decimal import Decimal

import polars as pl

from analytics.reconciliation.facts import AttemptGroup, BilledRow, Snapshot
from gateway.domain.attempt import Outcome
from gateway.domain.usage import Completeness, TokenClass, Usage


def attempt_group(row: Mapping[str, object]) -> AttemptGroup:
    """One row of recon_attempts or recon_owners."""
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
        attempts=_count(row["attempts"]),
        unmeasured=_count(row["unmeasured"]),
        tokens=Usage(*(_count(row[token_class.value]) for token_class in TokenClass)),
        cost_usd=cost if isinstance(cost, Decimal) else None,
        request_bytes=_count(row["request_bytes"]),
        output_ceiling=_count(row["output_ceiling"]),
        attempt_ids=tuple(str(each) for each in ids) if isinstance(ids, list) else (),
    )


def billed_rows(frame: pl.DataFrame) -> list[BilledRow]:
    """The rows of recon_billed. The amount is text in the store, so that no digit of a vendor's is lost."""
    return [
        BilledRow(
            provider=row["provider"],
            account=row["account"],
            day=row["day"],
            model=row["model"],
            token_class=row["token_class"],
            quantity=row["quantity"],
            amount=Decimal(row["amount"]),
            scale=row["scale"],
            import_id=row["import_id"],
            row=row["row"],
            reason=row["reason"],
        )
        for row in frame.iter_rows(named=True)
    ]


def snapshots(frame: pl.DataFrame) -> list[Snapshot]:
    """The rows of recon_snapshots."""
    return [Snapshot(*row) for row in frame.select("provider", "account", "model", "response_model").iter_rows()]


def _count(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError(f"a count came back from the store as {type(value).__name__}")
    return value
