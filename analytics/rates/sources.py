"""Price lists of others, read as cards. Pure: bytes in, cards out, and what could not be told as a card, and why.

Prices are decimals from the text on; a float of LiteLLM's map is its own digits. Nothing of a source is a price of ours
before somebody approves it: they round, leave dimensions out, and disagree.
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from analytics.rates.proposal import Skipped
from gateway.domain.money import EXACT
from gateway.domain.rate_card import PER_MILLION, Provenance, RateBook, RateCard, RateCardInvalid
from gateway.domain.usage import TokenClass

Prices = dict[TokenClass, Decimal]
IN, READ, WRITE_5M = TokenClass.INPUT_UNCACHED, TokenClass.CACHE_READ, TokenClass.CACHE_WRITE_5M
WRITE_1H, OUT, REASONING = TokenClass.CACHE_WRITE_1H, TokenClass.OUTPUT, TokenClass.REASONING


class SourceInvalid(ValueError):
    """What is there is not that price list; the message names the place."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What of a source is wanted, and what is said of it."""

    source: str
    """A URL, or a file's name, behind the kind of the source."""
    captured_at: datetime
    sha256: str
    effective_from: datetime
    names: frozenset[tuple[str, str]] | None = None
    """The (provider, model) whose cards are wanted; None = all."""

    def wanted(self, provider: str, model: str) -> bool:
        """Whether that model's cards are."""
        return self.names is None or (provider, model) in self.names


Found = tuple[list[RateCard], list[Skipped]]


def collect(asked: Asked, offers: Iterable[Mapping[str, Any] | Skipped]) -> Found:
    """The offers as cards. A model whose prices contradict themselves or each other is skipped, with the reason."""
    models: dict[tuple[str, str], list[RateCard]] = {}
    skipped: dict[tuple[str, str], Skipped] = {}
    told = Provenance(asked.source, asked.captured_at, asked.sha256)
    for offer in offers:
        if isinstance(offer, Skipped):
            skipped[offer.model, offer.why] = offer
            continue
        name = (offer["provider"], offer["model"])
        fields = {"effective_from": asked.effective_from, "currency": "USD", "provenance": told, **offer}
        try:
            cards = [*models.get(name, ()), RateCard(**fields)]
            RateBook(card for card in cards if not card.prompt_from)
            models[name] = cards
        except RateCardInvalid as fault:
            skipped[name] = Skipped("/".join(name), str(fault))
    for name, cards in models.items():
        try:
            RateBook(cards)
        except RateCardInvalid as fault:
            skipped[name] = Skipped("/".join(name), str(fault))
    found = [card for name, cards in models.items() if name not in skipped for card in cards]
    return found, list(skipped.values())


LITELLM_PROVIDERS = {
    "azure": "azure.ai.openai",
    "vertex_ai-language-models": "gcp.vertex_ai",
    "gemini": "gcp.gemini",
    "bedrock": "aws.bedrock",
    "bedrock_converse": "aws.bedrock",
    "mistral": "mistral_ai",
    "xai": "x_ai",
}
"""Its names where they are not ours; the rest are the same."""
_LITELLM = {
    IN: "input_cost_per_token",
    READ: "cache_read_input_token_cost",
    WRITE_5M: "cache_creation_input_token_cost",
    WRITE_1H: "cache_creation_input_token_cost_above_1hr",
    OUT: "output_cost_per_token",
    REASONING: "output_cost_per_reasoning_token",
}
_LITELLM_TIERS = {"": "", "_batches": "batch", "_flex": "flex", "_priority": "priority"}
_LITELLM_BANDS = (0, 100, 128, 200, 256, 272, 512)
"""The thresholds of its keys, in thousands of tokens; 0 = none."""


def litellm(text: bytes, asked: Asked) -> Found:
    """LiteLLM's model_prices_and_context_window.json. Raises SourceInvalid."""
    return collect(asked, _litellm(_object(text, asked), asked))


def _litellm(models: Mapping[str, Any], asked: Asked) -> Iterator[Mapping[str, Any] | Skipped]:
    for name, said in models.items():
        if name == "sample_spec" or not isinstance(said, dict):
            continue
        theirs = str(said.get("litellm_provider", ""))
        provider, model = LITELLM_PROVIDERS.get(theirs, theirs), name.removeprefix(f"{theirs}/")
        if not asked.wanted(provider, model):
            continue
        if said.get("tiered_pricing"):
            yield Skipped(f"{provider}/{model}", "it has ranges of prompt lengths of its own (tiered_pricing)")
            continue
        for suffix, tier in _LITELLM_TIERS.items():
            base: Prices = {}
            for thousands in _LITELLM_BANDS:
                above = f"_above_{thousands}k_tokens" if thousands else ""
                prices = _per_token(said, {one: f"{key}{above}{suffix}" for one, key in _LITELLM.items()})
                if not thousands:
                    base = prices
                if prices and base:
                    band = {"prompt_from": thousands * 1000 + 1} if thousands else {}
                    yield {
                        "provider": provider,
                        "model": model,
                        "processing_tier": tier,
                        "per_million": {**base, **prices},
                        **band,
                    }


