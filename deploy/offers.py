"""What stands behind each alias, where it is and what it costs by the card in force; and what an alias lacks of that.

Pure, over a configuration and an instant.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from gateway.config import Fault, RoutingConfig, Target
from gateway.config.hosts import host_names
from gateway.domain.ids import UpstreamId
from gateway.domain.rate_card import RateCard
from gateway.domain.usage import TokenClass

SHOWN = (TokenClass.INPUT_UNCACHED, TokenClass.CACHE_READ, TokenClass.OUTPUT)


@dataclass(frozen=True, slots=True)
class Offer:
    """A rung of an alias as it stands."""

    alias: str
    tier: str
    place: str
    """In the file: aliases.fast.targets[0]."""
    upstream: str
    provider: str
    model: str
    region: str
    quantization: str
    card: RateCard | None
    """In force in the vendor's default processing tier; None = it has no price by the token."""
    rented: bool
    """It runs on hosts of one's own, whose rent is its cost."""


def offers(config: RoutingConfig, at: datetime) -> Iterator[Offer]:
    """Every rung that names a model, first choices before ladders."""
    owned = host_names(config.hosts, config.upstreams.values())
    for name, alias in sorted(config.aliases.items()):
        places = [("targets", alias.targets), ("fallback", alias.fallback)]
        for tier, own in alias.tiers.items():
            places += [(f"tiers.{tier}.targets", own.targets or ()), (f"tiers.{tier}.fallback", own.fallback or ())]
        for place, rungs in places:
            for number, rung in enumerate(rungs):
                if not isinstance(rung, Target):
                    continue
                behind = config.upstreams[UpstreamId(rung.upstream)]
                card = config.rate_cards.in_force(
                    provider=behind.provider,
                    account=behind.account,
                    model=rung.model,
                    at=at,
                    region=behind.region,
                    deployment=behind.deployment,
                )
                yield Offer(
                    alias=name,
                    tier=alias.tier,
                    place=f"aliases.{name}.{place}[{number}]",
                    upstream=rung.upstream,
                    provider=behind.provider,
                    model=rung.model,
                    region=behind.region,
                    quantization=behind.quantization,
                    card=card,
                    rented=all((behind.name, url) in owned for url in behind.base_urls),
                )


def lacking(config: RoutingConfig, at: datetime) -> list[Fault]:
    """What the aliases lack to be accounted for, each with the place and with what to write there."""
    found: dict[tuple[str, str], Fault] = {}
    for offer in offers(config, at):
        behind = f"upstreams.{offer.upstream}"
        for key, value, example in (
            ("region", offer.region, "where it is, such as us-east-1; hosts of your own have a place too"),
            ("quantization", offer.quantization, "how its models are quantized, or none"),
            ("provider", offer.provider, "the vendor, as its rate cards and invoices name it"),
        ):
            if not value:
                problem = f"{offer.place} needs it: write {key}: {example}"
                found.setdefault((behind, key), Fault(f"{behind}.{key}", problem))
        missing = _unpriced(offer)
        if missing:
            found[offer.place, offer.model] = Fault(offer.place, missing)
    return list(found.values())


def _unpriced(offer: Offer) -> str:
    if offer.rented:
        return ""
    name = f"{offer.provider}/{offer.model}"
    way_out = f"write it under rate_cards ({{provider: {offer.provider}, model: {offer.model}, ...}})"
    way_out += ", or see `tollway rates import`"
    if offer.card is None:
        return f"no rate card of {name} is in force: {way_out}"
    if offer.card.currency != "USD":
        return f"the rate card of {name} is in {offer.card.currency}, which is not converted: {way_out} in USD"
    if offer.card.price_per_million(TokenClass.INPUT_UNCACHED) is None:
        return f"the rate card of {name} has no price of input: {way_out}"
    return ""
