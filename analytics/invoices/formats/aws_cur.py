"""AWS's cost and usage report (CUR 2.0 of Data Exports; CSV, gzip or Parquet): the lines that are Amazon Bedrock's.

The usage type tells class, tier and reach: `USE1-Claude4.6Sonnet-input-tokens`, `...-cache-read-input-token-count`,
`...-output-tokens-batch`, `...-cross-region-global`. How many tokens a unit has is in pricing_unit (1K or 1M). What is
billed is the unblended cost; discounts, credits, refunds, taxes and fees are lines of their own. Those of other
services are left out and counted.
"""

import re
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path

from analytics.invoices import meters, table, values
from analytics.invoices.entries import Billing, Category, Covered, Document, Entry, LeftOut, Terms
from analytics.invoices.importer import Importer
from analytics.invoices.table import Row
from analytics.reconciliation.variance import OTHER
from gateway.domain.usage import TokenClass

REQUIRED = (
    "line_item_line_item_type",
    "line_item_usage_start_date",
    "line_item_usage_end_date",
    "line_item_product_code",
    "line_item_usage_type",
    "line_item_usage_amount",
    "line_item_unblended_cost",
    "line_item_currency_code",
)
_CATEGORIES = {
    "usage": Category.USAGE,
    "discountedusage": Category.USAGE,
    "savingsplancoveredusage": Category.USAGE,
    "tax": Category.TAX,
    "credit": Category.CREDIT,
    "refund": Category.REFUND,
    "fee": Category.FEE,
    "rifee": Category.PURCHASE,
    "savingsplanupfrontfee": Category.PURCHASE,
    "savingsplanrecurringfee": Category.PURCHASE,
    "savingsplannegation": Category.CREDIT,
    "edpdiscount": Category.CREDIT,
    "bundleddiscount": Category.CREDIT,
    "privateratediscount": Category.CREDIT,
    "sppdiscount": Category.CREDIT,
}
_REGION = re.compile(r"(US[EW]\d|UG[EW]\d|EU[CNSW]?\d?|AP[ENS]+\d|CA[NW]\d|SAE\d|ME[CS]\d|AFS\d|ILC\d|MXC\d)-")
_TOKENS = re.compile(
    r"(?P<head>.*?)[-_](?:mantle-)?(?P<kind>cache-?read-?input|cache-?write-?input|input|output)-?tokens?(?:-?count)?"
    r"(?P<tail>(?:[-_].*)?)",
    re.IGNORECASE,
)
_CLASSES = {
    "cachereadinput": TokenClass.CACHE_READ,
    "cachewriteinput": TokenClass.CACHE_WRITE_5M,
    "input": TokenClass.INPUT_UNCACHED,
    "output": TokenClass.OUTPUT,
}
_TIERS = ("batch", "flex", "priority", "reserved")
_EDITION = re.compile(r"\s*\(Amazon Bedrock Edition\)", re.IGNORECASE)


def read(path: Path) -> Iterator[Covered]:
    """The report's lines, one at a time. Raises InvoiceInvalid with the line and column of a bad value."""
    for row in table.rows(path, REQUIRED):
        start = row.instant("line_item_usage_start_date")
        yield _standing_day(row, start), _entry(row, start) if _is_bedrock(row) else LeftOut("of other AWS services")


def _standing_day(row: Row, start: datetime) -> date:
    """The UTC day of the usage; for what lies outside the bill's period, such as a late refund, the period's first."""
    since, until = ("bill_billing_period_start_date", "bill_billing_period_end_date")
    if not (row.says(since) and row.says(until)):
        return start.date()
    first = row.instant(since)
    return start.date() if first <= start < row.instant(until) else first.date()


def _is_bedrock(row: Row) -> bool:
    told = ("line_item_product_code", "line_item_line_item_description", "product_servicecode", "product")
    return any("bedrock" in row.text(column).lower() for column in told)


