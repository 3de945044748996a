"""What an alias costs and where it is, and every thing that it lacks of that, with its place and what to write."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from deploy.offers import lacking, offers
from deploy.settings import TollwayFile
from gateway.config import RoutingConfig, load_text

NOW = datetime(2026, 11, 20, tzinfo=UTC)
EXAMPLE = Path(__file__).parents[2] / "deploy" / "config" / "tollway.example.yaml"
ENV = {"ACME_KEY": "a-key-of-enough-length", "OPENAI_API_KEY": "sk-x"}


def example(*changes: tuple[str, str]) -> RoutingConfig:
    text = EXAMPLE.read_text("utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return load_text(text, TollwayFile, env=ENV).routing()


def test_every_rung_has_its_place_its_region_and_its_card() -> None:
    found = {offer.place: offer for offer in offers(example(), NOW)}
    first, below = found["aliases.fast.targets[0]"], found["aliases.fast.fallback[0]"]
    assert (first.provider, first.region, first.quantization) == ("openai", "us-east-1", "none")
    assert first.card is not None
    assert first.card.card_id.startswith("openai/gpt-4o-mini@2023")
    assert (below.upstream, below.region) == ("azure-eu", "westeurope")


def test_the_example_lacks_nothing() -> None:
    assert lacking(example(), NOW) == []


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ((", region: westeurope", ""), "upstreams.azure-eu.region: aliases.fast.fallback[0] needs it: write region: "),
        ((", quantization: none", ", quantization: ''"), "upstreams.openai-us.quantization: aliases.bulk.targets[0]"),
        (
            ("model: gpt-4.1-nano, currency", "model: other, currency"),
            "aliases.bulk.targets[0]: no rate card of openai/gpt-4.1-nano is in force: write it under rate_cards",
        ),
        (
            ("model: gpt-4.1-nano, currency: USD", "model: gpt-4.1-nano, currency: EUR"),
            "aliases.bulk.targets[0]: the rate card of openai/gpt-4.1-nano is in EUR",
        ),
        (
            ('{input: "0.02"}', '{output: "0.02"}'),
            "aliases.embed.targets[0]: the rate card of openai/text-embedding-3-small has no price of input",
        ),
    ],
)
def test_what_an_alias_lacks_is_named_with_its_place_and_what_to_write(change: tuple[str, str], fault: str) -> None:
    found = [str(one) for one in lacking(example(change), NOW)]
    assert [one for one in found if one.startswith(fault)], found


def test_a_model_on_hosts_of_ones_own_needs_no_price_by_the_token() -> None:
    """Its cost is their rent."""
    unpriced = ("{provider: azure.ai.openai, model: gpt-4o-mini,", "{provider: azure.ai.openai, model: other,")
    assert [fault.path for fault in lacking(example(unpriced), NOW)] == ["aliases.fast.fallback[0]"]
    rented = (
        "hosts: {box: {upstreams: [azure-eu], rent: [{effective_from: '2026-01-01T00:00:00Z', per_hour: 1}]}}\nbreaker:"
    )
    assert lacking(example(unpriced, ("breaker:", rented)), NOW) == []
