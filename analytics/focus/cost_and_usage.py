"""FOCUS CostAndUsage: each billed line of the month, split over who caused it. Pure.

A row is one invoiced SKU (model x token class) on one UTC day, for one owner; its BilledCost is the owner's share of
the invoiced amount, so all rows together are the invoice, to the last digit. What the invoice itself calls a tax, a
credit, a fee or a purchase has rows of its own ChargeCategory, shared like the line it is on. SubAccountId is our
tenant; alias, tier, depth and reason are Tags. What nobody caused has no SubAccountId.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from decimal import ROUND_HALF_EVEN, Decimal, localcontext

from analytics.allocation import NOBODY, Owner
from analytics.focus.columns import COST_AND_USAGE
from analytics.reconciliation.variance import Line, total
from analytics.rfc4180 import Cell
from analytics.windows import Window
from gateway.domain.money import EXACT, allocate

Row = dict[str, Cell]

MILLION = Decimal(1_000_000)
TOKENS, BLOCK, CHARGES = "Tokens", "1000000 Tokens", "Charges"
PRICE_PLACES = Decimal(1).scaleb(-12)
SHARE_PLACES = Decimal(1).scaleb(-18)

USAGE = "Usage"
CATEGORIES = {"TAX": "Tax", "CREDIT": "Credit", "FEE": "Purchase", "PURCHASE": "Purchase"}
"""By the class of variance that says so."""
CORRECTION = "PRIOR_PERIOD_CORRECTION"

CACHE_ACTIONS = {
    "input_uncached": "Uncached",
    "cache_read": "Read",
    "cache_write_5m": "Write",
    "cache_write_1h": "Write",
}
METERS = {
    "input_uncached": "Input Tokens",
    "cache_read": "Cache Read Input Tokens",
    "cache_write_5m": "Cache Write Input Tokens, 5 Minutes",
    "cache_write_1h": "Cache Write Input Tokens, 1 Hour",
    "output": "Output Tokens",
    "reasoning": "Reasoning Output Tokens",
}


@dataclass(frozen=True, slots=True)
class Document:
    """The file that a line was billed by: when it came, and the one invoice it is of, where it says so."""

    import_id: str
    imported_at: datetime
    invoice_id: str = ""

    @property
    def number(self) -> str:
        """The invoice's number, or where the issuer gave none, the file's own."""
        return self.invoice_id or f"import-{self.import_id[:16]}"


@dataclass(frozen=True, slots=True)
class Charged:
    """A billed line with its share by owner; the shares sum to what was invoiced."""

    line: Line
    shares: Mapping[Owner, Decimal]


@dataclass(frozen=True, slots=True)
class _Part:
    """One owner's part of a line, of one charge category."""

    owner: Owner
    category: str
    correction: bool
    amount: Decimal
    tokens: int | None
    """None = the category has none, or the invoice does not say how many."""


def rows(window: Window, charged: Iterable[Charged], documents: Mapping[str, Document]) -> list[Row]:
    """The rows of a month, in the order of the files they are written to."""
    found = [
        _row(window, each.line, part, documents.get(each.line.import_ids[0]) if each.line.import_ids else None)
        for each in charged
        if each.line.billed_rows
        for part in _parts(each)
    ]
    return sorted(found, key=order)


def order(row: Row) -> tuple[str, ...]:
    """What rows are sorted by: their full key."""
    names = ("InvoiceIssuerName", "BillingAccountId", "ChargePeriodStart", "SkuPriceId", "SkuId", "ChargeCategory")
    return tuple(str(row[name] or "") for name in (*names, "ChargeClass", "SubAccountId", "Tags", "x_ClosedMonth"))


def sku(line: Line) -> str:
    """The vendor's product, as far as an invoice line tells: the model and the token class."""
    return f"{line.provider}/{line.model or 'other'}/{line.token_class}"


def sku_price(line: Line, unit: str) -> str:
    """What it is priced under: beside the SKU the processing tier and the region, where the invoice tells them."""
    return "/".join((sku(line), *filter(None, (line.processing_tier, line.region)), unit))


def _parts(charged: Charged) -> list[_Part]:
    """Each owner's amounts by category; what is no usage is shared as the whole line is."""
    line = charged.line
    owners = sorted(charged.shares)
    apart: dict[tuple[str, bool], Decimal] = {}
    for part in line.parts:
        name = part.variance_class.value
        if name in CATEGORIES or name == CORRECTION:
            kind = (CATEGORIES.get(name, USAGE), name == CORRECTION)
            apart[kind] = EXACT.add(apart.get(kind, Decimal(0)), part.amount)
    weights = [charged.shares[owner].copy_abs() for owner in owners]
    left = dict(charged.shares)
    found = []
    for (category, correction), amount in sorted(apart.items()):
        for owner, share in zip(owners, allocate(amount, weights, SHARE_PLACES), strict=True):
            left[owner] = EXACT.subtract(left[owner], share)
            found.append(_Part(owner, category, correction, share, None))
    tokens = _tokens(line.billed_quantity, weights)
    usage = [_Part(owner, USAGE, False, left[owner], count) for owner, count in zip(owners, tokens, strict=True)]
    return [part for part in (*found, *usage) if part.amount]


