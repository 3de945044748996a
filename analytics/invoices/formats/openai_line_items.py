"""What OpenAI's line items mean: `gpt-4o-mini-2024-07-18, cached input` is a model and a token class.

    , input                                  input_uncached
    , cached input                           cache_read
    , output                                 output        (reasoning tokens included)
    , cache write  , cache writes            cache_write_5m
    , cache write 1h                         cache_write_1h
    , reasoning    , reasoning output        reasoning

Anything else (a modality as in `gpt-audio text, input`, a processing tier as in `priority | gpt-5, output`, a long
context, web search, storage) is kept as `other` with the reason, never dropped and never counted as zero. Read in
exports and Costs API answers of 2026.
"""

from dataclasses import dataclass
from decimal import Decimal

from analytics.reconciliation.variance import OTHER
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
_TOKENS_PER_UNIT = {"": 1, "tokens": 1, "1000_tokens": 1000}
"""A token line that leaves its unit out counts tokens: nothing else is sold by input and output."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """A line item, understood. `token_class` is "other" exactly where `reason` says why."""

    model: str
    token_class: str
    quantity: int | None
    reason: str = ""


def understand(line_item: str, quantity: Decimal | None, unit: str, amount: Decimal) -> Meaning:
    """The model, token class and tokens of one billed line."""
    model, token_class, reason = _read(line_item.strip())
    per_unit = _TOKENS_PER_UNIT.get(unit.lower())
    tokens = None if quantity is None or per_unit is None else quantity * per_unit
    if token_class is None:
        return Meaning(model, OTHER, None, reason)
    if amount < 0:
        return Meaning(model, OTHER, None, "a negative amount, such as a credit")
    if quantity is not None and per_unit is None:
        return Meaning(model, OTHER, None, f"counted in {unit}, not in tokens")
    if tokens is not None and tokens != tokens.to_integral_value():
        return Meaning(model, OTHER, None, f"{quantity} {unit or 'tokens'} is not a whole number of tokens")
    return Meaning(model, token_class.value, None if tokens is None else int(tokens))


def _read(line_item: str) -> tuple[str, TokenClass | None, str]:
    if not line_item:
        return "", None, "no line item: export the costs grouped by line item"
    tier, bar, sold = line_item.rpartition(" | ")
    head, comma, suffix = sold.partition(", ")
    if not comma:
        return "", None, f"line item {line_item!r} names no model and token class"
    model, space, _ = head.partition(" ")
    token_class = _CLASSES.get(suffix.lower())
    if bar:
        return model, None, f"line item {line_item!r} is sold as {tier!r}, which is not reconciled"
    if space or token_class is None:
        return model, None, f"line item {line_item!r} is of a kind that is not reconciled"
    return model, token_class, ""