def _entry(row: Row, start: datetime) -> Entry:
    amount = row.amount("line_item_unblended_cost")
    is_double = row.is_printed and values.is_double(amount)
    usage_type, kind = row.text("line_item_usage_type"), row.text("line_item_line_item_type")
    category = _CATEGORIES.get(kind.lower(), Category.ADJUSTMENT)
    model, token_class, terms = _meaning(row, usage_type)
    usage, per = row.number_of("line_item_usage_amount"), meters.tokens_per(row.text("pricing_unit"))
    quantity = meters.tokens_of(usage, per, is_double=row.is_printed)
    reason = _reason(row, category, model, token_class)
    return Entry(
        row=row.number,
        place=row.place,
        line_item=usage_type or row.text("line_item_line_item_description"),
        model=model,
        token_class=OTHER if reason or token_class is None else token_class.value,
        reason=reason,
        quantity=None if reason else quantity,
        quantity_raw=row.text("line_item_usage_amount"),
        quantity_unit=row.text("pricing_unit"),
        amount=amount,
        amount_places=values.meant_places(amount) if is_double else values.places(amount),
        is_double=is_double,
        currency=row.currency("line_item_currency_code"),
        organization=row.text("bill_payer_account_id"),
        project_id=row.text("line_item_usage_account_id"),
        user_id=row.text("line_item_iam_principal"),
        category=category,
        start=start,
        end=row.instant("line_item_usage_end_date"),
        terms=terms,
        billing=Billing(invoice_id=row.text("bill_invoice_id")),
        tags=_tags(row),
    )


def _meaning(row: Row, usage_type: str) -> tuple[str, TokenClass | None, Terms]:
    """Model, class and terms, from the usage type."""
    region = row.text("product_region_code")
    found = _TOKENS.fullmatch(usage_type)
    if found is None:
        return "", None, Terms(region=region)
    token_class = _CLASSES[found["kind"].lower().replace("-", "")]
    rest = f"{found['head']}{found['tail']}".lower()
    if token_class is TokenClass.CACHE_WRITE_5M and re.search(r"\b1h\b|-1hour\b", rest):
        token_class = TokenClass.CACHE_WRITE_1H
    reach = "global" if "global" in rest else "geo" if "cross-region" in rest or "geo" in rest else ""
    model = _REGION.sub("", found["head"], count=1)
    if found["head"].startswith("MP:"):  # Of the marketplace: the product has the model's name, not the usage type.
        model = _EDITION.sub("", str(row.object("product").get("product_name") or ""))
    tier = next((tier for tier in _TIERS if re.search(rf"\b{tier}\b", rest)), "")
    return model, token_class, Terms(processing_tier=tier, region=region, deployment_type=reach)


def _reason(row: Row, category: Category, model: str, token_class: TokenClass | None) -> str:
    """Why the line is no tokens of a class; "" = it is."""
    kind = row.text("line_item_line_item_type")
    if kind.lower() not in _CATEGORIES:
        return f"line item type {kind!r} is not known"
    if category is not Category.USAGE:
        return f"a line of type {kind}, not of usage"
    if token_class is None:
        return f"usage type {row.text('line_item_usage_type')!r} is no kind of tokens that is known"
    return "" if model else "no model: neither the usage type nor the product names one"


def _tags(row: Row) -> tuple[tuple[str, str], ...]:
    told = {
        "resource": row.text("line_item_resource_id"),
        "description": row.text("line_item_line_item_description"),
        "line_item_id": row.text("identity_line_item_id"),
        "type": row.text("line_item_line_item_type"),
    }
    tagged = {f"tag:{name}": str(value) for name, value in row.object("resource_tags").items()}
    return tuple((name, value) for name, value in (told | tagged).items() if value)


IMPORTER = Importer(
    name="aws_cur",
    title="AWS's cost and usage report (CUR 2.0: CSV, gzip or Parquet)",
    document=Document.COST,
    read=read,
    required=REQUIRED,
    told_by=("line_item_usage_type",),
    gaps_are_empty=True,
)
