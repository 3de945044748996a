"""FOCUS cost and usage, versions 1.0 to 1.4 (CSV, gzip or Parquet): what is billed, by charge.

Who the vendor is stands in ProviderName and PublisherName up to 1.3, in ServiceProviderName and HostProviderName from
then on; either is taken, and so are columns of the issuer's own. A row is tokens where its unit says so; the class
comes from SkuPriceDetails (TokenDirection, TokenCacheAction), from x_TokenClass, or from the meter's words. A
correction stands by the period of the bill that it is on, and keeps the time of what it corrects.
"""

from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal, Inexact
from pathlib import Path

from analytics.invoices import meters, table, values
from analytics.invoices.entries import Billing, Category, Covered, Document, Entry, Terms
from analytics.invoices.importer import Importer
from analytics.invoices.table import Row
from analytics.reconciliation.variance import OTHER
from gateway.domain.money import EXACT
from gateway.domain.usage import TokenClass

REQUIRED = (
    "BilledCost",
    "BillingAccountId",
    "BillingCurrency",
    "BillingPeriodStart",
    "BillingPeriodEnd",
    "ChargeCategory",
    "ChargePeriodStart",
    "ChargePeriodEnd",
)
CATEGORIES = ("Usage", "Purchase", "Tax", "Credit", "Adjustment")
CORRECTION = "Correction"
_TOLD = (
    "ProviderName",
    "PublisherName",
    "ServiceProviderName",
    "HostProviderName",
    "InvoiceIssuerName",
    "ServiceName",
    "ResourceId",
    "SkuId",
    "SkuPriceId",
    "SkuMeter",
    "EffectiveCost",
    "ListCost",
    "ContractedCost",
    "ChargeFrequency",
    "CommitmentDiscountId",
)


def read(path: Path) -> Iterator[Covered]:
    """The charges, one at a time. Raises InvoiceInvalid with the line and column of a bad value."""
    for row in table.rows(path, REQUIRED):
        start, end = row.instant("ChargePeriodStart"), row.instant("ChargePeriodEnd")
        if end < start:
            raise row.fault("ChargePeriodEnd", f"{row.text('ChargePeriodEnd')!r} is before the period's start")
        yield _standing_day(row, start), _entry(row, start, end)


def category_of(row: Row) -> Category:
    """The kind of charge. Raises InvoiceInvalid for one that FOCUS does not know."""
    said = row.text("ChargeCategory")
    if said not in CATEGORIES:
        raise row.fault("ChargeCategory", f"{said[:40]!r} is not among {', '.join(CATEGORIES)}")
    return Category(said)


def _is_correction(row: Row) -> bool:
    said = row.text("ChargeClass")
    if said not in ("", CORRECTION):
        raise row.fault("ChargeClass", f"{said[:40]!r} is neither empty nor {CORRECTION}")
    return said == CORRECTION


def _standing_day(row: Row, start: datetime) -> date:
    """The day of the charge; for what is of a time outside the bill's, such as a correction, the bill's first day."""
    first, until = row.instant("BillingPeriodStart"), row.instant("BillingPeriodEnd")
    return start.date() if first <= start < until else first.date()


def _entry(row: Row, start: datetime, end: datetime) -> Entry:
    category = category_of(row)
    amount, billing = _money(row)
    details = row.object("SkuPriceDetails")
    model, quantity = _model(row, details), _quantity(row)
    token_class = _class(row, details) if quantity is not None or _counts_tokens(row) else None
    reason = _reason(row, category, model, token_class)
    is_double = row.is_printed and values.is_double(amount)
    return Entry(
        row=row.number,
        place=row.place,
        line_item=row.text("ChargeDescription") or row.text("SkuMeter") or row.text("ServiceName"),
        model=model,
        token_class=OTHER if reason or token_class is None else token_class.value,
        reason=reason,
        quantity=None if reason else quantity,
        quantity_raw=row.text("ConsumedQuantity") or row.text("PricingQuantity"),
        quantity_unit=row.text("ConsumedUnit") or row.text("PricingUnit"),
        amount=amount,
        amount_places=values.meant_places(amount) if is_double else values.places(amount),
        is_double=is_double,
        currency=values.CURRENCY,
        organization=row.text("BillingAccountId"),
        project_id=row.text("SubAccountId"),
        api_key_id=row.text("CredentialId"),
        user_id=row.text("PrincipalId"),
        category=category,
        start=start,
        end=end,
        terms=Terms(
            processing_tier=_told(row, details, "ProcessingTier")
            .lower()
            .replace("standard", "")
            .replace("default", ""),
            region=row.text("RegionId"),
            deployment_type=_told(row, details, "DeploymentType").lower(),
            modality=_told(row, details, "Modality").lower().replace("text", ""),
            context_tier=_told(row, details, "ContextTier"),
            unit_price=_unit_price(row),
        ),
        billing=billing,
        tags=_tags(row),
    )


