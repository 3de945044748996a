"""The words that people read for the codes that the store keeps. A code that is not here is shown as it is."""

from __future__ import annotations

from dataclasses import dataclass

TOKEN_CLASSES = {
    "input_uncached": "Input",
    "cache_read": "Cache read",
    "cache_write_5m": "Cache write 5m",
    "cache_write_1h": "Cache write 1h",
    "output": "Output",
    "reasoning": "Reasoning",
}


@dataclass(frozen=True, slots=True)
class VarianceClass:
    """One class of variance: its code in files, its name on screen, and what it says in one sentence."""

    code: str
    name: str
    meaning: str


VARIANCE_CLASSES = tuple(
    VarianceClass(*row)
    for row in (
        ("TAX", "Tax", "What the invoice calls a tax."),
        ("CREDIT", "Credit", "What the invoice calls a credit or a refund."),
        ("FEE", "Fee", "What the invoice calls a fee."),
        ("PURCHASE", "Purchase", "Prepaid credit or reserved capacity, as the invoice calls it."),
        ("FX", "Currency", "What converting the vendor's price into the invoice's currency made."),
        ("PRIOR_PERIOD_CORRECTION", "Earlier period", "A correction of a period that was invoiced before."),
        ("DUPLICATE", "Billed twice", "The same row twice, or the same tokens under two names."),
        ("UNTRACKED_CHARGE", "Untracked charge", "Billed for an account and model that made no attempt that day."),
        ("UNBILLED_USAGE", "Unbilled usage", "Metered here, but not on the invoice."),
        ("CUTOFF", "Cut-off", "Billed on the day before or after."),
        ("MODEL_MAP", "Model name", "Billed under another model's name."),
        ("CLASS_MIX", "Token class", "As many tokens in all, billed as other token classes."),
        ("TIER_MIX", "Tier or region", "Billed as another processing tier or region of the same model."),
        ("CANCELLED_STREAM", "Cancelled streams", "Our side hung up; the vendor billed what it had generated."),
        (
            "RETRY_OR_FALLBACK",
            "Retries and fallbacks",
            "Attempts that failed or were replaced, and were billed all the same.",
        ),
        ("RATE", "Rate", "Billed at another price than the card in force; another card row explains it."),
        (
            "VOLUME",
            "Volume",
            "Answered attempts whose usage the vendor never reported to us, or that its own usage report counts.",
        ),
        ("ROUNDING", "Rounding", "The invoice rounds each line; no more than its last place."),
        ("UNEXPLAINED", "Unexplained", "Nothing we know accounts for it. It blocks the close until it is settled."),
    )
)
_BY_CODE = {variance.code: variance for variance in VARIANCE_CLASSES}


def variance_class(code: str) -> VarianceClass:
    """The class of this code; an unknown code stands for itself."""
    return _BY_CODE.get(code, VarianceClass(code, code.replace("_", " ").capitalize(), ""))


def token_class(code: str) -> str:
    return TOKEN_CLASSES.get(code, code.replace("_", " ").capitalize())