def _tokens(quantity: int | None, weights: Sequence[Decimal]) -> list[int | None]:
    if quantity is None:
        return [None] * len(weights)
    return [int(count) for count in allocate(Decimal(quantity), weights, Decimal(1))]


def _row(window: Window, line: Line, part: _Part, document: Document | None) -> Row:
    start = datetime.combine(line.day, time.min, tzinfo=UTC)
    number = document.number if document else None
    correction = "Correction" if part.correction else None
    row: Row = dict.fromkeys(COST_AND_USAGE)
    row |= {
        "BilledCost": part.amount,
        "BillingAccountId": line.account,
        "BillingCurrency": "USD",
        "BillingPeriodEnd": window.until,
        "BillingPeriodStart": window.since,
        "ChargeCategory": part.category,
        "ChargeClass": correction,
        "ChargeDescription": _description(line, part),
        "ChargeFrequency": "Usage-Based" if part.category == USAGE else "One-Time",
        "ChargePeriodEnd": start + timedelta(days=line.days),
        "ChargePeriodStart": start,
        "ContractedCost": part.amount,
        "EffectiveCost": part.amount,
        "HostProviderName": line.provider,
        "InvoiceDetailId": f"{number}:{sku(line)}:{part.category}" if number else None,
        "InvoiceId": number,
        "InvoiceIssuerName": line.provider,
        "ListCost": part.amount,
        "RegionId": line.region or None,
        "RegionName": line.region or None,
        "ServiceCategory": "AI and Machine Learning",
        "ServiceName": f"{line.provider} API",
        "ServiceProviderName": line.provider,
        "ServiceSubcategory": "Generative AI",
        "SubAccountId": None if part.owner == NOBODY else part.owner.tenant,
        "SubAccountName": None if part.owner == NOBODY else part.owner.tenant,
        "Tags": _tags(part.owner),
        "x_ProcessingTier": line.processing_tier or None,
    }
    priced = part.category in (USAGE, "Purchase") and not part.correction
    return row | (_pricing(line, part) if priced else {})


def _pricing(line: Line, part: _Part) -> Row:
    """Quantities and prices; a charge that counts no tokens is one charge, at what it costs."""
    if part.tokens is None or line.token_class not in METERS:
        price, quantity = part.amount.copy_abs(), Decimal(1).copy_sign(part.amount)
        units, unit, consumed = CHARGES, CHARGES, quantity
    else:
        price, quantity = _price(line), EXACT.divide(Decimal(part.tokens), MILLION)
        units, unit, consumed = BLOCK, TOKENS, Decimal(part.tokens)
    cost = EXACT.multiply(price, quantity)
    usage: Row = {"ConsumedQuantity": consumed, "ConsumedUnit": unit} if part.category == USAGE else {}
    return usage | {
        "ContractedCost": cost,
        "ContractedUnitPrice": price,
        "ListCost": cost,
        "ListUnitPrice": price,
        "PricingCategory": "Standard",
        "PricingQuantity": quantity,
        "PricingUnit": units,
        "SkuId": sku(line),
        "SkuMeter": METERS.get(line.token_class, "Other"),
        "SkuPriceDetails": _details(line),
        "SkuPriceId": sku_price(line, units),
    }


def _price(line: Line) -> Decimal:
    """The card's price of a million tokens, or where no card prices them, what they were billed at."""
    if line.unit_price is not None:
        return EXACT.multiply(line.unit_price, MILLION)
    with localcontext(prec=76):
        billed = line.invoiced.copy_abs() * MILLION / (line.billed_quantity or 1)
        return billed.quantize(PRICE_PLACES, ROUND_HALF_EVEN)


def _details(line: Line) -> str:
    direction = "Output" if line.token_class in ("output", "reasoning") else "Input"
    details = {"ModelId": line.model} if line.model else {}
    if line.token_class in METERS:
        details |= {"TokenDirection": direction, "x_TokenClass": line.token_class}
    if line.token_class in CACHE_ACTIONS:
        details["TokenCacheAction"] = CACHE_ACTIONS[line.token_class]
    return json.dumps(details, sort_keys=True, ensure_ascii=False)


def _description(line: Line, part: _Part) -> str:
    what = METERS.get(line.token_class, "Charge")
    kind = "" if part.category == USAGE else f", {part.category.lower()}"
    return f"{what} of {line.model or 'no model named'}{kind}"


def _tags(owner: Owner) -> str | None:
    if owner == NOBODY:
        return None
    tags = {
        "alias": owner.alias,
        "fallback_depth": str(owner.fallback_depth),
        "fallback_reason": owner.fallback_reason,
        "tier": owner.tier,
    }
    return json.dumps(tags, sort_keys=True, ensure_ascii=False)


def billed(found: Iterable[Row]) -> Decimal:
    """The exact sum of BilledCost."""
    return total(row["BilledCost"] for row in found if isinstance(row["BilledCost"], Decimal))
