"""What became known of a closed month since it was closed: deltas, for the month that is open. Pure.

A closed month's figures never change; what its facts say now, less what its pack says, less what later packs already
corrected, is a correction: on the lines of the reconciliation, and on the rows of CostAndUsage, each at its original
charge period, with ChargeClass Correction and costs alone. Nothing new is no row.
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from analytics.focus.columns import COST_AND_USAGE
from analytics.focus.cost_and_usage import Row
from analytics.pack import Table
from analytics.rfc4180 import Cell, unguarded
from analytics.windows import Window
from gateway.domain.money import EXACT

KEY = ("issuer", "billing_account_id", "day", "model", "token_class", "processing_tier", "region")
"""What makes a line one of its kind, of the columns that a pack has."""
MEASURES = ("qty_ledger", "qty_invoice", "cost_ledger", "cost_invoice")
COLUMNS = ("closed_month", *KEY, *MEASURES, "charge_class", "closed_pack_sha256")

COSTS = ("BilledCost", "EffectiveCost", "ListCost", "ContractedCost")
CHARGE_KEY = (
    *("InvoiceIssuerName", "BillingAccountId", "BillingCurrency", "ChargeCategory", "ChargePeriodStart"),
    *("ChargePeriodEnd", "SkuId", "RegionId", "x_ProcessingTier", "SubAccountId", "Tags"),
)
_UNKNOWN_NOW = frozenset(
    {"ConsumedQuantity", "ConsumedUnit", "ContractedUnitPrice", "ListUnitPrice", "PricingCategory", "PricingQuantity"}
    | {"PricingUnit", "SkuPriceId", "SkuPriceDetails", "InvoiceDetailId"}
)
"""What a correction in costs alone leaves open."""

Texts = Sequence[Mapping[str, str]]
Sums = dict[tuple[str, ...], dict[str, Decimal]]


def texts(content: bytes) -> list[dict[str, str]]:
    """The rows of a pack's CSV as they were before they were written: text without its guard."""
    reader = csv.DictReader(io.StringIO(content.decode("utf-8"), newline=""), strict=True)
    return [{name: unguarded(value) for name, value in row.items()} for row in reader]


def lines(month: str, pack_sha256: str, *, now: Texts, frozen: Texts, booked: Texts) -> Table:
    """The deltas of the month's lines: `now` and `frozen` are its recon_lines, `booked` what later packs corrected."""
    found = _less(_less(_sums(now, KEY, MEASURES), _sums(frozen, KEY, MEASURES)), _sums(booked, KEY, MEASURES))
    rows: list[tuple[Cell, ...]] = [
        (month, *key, *(amounts[name] for name in MEASURES), "Correction", pack_sha256)
        for key, amounts in sorted(found.items())
    ]
    return Table("recon_corrections.csv", COLUMNS, tuple(rows))


def charges(month: str, window: Window, *, now: Texts, frozen: Texts, booked: Texts) -> list[Row]:
    """The deltas of the month's charges as rows of the pack whose period `window` is."""
    measures = (*COSTS, "ConsumedQuantity")
    late = [{**row, "ConsumedQuantity": row["x_ConsumedQuantityDelta"]} for row in booked]
    found = _less(
        _less(_sums(now, CHARGE_KEY, measures), _sums(frozen, CHARGE_KEY, measures)),
        _sums(late, CHARGE_KEY, measures),
    )
    like = {tuple(row[name] for name in CHARGE_KEY): row for row in (*booked, *frozen, *now)}
    return [_charge(month, window, like[key], amounts) for key, amounts in sorted(found.items())]


def _charge(month: str, window: Window, like: Mapping[str, str], amounts: Mapping[str, Decimal]) -> Row:
    row: Row = {name: None if name in _UNKNOWN_NOW else like[name] or None for name in COST_AND_USAGE}
    number = like["InvoiceId"]
    return row | {
        **{name: amounts[name] for name in COSTS},
        "BillingPeriodEnd": window.until,
        "BillingPeriodStart": window.since,
        "ChargeClass": "Correction",
        "ChargeDescription": f"Correction of {month}: {like['ChargeDescription']}".replace(": Correction of", ";"),
        "InvoiceDetailId": f"{number}:{like['SkuId'] or 'other'}:{like['ChargeCategory']}:corrections"
        if number
        else None,
        "x_ClosedMonth": month,
        "x_ConsumedQuantityDelta": amounts["ConsumedQuantity"] or None,
    }


def _sums(rows: Iterable[Mapping[str, str]], key: Sequence[str], measures: Sequence[str]) -> Sums:
    found: Sums = {}
    for row in rows:
        sums = found.setdefault(tuple(row.get(name, "") for name in key), dict.fromkeys(measures, Decimal(0)))
        for name in measures:
            sums[name] = EXACT.add(sums[name], Decimal(row[name] or 0))
    return found


def _less(left: Sums, right: Sums) -> Sums:
    """Left minus right; what comes to nothing is left out."""
    found: Sums = {}
    for key in left.keys() | right.keys():
        measures = (left.get(key) or right[key]).keys()
        zero = dict.fromkeys(measures, Decimal(0))
        difference = {n: EXACT.subtract(left.get(key, zero)[n], right.get(key, zero)[n]) for n in measures}
        if any(difference.values()):
            found[key] = difference
    return found