def _money(row: Row) -> tuple[Decimal, Billing]:
    """The charge in USD, and how it is billed. Where it is billed in another currency, it has to be priced in USD."""
    billed, currency = row.amount("BilledCost"), row.text("BillingCurrency").upper()
    priced_in, priced = row.text("PricingCurrency").upper(), row.number_of("PricingCurrencyEffectiveCost")
    billing = Billing(
        invoice_id=row.text("InvoiceId"),
        invoice_detail_id=row.text("InvoiceDetailId"),
        correction=_is_correction(row),
        currency=currency,
        amount=billed,
        pricing_currency=priced_in,
        pricing_amount=priced,
    )
    if currency == values.CURRENCY:
        return billed, billing
    same = not row.says("EffectiveCost") or row.amount("EffectiveCost") == billed
    if priced_in == values.CURRENCY and priced is not None and same:
        return priced, billing
    problem = f"the currency is {currency[:10]!r}, and the charge is not priced in {values.CURRENCY} either"
    raise row.fault("BillingCurrency", problem)


def _counts_tokens(row: Row) -> bool:
    return any(meters.tokens_per(row.text(column)) is not None for column in ("ConsumedUnit", "PricingUnit"))


def _quantity(row: Row) -> int | None:
    """Tokens: what was consumed, or else what was priced."""
    for column, unit in (("ConsumedQuantity", "ConsumedUnit"), ("PricingQuantity", "PricingUnit")):
        found = meters.tokens_of(row.number_of(column), meters.tokens_per(row.text(unit)), is_double=row.is_printed)
        if found is not None and found >= 0:
            return found
    return None


def _class(row: Row, details: dict[str, object]) -> TokenClass | None:
    own = _told(row, details, "TokenClass")
    if own in tuple(TokenClass):
        return TokenClass(own)
    action = str(details.get("TokenCacheAction") or "")
    match str(details.get("TokenDirection") or ""), action:
        case "Output", _:
            return TokenClass.OUTPUT
        case "Input", "Read":
            return TokenClass.CACHE_READ
        case "Input", "Write":
            is_long = _told(row, details, "CacheTtl").lower() in ("1h", "3600", "3600s")
            return TokenClass.CACHE_WRITE_1H if is_long else TokenClass.CACHE_WRITE_5M
        case "Input", "" | "Uncached":
            return TokenClass.INPUT_UNCACHED
    return meters.class_of(row.text("SkuMeter") or row.text("ChargeDescription"))


def _told(row: Row, details: dict[str, object], name: str) -> str:
    """A value of the issuer's own, from a column or from SkuPriceDetails."""
    return row.text(f"x_{name}") or str(details.get(f"x_{name}") or "")


def _model(row: Row, details: dict[str, object]) -> str:
    family, version = (str(details.get(name) or "") for name in ("ModelFamily", "ModelVersion"))
    named = str(details.get("ModelId") or "") or _told(row, details, "ModelId") or _told(row, details, "Model")
    return named or "-".join(filter(None, (family, version)))


def _reason(row: Row, category: Category, model: str, token_class: TokenClass | None) -> str:
    """Why the row is no tokens of a class; "" = it is."""
    if category is not Category.USAGE:
        return f"a charge of category {category.value}"
    if not _counts_tokens(row):
        return f"counted in {row.text('ConsumedUnit') or row.text('PricingUnit') or 'nothing'}, not in tokens"
    if token_class is None:
        return "neither SkuPriceDetails nor the meter tells the class of tokens"
    if row.amount("BilledCost") < 0:
        return "a negative amount, such as a reversal"
    return "" if model else "SkuPriceDetails names no model"


def _unit_price(row: Row) -> Decimal | None:
    """USD for one token, or other unit."""
    price = row.number_of("ContractedUnitPrice")
    price = row.number_of("ListUnitPrice") if price is None else price
    if price is None or row.text("BillingCurrency").upper() != values.CURRENCY:
        return None
    try:
        return EXACT.divide(price, Decimal(meters.tokens_per(row.text("PricingUnit")) or 1))
    except Inexact:
        return None  # Of a block such as 3 tokens: no decimal says it exactly.


def _tags(row: Row) -> tuple[tuple[str, str], ...]:
    told = {name: row.text(name) for name in _TOLD}
    tagged = {f"tag:{name}": str(value) for name, value in row.object("Tags").items()}
    return tuple((name, value) for name, value in (told | tagged).items() if value)


IMPORTER = Importer(
    name="focus_costs",
    title="FOCUS cost and usage, 1.0 to 1.4 (CSV, gzip or Parquet)",
    document=Document.COST,
    read=read,
    required=REQUIRED,
    told_by=("BilledCost", "ChargePeriodStart"),
    gaps_are_empty=True,
)
