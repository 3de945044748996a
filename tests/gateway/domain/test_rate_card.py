"""Prices are dated, exact, and never guessed."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from gateway.domain.rate_card import RateBook, RateCard, RateCardInvalid, Unpriced, price
from gateway.domain.usage import TokenClass, Usage

JANUARY = datetime(2026, 1, 1, tzinfo=UTC)
JUNE = datetime(2026, 6, 1, tzinfo=UTC)
PRICES = {
    TokenClass.INPUT_UNCACHED: Decimal("0.15"),
    TokenClass.CACHE_READ: Decimal("0.075"),
    TokenClass.OUTPUT: Decimal("0.60"),
}


def card(
    *,
    effective_from: datetime = JANUARY,
    effective_to: datetime | None = None,
    account: str = "",
    per_million: dict[TokenClass, Decimal] | None = None,
    processing_tier: str = "",
    prompt_from: int = 0,
) -> RateCard:
    return RateCard(
        provider="openai",
        model="gpt-4o-mini",
        currency="USD",
        effective_from=effective_from,
        effective_to=effective_to,
        account=account,
        per_million=per_million or PRICES,
        processing_tier=processing_tier,
        prompt_from=prompt_from,
    )


def test_each_class_is_priced_by_its_own_rate() -> None:
    usage = Usage(input_uncached=1_000_000, cache_read=2_000_000, output=500_000)
    assert price(usage, card()).amount == Decimal("0.15") + Decimal("0.15") + Decimal("0.30")


def test_reasoning_is_billed_as_output_where_the_card_is_silent() -> None:
    assert price(Usage(reasoning=1_000_000), card()).amount == Decimal("0.60")


def test_a_class_without_a_price_is_unpriced_not_free() -> None:
    with pytest.raises(Unpriced, match="no price for cache_write_5m"):
        price(Usage(cache_write_5m=1), card())


def test_a_class_without_tokens_needs_no_price() -> None:
    assert price(Usage(output=1), card(per_million={TokenClass.OUTPUT: Decimal(1)})).amount == Decimal("0.000001")


@pytest.mark.parametrize(("offset_us", "found"), [(-1, "old"), (0, "new"), (1, "new")])
def test_a_price_changes_at_its_instant(offset_us: int, found: str) -> None:
    cards = {"old": card(effective_to=JUNE), "new": card(effective_from=JUNE)}
    at = JUNE + timedelta(microseconds=offset_us)
    assert RateBook(cards.values()).in_force(provider="openai", account="a", model="gpt-4o-mini", at=at) == cards[found]


def test_an_accounts_own_card_goes_before_the_general_one() -> None:
    own, general = card(account="org-main"), card()
    book = RateBook([general, own])
    at = JUNE
    assert book.in_force(provider="openai", account="org-main", model="gpt-4o-mini", at=at) == own
    assert book.in_force(provider="openai", account="org-else", model="gpt-4o-mini", at=at) == general


def test_before_the_first_card_there_is_no_price() -> None:
    at = JANUARY - timedelta(microseconds=1)
    assert RateBook([card()]).in_force(provider="openai", account="", model="gpt-4o-mini", at=at) is None


def test_overlapping_cards_are_refused() -> None:
    with pytest.raises(RateCardInvalid, match="overlap"):
        RateBook([card(effective_to=JUNE), card(effective_from=JUNE - timedelta(seconds=1))])


@pytest.mark.parametrize(
    ("prices", "problem"),
    [
        ({TokenClass.OUTPUT: Decimal(-1)}, "zero or more"),
        ({TokenClass.OUTPUT: Decimal("NaN")}, "zero or more"),
        ({TokenClass.OUTPUT: Decimal("0.0000000000001")}, "more than 12 decimal places"),
        ({TokenClass.OUTPUT: 0.5}, "not a Decimal"),
    ],
)
def test_a_price_that_cannot_be_kept_exactly_is_refused(prices: dict[TokenClass, Decimal], problem: str) -> None:
    with pytest.raises(RateCardInvalid, match=problem):
        card(per_million=prices)


def test_a_card_without_a_time_zone_is_refused() -> None:
    with pytest.raises(RateCardInvalid, match="time zone"):
        card(effective_from=datetime(2026, 1, 1))  # noqa: DTZ001


def test_a_cards_name_tells_its_content() -> None:
    assert card().card_id == card().card_id
    dearer = card(per_million={**PRICES, TokenClass.OUTPUT: Decimal("0.61")})
    assert card().card_id != dearer.card_id
    assert card().card_id.startswith("openai/gpt-4o-mini@2026-01-01T00:00:00Z#")


def test_a_card_holds_for_its_own_processing_tier_alone() -> None:
    listed, batch = card(), card(processing_tier="batch")
    book = RateBook([listed, batch])
    asked = {"provider": "openai", "account": "", "model": "gpt-4o-mini", "at": JUNE}
    assert [book.in_force(**asked, tier=tier) for tier in ("", "batch", "flex")] == [listed, batch, None]  # type: ignore[arg-type]
    assert listed.card_id != batch.card_id
    with pytest.raises(RateCardInvalid, match="overlap"):
        RateBook([listed, batch, batch])


def test_a_processing_tier_that_is_not_priced_apart_is_refused() -> None:
    with pytest.raises(RateCardInvalid, match="no processing tier 'slow'"):
        card(processing_tier="slow")


def test_a_card_of_the_default_tier_keeps_the_name_it_had_before_there_were_others() -> None:
    assert card().card_id == "openai/gpt-4o-mini@2026-01-01T00:00:00Z#196848d2"


def test_closing_a_card_does_not_rename_it() -> None:
    """Or a price that changes today would rate every day of the year again."""
    assert card(effective_to=JUNE).card_id == card().card_id


def test_a_gap_between_the_dates_of_one_key_is_refused_with_both_cards_and_its_instants() -> None:
    early, late = card(effective_to=JUNE - timedelta(days=1)), card(effective_from=JUNE)
    with pytest.raises(RateCardInvalid, match="leave a gap from 2026-05-31T00:00:00") as refused:
        RateBook([late, early])
    assert refused.value.cards == (early, late)
    RateBook([early, card(effective_from=JUNE, account="org-main")])


@pytest.mark.parametrize(
    ("below", "problem"),
    [
        ([], "no card shorter ones"),
        ([card(effective_from=JUNE)], "no card shorter ones for all of its time"),
        ([card(effective_to=JUNE)], "no card shorter ones for all of its time"),
        ([card(per_million={**PRICES, TokenClass.REASONING: Decimal(1)})], "no price for reasoning, which shorter"),
    ],
)
def test_a_band_of_long_prompts_needs_the_prices_below_it(below: list[RateCard], problem: str) -> None:
    with pytest.raises(RateCardInvalid, match=problem):
        RateBook([*below, card(prompt_from=200_001)])


@pytest.mark.parametrize("word", [{"deployment": "world"}, {"modality": "world"}, {"kind": "world"}])
def test_a_word_that_no_attempt_says_is_refused(word: dict[str, str]) -> None:
    with pytest.raises(RateCardInvalid, match=f"no {next(iter(word))} 'world'; use one of"):
        replace(card(), **word)  # type: ignore[arg-type]
