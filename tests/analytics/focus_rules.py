"""FOCUS 1.4 as data: what the specification demands of each column, and of columns together. Written from its pages
(specification/datasets/*/columns of FinOps-Open-Cost-and-Usage-Spec/FOCUS_Spec); nothing of ours is asked here.

A file is checked as text, as whoever receives it meets it: `broken` says which rule which row breaks.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

Row = Mapping[str, str]
DECIMAL = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?")
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
CURRENCY = re.compile(r"[A-Z]{3}")

M, C, R = "Mandatory", "Conditional", "Recommended"


@dataclass(frozen=True)
class Column:
    """Feature level, whether it may be null, its type, its allowed values."""

    level: str
    nullable: bool
    kind: str
    values: tuple[str, ...] = ()


def column(level: str, nullable: bool, kind: str, *values: str) -> Column:
    return Column(level, nullable, kind, values)


CATEGORIES = ("Usage", "Purchase", "Tax", "Credit", "Adjustment")

COST_AND_USAGE = {
    "BilledCost": column(M, False, "Decimal"),
    "BillingAccountId": column(M, False, "String"),
    "BillingAccountName": column(M, True, "String"),
    "BillingCurrency": column(M, False, "Currency"),
    "BillingPeriodEnd": column(M, False, "DateTime"),
    "BillingPeriodStart": column(M, False, "DateTime"),
    "ChargeCategory": column(M, False, "String", *CATEGORIES),
    "ChargeClass": column(M, True, "String", "Correction"),
    "ChargeDescription": column(M, True, "String"),
    "ChargeFrequency": column(R, False, "String", "One-Time", "Recurring", "Usage-Based"),
    "ChargePeriodEnd": column(M, False, "DateTime"),
    "ChargePeriodStart": column(M, False, "DateTime"),
    "ConsumedQuantity": column(C, True, "Decimal"),
    "ConsumedUnit": column(C, True, "String"),
    "ContractedCost": column(M, False, "Decimal"),
    "ContractedUnitPrice": column(C, True, "Decimal"),
    "EffectiveCost": column(M, False, "Decimal"),
    "HostProviderName": column(M, False, "String"),
    "InvoiceDetailId": column(C, True, "String"),
    "InvoiceId": column(C, True, "String"),
    "InvoiceIssuerName": column(M, False, "String"),
    "ListCost": column(M, False, "Decimal"),
    "ListUnitPrice": column(M, True, "Decimal"),
    "PricingCategory": column(C, True, "String", "Standard", "Dynamic", "Committed", "Other"),
    "PricingQuantity": column(M, True, "Decimal"),
    "PricingUnit": column(M, True, "String"),
    "RegionId": column(C, True, "String"),
    "RegionName": column(C, True, "String"),
    "ServiceCategory": column(M, False, "String", "AI and Machine Learning"),
    "ServiceName": column(M, False, "String"),
    "ServiceProviderName": column(M, False, "String"),
    "ServiceSubcategory": column(R, False, "String", "Generative AI"),
    "SkuId": column(C, True, "String"),
    "SkuMeter": column(C, True, "String"),
    "SkuPriceDetails": column(C, True, "JSON"),
    "SkuPriceId": column(C, True, "String"),
    "SubAccountId": column(C, True, "String"),
    "SubAccountName": column(C, True, "String"),
    "Tags": column(C, True, "JSON"),
}

INVOICE_DETAIL = {
    "BilledCost": column(M, False, "Decimal"),
    "BillingAccountId": column(M, False, "String"),
    "BillingCurrency": column(M, False, "Currency"),
    "BillingPeriodEnd": column(M, False, "DateTime"),
    "BillingPeriodStart": column(M, False, "DateTime"),
    "ChargeCategory": column(M, False, "String", *CATEGORIES),
    "InvoiceDetailCreated": column(M, False, "DateTime"),
    "InvoiceDetailDescription": column(M, True, "String"),
    "InvoiceDetailGrain": column(M, True, "JSON"),
    "InvoiceDetailId": column(M, False, "String"),
    "InvoiceDetailLastUpdated": column(M, False, "DateTime"),
    "InvoiceId": column(M, False, "String"),
    "InvoiceIssueDate": column(M, True, "DateTime"),
    "InvoiceIssueStatus": column(M, False, "String", "Open", "Issued", "Voided"),
    "InvoiceIssuerName": column(M, False, "String"),
    "PaymentCurrency": column(M, False, "Currency"),
    "PaymentDueDate": column(M, True, "DateTime"),
    "PaymentTerms": column(M, False, "String"),
    "ReferenceInvoiceId": column(M, False, "String"),
}

BILLING_PERIOD = {
    "BillingPeriodCreated": column(M, False, "DateTime"),
    "BillingPeriodEnd": column(M, False, "DateTime"),
    "BillingPeriodLastUpdated": column(M, False, "DateTime"),
    "BillingPeriodStart": column(M, False, "DateTime"),
    "BillingPeriodStatus": column(M, False, "String", "Open", "Closed"),
    "InvoiceIssuerName": column(M, False, "String"),
}

REMOVED = ("ProviderName", "PublisherName")
"""Of earlier versions, gone in 1.4."""
GRAIN_KEYS = (
    *("ContractId", "RegionId", "ResourceId", "ResourceType", "ServiceName", "SkuId", "SkuMeter", "SkuPriceId"),
    "SubAccountId",
)
DETAIL_KEYS = ("ModelDeveloper", "ModelFamily", "ModelId", "ModelVersion", "TokenDirection", "TokenCacheAction")


def amount(text: str) -> Decimal:
    return Decimal(text or 0)


def product(row: Row, price: str, cost: str) -> bool:
    """A cost is its unit price times the priced quantity, where both are there."""
    return not (row[price] and row["PricingQuantity"]) or amount(row[cost]) == amount(row[price]) * amount(
        row["PricingQuantity"]
    )


def priced(row: Row) -> bool:
    return row["ChargeCategory"] in ("Usage", "Purchase") and row["ChargeClass"] != "Correction"


PRICING = (
    *("ContractedUnitPrice", "ListUnitPrice", "PricingCategory", "PricingQuantity", "PricingUnit", "SkuPriceId"),
    "SkuPriceDetails",
)

TOGETHER: dict[str, Callable[[Row], bool]] = {
    "ListCost is ListUnitPrice x PricingQuantity": lambda r: product(r, "ListUnitPrice", "ListCost"),
    "ContractedCost is ContractedUnitPrice x PricingQuantity": lambda r: product(
        r, "ContractedUnitPrice", "ContractedCost"
    ),
    "unit prices are not negative": lambda r: min(amount(r["ListUnitPrice"]), amount(r["ContractedUnitPrice"])) >= 0,
    "a tax has no SKU, no price and no quantity": lambda r: (
        r["ChargeCategory"] != "Tax" or not any(r[name] for name in (*PRICING, "SkuId", "ConsumedQuantity"))
    ),
    "usage and purchases have a SKU, a price and a priced quantity": lambda r: (
        not priced(r) or all(r[name] for name in (*PRICING, "SkuId"))
    ),
    "without SkuPriceId nothing is priced or consumed": lambda r: (
        bool(r["SkuPriceId"]) or not any(r[name] for name in (*PRICING, "ConsumedQuantity", "ConsumedUnit"))
    ),
    "only usage is consumed, and then always": lambda r: (
        not r["ConsumedQuantity"]
        if r["ChargeCategory"] != "Usage"
        else bool(r["ConsumedQuantity"]) or r["ChargeClass"] == "Correction"
    ),
    "quantities and units come together": lambda r: (
        bool(r["ConsumedQuantity"]) == bool(r["ConsumedUnit"]) and bool(r["PricingQuantity"]) == bool(r["PricingUnit"])
    ),
    "a credit costs the same by every measure": lambda r: (
        r["ChargeCategory"] != "Credit" or len({r["BilledCost"], r["ListCost"], r["ContractedCost"]}) == 1
    ),
    "periods end after they begin": lambda r: (
        r["BillingPeriodStart"] < r["BillingPeriodEnd"] and r["ChargePeriodStart"] < r["ChargePeriodEnd"]
    ),
    "only a correction charges for a time before the billing period": lambda r: (
        r["ChargeClass"] == "Correction" or r["BillingPeriodStart"] <= r["ChargePeriodStart"] < r["BillingPeriodEnd"]
    ),
    "an InvoiceDetailId is of an InvoiceId": lambda r: not r["InvoiceDetailId"] or bool(r["InvoiceId"]),
    "names of accounts go with their ids": lambda r: bool(r["SubAccountName"]) <= bool(r["SubAccountId"]),
    "tokens are counted and priced in their units": lambda r: (
        (r["ConsumedUnit"] == "Tokens") == (r["PricingUnit"] == "1000000 Tokens")
        or amount(r["ConsumedQuantity"]) == amount(r["PricingQuantity"]) * 1_000_000
    ),
    "SkuPriceDetails uses the specification's keys": lambda r: (
        set(_keys(r["SkuPriceDetails"])) <= {*DETAIL_KEYS, *_own(r["SkuPriceDetails"])}
        and _value(r["SkuPriceDetails"], "TokenDirection", "Input") in ("Input", "Output")
        and _value(r["SkuPriceDetails"], "TokenCacheAction", "Other") in ("Uncached", "Read", "Write", "Other")
    ),
}

TOGETHER_DETAIL: dict[str, Callable[[Row], bool]] = {
    "InvoiceDetailGrain uses the specification's keys": lambda r: (
        set(_keys(r["InvoiceDetailGrain"])) <= {*GRAIN_KEYS, *_own(r["InvoiceDetailGrain"])}
    ),
    "what is paid is of a currency": lambda r: r["PaymentCurrency"] == r["BillingCurrency"],
    "a line of nothing is left out": lambda r: amount(r["BilledCost"]) != 0,
}

DATASETS = {
    "focus_cost_and_usage.csv": (COST_AND_USAGE, TOGETHER),
    "focus_invoice_detail.csv": (INVOICE_DETAIL, TOGETHER_DETAIL),
    "focus_billing_period.csv": (BILLING_PERIOD, {}),
}


def _keys(text: str) -> Sequence[str]:
    return list(json.loads(text)) if text else []


def _value(text: str, key: str, absent: str) -> str:
    found = json.loads(text) if text else {}
    return str(found.get(key, absent)) if isinstance(found, dict) else absent


def _own(text: str) -> list[str]:
    return [key for key in _keys(text) if key.startswith("x_")]


def broken(file: str, header: Sequence[str], rows: Sequence[Row]) -> Iterator[str]:
    """Each rule that the file breaks, with its row; nothing is the good answer."""
    columns, together = DATASETS[file]
    yield from (f"{name} is missing" for name, each in columns.items() if each.level == M and name not in header)
    yield from (f"{name} was removed in 1.4" for name in REMOVED if name in header)
    ours = [name for name in header if name not in columns]
    yield from (f"{name} is no column of 1.4, and does not begin with x_" for name in ours if name[:2] != "x_")
    if ours and list(header[-len(ours) :]) != ours:
        yield "columns of our own come behind the specification's"
    for number, row in enumerate(rows, start=2):
        for name, each in columns.items():
            if name in header and (fault := _fault(each, row[name])):
                yield f"row {number}: {name} {fault}"
        yield from (f"row {number}: {words}" for words, holds in together.items() if not holds(row))


def _fault(column: Column, text: str) -> str:
    if not text:
        return "" if column.nullable else "is null"
    if column.values and text not in column.values:
        return f"is {text!r}, which is not allowed"
    shapes = {"Decimal": DECIMAL, "DateTime": INSTANT, "Currency": CURRENCY}
    if column.kind in shapes and shapes[column.kind].fullmatch(text) is None:
        return f"is {text!r}, which is no {column.kind}"
    if column.kind == "JSON" and not isinstance(json.loads(text), dict):
        return f"is {text!r}, which is no object of keys and values"
    return ""


def sums_broken(charges: Sequence[Row], details: Sequence[Row], tolerance: Callable[[int], Decimal]) -> list[str]:
    """Invoices and their lines that their charges do not come to, beyond the tolerance. Taxes may differ."""
    found = []
    for key in ("InvoiceId", "InvoiceDetailId"):
        for name in sorted({row[key] for row in (*charges, *details)} - {""}):
            sides = [
                [row for row in side if row[key] == name and row["ChargeCategory"] != "Tax"]
                for side in (charges, details)
            ]
            charged, billed = (sum((amount(row["BilledCost"]) for row in side), Decimal(0)) for side in sides)
            if abs(charged - billed) > tolerance(len(sides[0])):
                found.append(f"{key} {name}: {charged} charged, {billed} billed")
    return found