def openrouter(text: bytes, asked: Asked) -> Found:
    """OpenRouter's answer to GET /api/v1/models. Raises SourceInvalid."""
    listed = _object(text, asked).get("data")
    if not isinstance(listed, list):
        raise SourceInvalid(f"{asked.source}: no `data` with models; give the answer to GET /api/v1/models")
    keys = {
        IN: "prompt", READ: "input_cache_read", WRITE_5M: "input_cache_write", OUT: "completion",
        REASONING: "internal_reasoning",
    }  # fmt: skip
    offers: list[Mapping[str, Any] | Skipped] = []
    for said in listed:
        model, pricing = str(said.get("id", "")), said.get("pricing")
        if not isinstance(pricing, dict) or not asked.wanted("openrouter", model):
            continue
        prices = _per_token(pricing, keys)
        if prices.get(REASONING) == 0:
            prices.pop(REASONING)  # Its way to say that reasoning is billed as output.
        if any(price < 0 for price in prices.values()):
            offers.append(Skipped(f"openrouter/{model}", "its price depends on where it is routed"))
        elif prices:
            offers.append({"provider": "openrouter", "model": model, "per_million": prices})
    return collect(asked, offers)


_CSV_CLASSES = {"input": IN} | {str(one): one for one in TokenClass if one is not IN}
_CSV_TEXTS = (
    "account",
    "processing_tier",
    "snapshot",
    "region",
    "deployment",
    "modality",
    "kind",
    "issuer",
    "currency",
)


def csv_rows(text: bytes, asked: Asked) -> Found:
    """A CSV with a column for each key of a card; prices of a million tokens under the classes' names. Raises
    SourceInvalid with the line."""
    rows = csv.DictReader(io.StringIO(text.decode("utf-8-sig")))
    known = {"provider", "model", "prompt_from", "effective_from", *_CSV_TEXTS, *_CSV_CLASSES}
    given = set(rows.fieldnames or ())
    if not {"provider", "model"} <= given or given - known:
        wrong = ", ".join(sorted(given - known)) or "provider and model are missing"
        raise SourceInvalid(f"{asked.source}: line 1: {wrong}; the columns are {', '.join(sorted(known))}")
    offers: list[Mapping[str, Any] | Skipped] = []
    for row in rows:
        place = f"{asked.source}: line {rows.line_num}"
        if asked.wanted(row["provider"], row["model"]):
            try:
                offers.append(_csv_card(row))
            except (ValueError, ArithmeticError, TypeError) as fault:
                raise SourceInvalid(f"{place}: {fault or 'a price is no number'}") from None
    return collect(asked, offers)


def _csv_card(row: Mapping[str, str]) -> dict[str, Any]:
    said: dict[str, Any] = {name: row[name] for name in ("provider", "model", *_CSV_TEXTS) if row.get(name)}
    said["per_million"] = {one: _csv_price(name, row[name]) for name, one in _CSV_CLASSES.items() if row.get(name)}
    if row.get("prompt_from"):
        said["prompt_from"] = int(row["prompt_from"])
    if row.get("effective_from"):
        said["effective_from"] = datetime.fromisoformat(row["effective_from"])
    return said


def _csv_price(column: str, text: str) -> Decimal:
    try:
        return Decimal(text)
    except ArithmeticError:
        raise ValueError(f"column {column}: {text!r} is not a number such as 0.15") from None


def _per_token(said: Mapping[str, Any], keys: Mapping[TokenClass, str]) -> Prices:
    found = {one: said[key] for one, key in keys.items() if said.get(key) is not None}
    return {one: EXACT.multiply(Decimal(str(price)), PER_MILLION) for one, price in found.items()}


def _object(text: bytes, asked: Asked) -> dict[str, Any]:
    try:
        found = json.loads(text, parse_float=Decimal, parse_int=Decimal)
    except ValueError as fault:
        raise SourceInvalid(f"{asked.source}: it is no JSON: {fault}") from None
    if not isinstance(found, dict):
        raise SourceInvalid(f"{asked.source}: it is no JSON object")
    return found
