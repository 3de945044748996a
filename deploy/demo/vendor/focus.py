"""The invoice as a FOCUS 1.2 cost and usage file, which tells the kinds of charge, tiers and currencies too.

A charge for tokens has its model and class in SkuPriceDetails; a correction has the period of what it corrects.
"""

import csv
import io
import json
from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal

from deploy.demo.vendor.invoice import DAY, Line
from deploy.demo.vendor.settings import Settings

COLUMNS = (
    "BilledCost", "BillingAccountId", "BillingCurrency", "BillingPeriodStart", "BillingPeriodEnd", "ChargeCategory",
    "ChargeClass", "ChargeDescription", "ChargePeriodStart", "ChargePeriodEnd", "ConsumedQuantity", "ConsumedUnit",
    "InvoiceId", "PricingCurrency", "PricingCurrencyEffectiveCost", "ProviderName", "SkuPriceDetails",
)  # fmt: skip
_TOKENS = {
    "input": {"TokenDirection": "Input", "TokenCacheAction": "Uncached"},
    "cached input": {"TokenDirection": "Input", "TokenCacheAction": "Read"},
    "output": {"TokenDirection": "Output"},
}


def export(lines: Sequence[Line], month: date, settings: Settings) -> str:
    """The lines as the bill of the month that begins on that day."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\r\n")
    writer.writeheader()
    period = {
        "BillingPeriodStart": _midnight(month),
        "BillingPeriodEnd": _midnight((month + timedelta(days=32)).replace(day=1)),
    }
    writer.writerows({**period, **_row(line, settings)} for line in lines)
    return text.getvalue()


def _row(line: Line, settings: Settings) -> dict[str, str]:
    billed = line.amount if line.currency == "USD" else _cents(line.amount * line.rate)
    return {
        "BilledCost": f"{billed:f}",
        "BillingAccountId": settings.organization_id,
        "BillingCurrency": line.currency,
        "ChargeCategory": line.category,
        "ChargeClass": "Correction" if line.corrects else "",
        "ChargeDescription": line.line_item,
        "ChargePeriodStart": _midnight(line.day),
        "ChargePeriodEnd": _midnight(line.day + DAY),
        "PricingCurrency": "USD",
        "PricingCurrencyEffectiveCost": f"{line.amount:f}",
        "ProviderName": settings.name,
        **(_tokens(line) if line.token_class else {}),
    }


def _tokens(line: Line) -> dict[str, str]:
    details = {"ModelId": line.model, **_TOKENS[line.token_class], "x_ProcessingTier": line.tier}
    return {
        "ConsumedQuantity": str(line.tokens),
        "ConsumedUnit": "Tokens",
        "SkuPriceDetails": json.dumps(details),
    }


def _cents(amount: Decimal) -> Decimal:
    return amount.quantize(Decimal("0.000001"))


def _midnight(day: date) -> str:
    return f"{day}T00:00:00Z"
