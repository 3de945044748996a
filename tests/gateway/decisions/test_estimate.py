"""What a rung would cost, before it is called."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from gateway.domain.rate_card import RateCard
from gateway.domain.usage import TokenClass, Usage
from gateway.estimate import Forecast
from gateway.ladder import NO_QUOTE, Quote


def card(currency: str = "USD", **prices: str) -> RateCard:
    per_million = {TokenClass(name): Decimal(price) for name, price in prices.items()}
    start = datetime(2026, 1, 1, tzinfo=UTC)
    return RateCard(provider="p", model="m", currency=currency, effective_from=start, per_million=per_million)


CARD = card(input_uncached="1", output="2")


def test_without_experience_bytes_are_divided_by_four_and_the_answer_is_as_long_as_it_may_be() -> None:
    assert Forecast().quote(CARD, 4000, 500) == Quote(Decimal("0.002"), Decimal("0.002"))


def test_the_expected_answer_is_as_long_as_the_aliass_mean_and_the_worst_case_is_not() -> None:
    forecast = Forecast()
    forecast.learn(4000, Usage(input_uncached=1000, output=90, reasoning=10))
    assert forecast.quote(CARD, 4000, 500) == Quote(Decimal("0.0012"), Decimal("0.002"))
    assert forecast.quote(CARD, 4000, 50) == Quote(Decimal("0.0011"), Decimal("0.0011"))


def test_the_aliass_own_bytes_per_token_are_learned() -> None:
    forecast = Forecast()
    for _ in range(200):
        forecast.learn(2000, Usage(input_uncached=600, cache_read=400, output=1))
    assert forecast.bytes_per_token == pytest.approx(2.0, rel=0.01)


def test_an_answer_without_prompt_tokens_teaches_nothing_of_the_prompt() -> None:
    forecast = Forecast()
    forecast.learn(2000, Usage(output=5))
    assert (forecast.bytes_per_token, forecast.output_tokens) == (4.0, 5.0)


def test_reasoning_that_is_dearer_than_output_makes_the_worst_case() -> None:
    dear = card(input_uncached="0", output="2", reasoning="10")
    assert Forecast().quote(dear, 4, 100).worst_usd == Decimal("0.001")


@pytest.mark.parametrize(
    "known", [None, card(output="2"), card(input_uncached="1"), card("EUR", input_uncached="1", output="2")]
)
def test_an_unknown_price_is_none_and_not_zero(known: RateCard | None) -> None:
    assert Forecast().quote(known, 4000, 500) == NO_QUOTE
