"""What OpenAI's line items mean: `gpt-4o-mini-2024-07-18, cached input` is a model and a token class.

    , input                                  input_uncached
    , cached input                           cache_read
    , output                                 output        (reasoning tokens included)
    , cache write  , cache writes            cache_write_5m
    , cache write 1h                         cache_write_1h
    , reasoning    , reasoning output        reasoning

In front of it may stand a processing tier (`priority | gpt-5, output`), behind the model a modality (`gpt-audio audio,
input`), and behind the class `long context`. Anything else (web search, storage) is kept as `other` with the reason,
never dropped and never counted as zero. Read in exports and Costs API answers of 2026.
"""

from dataclasses import dataclass
from decimal import Decimal

from analytics.invoices.entries import DEFAULT_TERMS, Terms
from analytics.reconciliation.variance import OTHER
from gateway.domain.money import EXACT
from gateway.domain.usage import TokenClass

_CLASSES = {
    "input": TokenClass.INPUT_UNCACHED,
    "cached input": TokenClass.CACHE_READ,
    "output": TokenClass.OUTPUT,
    "cache write": TokenClass.CACHE_WRITE_5M,
    "cache writes": TokenClass.CACHE_WRITE_5M,
    "cache write 1h": TokenClass.CACHE_WRITE_1H,
    "reasoning": TokenClass.REASONING,
    "reasoning output": TokenClass.REASONING,
}
_TIERS = ("batch", "flex", "priority")
_MODALITIES = {"text": "", "audio": "audio", "image": "image"}
_LONG = ", long context"
_TOKENS_PER_UNIT = {"": 1, "tokens": 1, "1000_tokens": 1000}
"""A token line that leaves its unit out counts tokens: nothing else is sold by input and output."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """A line item, understood. `token_class` is "other" exactly where `reason` says why."""

    model: str
    token_class: str
    quantity: int | None
    reason: str = ""
    terms: Terms = DEFAULT_TERMS


def understand(line_item: str, quantity: Decimal | None, unit: str, amount: Decimal) -> Meaning:
    """The model, token class and tokens of one billed line."""
    model, token_class, reason, terms = _read(line_item.strip())
    per_unit = _TOKENS_PER_UNIT.get(unit.lower())
    tokens = None if quantity is None or per_unit is None else EXACT.multiply(quantity, Decimal(per_unit))
    if token_class is None:
        return Meaning(model, OTHER, None, reason)
    if amount < 0:
        return Meaning(model, OTHER, None, "a negative amount, such as a credit")
    if quantity is not None and per_unit is None:
        return Meaning(model, OTHER, None, f"counted in {unit}, not in tokens")
    if tokens is not None and tokens != tokens.to_integral_value():
        return Meaning(model, OTHER, None, f"{quantity} {unit or 'tokens'} is not a whole number of tokens")
    return Meaning(model, token_class.value, None if tokens is None else int(tokens), terms=terms)


def _read(line_item: str) -> tuple[str, TokenClass | None, str, Terms]:
    if not line_item:
        return "", None, "no line item: export the costs grouped by line item", DEFAULT_TERMS
    tier, bar, sold = line_item.rpartition(" | ")
    head, comma, suffix = sold.partition(", ")
    if not comma:
        return "", None, f"line item {line_item!r} names no model and token class", DEFAULT_TERMS
    model, space, modality = head.partition(" ")
    if bar and tier.lower() not in _TIERS:
        return model, None, f"line item {line_item!r} is sold as {tier!r}, which is not reconciled", DEFAULT_TERMS
    is_long = suffix.lower().endswith(_LONG)
    token_class = _CLASSES.get(suffix.lower().removesuffix(_LONG))
    if token_class is None or (space and modality not in _MODALITIES):
        return model, None, f"line item {line_item!r} is of a kind that is not reconciled", DEFAULT_TERMS
    terms = Terms(
        processing_tier=tier.lower(), modality=_MODALITIES.get(modality, ""), context_tier="long" if is_long else ""
    )
    return model, token_class, "", terms
