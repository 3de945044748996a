"""What others billed wrong, once more: the vendor's own usage, the card, and what the invoice says. The table is in
deploy/docs/misbillings.md; the SQL that rates a month equals the rule asked here (test_rating.py).
"""

import re
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from gateway.config.cards import RateCardEntry
from gateway.domain.rate_card import RateBook, Unpriced, price, processing_tier
from gateway.domain.usage import from_openai

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "deploy" / "docs" / "misbillings.md").read_text("utf-8")
NOW = datetime(2026, 11, 20, tzinfo=UTC)

SONNET = {"input": "3", "cache_read": "0.3", "cache_write_5m": "3.75", "cache_write_1h": "6", "output": "15"}
GPT = {"input": "2.5", "cache_read": "0.25", "output": "15"}


def prompt(total: int, output: int = 0, **details: object) -> dict[str, object]:
    return {"prompt_tokens": total, "completion_tokens": output, "prompt_tokens_details": details}


def cost(usage: dict[str, object], *cards: dict[str, object], tier: str = "", **said: str) -> Decimal | None:
    """Dollars by the book of those cards; None = unpriced."""
    plain = {"provider": "v", "model": "m", "effective_from": "2026-01-01T00:00:00Z"}
    book = RateBook(RateCardEntry.model_validate(plain | card).card() for card in cards)
    found = from_openai(usage)
    card = book.in_force(
        provider="v", account="a", model="m", at=NOW, tier=processing_tier(tier), modality=found.modality,
        prompt_tokens=found.input_total, **said,
    )  # fmt: skip
    try:
        return price(found, card).amount if card else None
    except Unpriced:
        return None


def priced(usage: dict[str, object], prices: dict[str, str]) -> Decimal | None:
    return cost(usage, {"per_million_tokens": prices})


def test_cached_input_costs_the_cached_price_once_and_the_rest_the_whole() -> None:
    """2, 6, 9, 12, 26, 36: at the input's price 0.03; counted beside the whole 0.0327."""
    assert priced(prompt(10_000, cached_tokens=9_000), SONNET) == Decimal("0.0057")


def test_what_is_written_to_the_cache_is_charged_once_and_not_as_input_too() -> None:
    """3, 7, 32: 0.0913 were shown where 0.0544 was billed; a dropped class costs nothing at all."""
    assert priced(prompt(10_000, cache_write_tokens=8_000), SONNET) == Decimal("0.036")


def test_an_hour_in_the_cache_costs_the_hours_price() -> None:
    """5, 33, 35: all at the five minutes' price it were 0.030, 0.625 times as much."""
    split = {"cache_creation_tokens": 8_000, "cache_creation_token_details": {"ephemeral_1h_input_tokens": 8_000}}
    assert priced(prompt(8_000, **split), SONNET) == Decimal("0.048")


def test_tokens_of_images_are_counted_once_though_vendors_name_them_twice() -> None:
    """8: 72% too much where cached and image tokens are taken as apart; here they only choose the card."""
    usage = prompt(10_000, cached_tokens=6_000, image_tokens=8_000)
    text, image = ({"per_million_tokens": SONNET, **more} for more in ({}, {"modality": "image"}))
    assert cost(usage, text) is None
    assert cost(usage, text, image) == Decimal("0.0138")


def test_thoughts_are_output_and_neither_the_whole_of_it_nor_free() -> None:
    """11, 27, 30, 39: 900 of 1,000 tokens are reasoning; all 1,000 are output."""
    usage = {"completion_tokens": 1_000, "completion_tokens_details": {"reasoning_tokens": 900}}
    assert priced(usage, SONNET) == Decimal("0.015")


def test_no_tokens_cost_nothing_and_are_not_estimated() -> None:
    """15: a usage of zeros is what the vendor says."""
    assert priced(prompt(0), SONNET) == 0


def test_a_tier_is_priced_by_its_own_card_and_never_by_the_default_one() -> None:
    """22, 40: flex and batch at the standard price are twice the bill; with no card of theirs they are unpriced."""
    half = {"per_million_tokens": GPT, "processing_tier": "flex", "multipliers": [{"of": "flex", "factor": "0.5"}]}
    batch = {"per_million_tokens": GPT, "processing_tier": "batch", "multipliers": [{"of": "batch", "factor": "0.5"}]}
    usage, default = prompt(1_000_000), {"per_million_tokens": GPT}
    assert [cost(usage, default, half, batch, tier=tier) for tier in ("default", "flex", "batch", "priority")] == [
        Decimal("2.5"), Decimal("1.25"), Decimal("1.25"), None,
    ]  # fmt: skip


def test_a_regions_uplift_is_in_its_card() -> None:
    """23: without it a tenth is missing."""
    uplift = {"per_million_tokens": GPT, "region": "us", "multipliers": [{"of": "region", "factor": "1.1"}]}
    cards = ({"per_million_tokens": GPT}, uplift)
    assert [cost(prompt(1_000_000), *cards, region=region) for region in ("us", "eu")] == [
        Decimal("2.75"),
        Decimal("2.5"),
    ]


def test_a_long_prompt_of_a_batch_has_half_the_long_price() -> None:
    """24, 31: above 272,000 tokens, cached ones included, the whole prompt has the long price, in each tier its own."""
    half = {"processing_tier": "batch", "multipliers": [{"of": "batch", "factor": "0.5"}]}
    short = {"per_million_tokens": GPT, **half}
    long = {
        "per_million_tokens": {"input": "5", "cache_read": "0.5", "output": "22.5"},
        "context": {"threshold": 272_000},
        **half,
    }
    usages = [prompt(272_000 + more, cached_tokens=200_000) for more in (0, 1)]
    assert [cost(usage, short, long, tier="batch") for usage in usages] == [Decimal("0.115"), Decimal("0.2300025")]


def test_an_unknown_model_and_a_class_without_a_price_are_unpriced_and_never_free() -> None:
    """10, 25, 34: $1.16 were shown where 185 was billed, and no budget fired."""
    assert cost(prompt(1_000)) is None
    assert priced(prompt(1_000, cached_tokens=1), {"input": "3", "output": "15"}) is None


def test_each_of_the_forty_one_has_its_row_with_a_test() -> None:
    rows = re.findall(r"^\| (\d+) \|.*`test_\w+` \|$", PAGE, re.MULTILINE)
    assert [*map(int, rows)] == list(range(1, 42))
