"""The price list of the package genai-prices, read as cards: the seed of a book, and a second opinion of it.

It has no contracts and no provenance of a single price, gives the standard price for a tier it does not know, and is
unsure of prices by the hour; so it is read and approved like any other source, and asked for nothing afterwards.
"""

import hashlib
from collections.abc import Iterator, Mapping
from datetime import datetime
from importlib.metadata import version
from typing import Any

from genai_prices.data import providers
from genai_prices.types import ModelInfo, ModelPrice, Provider, StartDateConstraint, TieredPrices, TimeOfDateConstraint

from analytics.rates.proposal import Skipped
from analytics.rates.sources import Asked, Found, Prices, collect
from gateway.domain.usage import TokenClass

PROVIDERS = {
    "aws": "aws.bedrock",
    "azure": "azure.ai.openai",
    "google": "gcp.gemini",
    "mistral": "mistral_ai",
    "x-ai": "x_ai",
    "moonshotai": "moonshot_ai",
    "cohere": "cohere",
}
"""Its names where they are not ours; the rest are the same."""
_CLASSES = {
    TokenClass.INPUT_UNCACHED: "input_mtok",
    TokenClass.CACHE_READ: "cache_read_mtok",
    TokenClass.CACHE_WRITE_5M: "cache_write_mtok",
    TokenClass.CACHE_WRITE_1H: "cache_write_1h_mtok",
    TokenClass.OUTPUT: "output_mtok",
    TokenClass.REASONING: "output_reasoning_mtok",
}
_TIERS = {
    ("processing", "batch"): "batch",
    ("service_tier", "flex"): "flex",
    ("service_tier", "priority"): "priority",
}


def release() -> tuple[str, str]:
    """What the installed list calls itself, and its hash."""
    name = f"genai-prices {version('genai-prices')}"
    return name, hashlib.sha256(repr(providers).encode()).hexdigest()


def genai(asked: Asked) -> Found:
    """The list's prices as they are at asked.effective_from."""
    return collect(asked, _offers(asked))


def _offers(asked: Asked) -> Iterator[Mapping[str, Any] | Skipped]:
    for theirs in providers:
        ours = PROVIDERS.get(theirs.id, theirs.id)
        for name, model in _models(theirs, ours, asked):
            if _by_the_hour(model):
                yield Skipped(f"{ours}/{name}", "its price depends on the time of day")
                continue
            base = _listed(model.get_prices(asked.effective_from))
            yield from _cards(ours, name, "", base)
            for variant in model.price_variants or ():
                tier = _TIERS.get(next(iter(variant.when.items()), ("", ""))) if len(variant.when) == 1 else None
                if tier and _begun(variant.constraint, asked.effective_from):
                    yield from _cards(ours, name, tier, base | _listed(variant.prices))


def _models(theirs: Provider, ours: str, asked: Asked) -> Iterator[tuple[str, ModelInfo]]:
    """The models wanted, each under the name that it is asked for by."""
    if asked.names is None:
        yield from ((model.id, model) for model in theirs.models)
        return
    for provider, name in sorted(asked.names):
        found = theirs.find_model(name) if provider == ours else None
        if found is not None:
            yield name, found


def _cards(provider: str, model: str, tier: str, listed: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    said = {one: listed[key] for one, key in _CLASSES.items() if key in listed}
    starts = {tier.start + 1 for price in said.values() if isinstance(price, TieredPrices) for tier in price.tiers}
    for prompt_from in sorted({0, *starts}):
        prices: Prices = {one: _at(price, prompt_from) for one, price in said.items()}
        if prices:
            yield {
                "provider": provider,
                "model": model,
                "processing_tier": tier,
                "prompt_from": prompt_from,
                "per_million": prices,
            }


def _at(price: Any, prompt_tokens: int) -> Any:
    """The price for a prompt so long: beyond a start, all of it has that tier's."""
    if not isinstance(price, TieredPrices):
        return price
    reached = [tier.price for tier in sorted(price.tiers, key=lambda tier: tier.start) if prompt_tokens > tier.start]
    return reached[-1] if reached else price.base


def _listed(prices: ModelPrice) -> dict[str, Any]:
    return {name: price for name, price in vars(prices).items() if price is not None and not name.startswith("_")}


def _by_the_hour(model: ModelInfo) -> bool:
    prices = model.prices if isinstance(model.prices, list) else []
    return any(isinstance(one.constraint, TimeOfDateConstraint) for one in prices)


def _begun(constraint: object, at: datetime) -> bool:
    return constraint is None or (isinstance(constraint, StartDateConstraint) and constraint.start_date <= at.date())
