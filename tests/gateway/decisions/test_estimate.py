"""What a rung would cost, before it is called."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from gateway.domain.rate_card import RateCard
from gateway.domain.usage import TokenClass, Usage
from gateway.ladder.estimate import SAMPLES, TAUGHT, Forecast, text_bytes
from gateway.ladder.ladder import NO_QUOTE, Quote


def card(currency: str = "USD", **prices: str) -> RateCard:
    per_million = {TokenClass(name): Decimal(price) for name, price in prices.items()}
    start = datetime(2026, 1, 1, tzinfo=UTC)
    return RateCard(provider="p", model="m", currency=currency, effective_from=start, per_million=per_million)


CARD = card(input_uncached="1", output="2")


def taught(*outputs: int, prompt: int = 1000, request_bytes: int = 4000, times: int = TAUGHT) -> Forecast:
    forecast = Forecast()
    for _ in range(times):
        for output in outputs:
            forecast.learn(request_bytes, Usage(input_uncached=prompt, output=output))
    return forecast


def test_without_experience_a_token_has_four_bytes_two_at_worst_and_the_answer_is_as_long_as_it_may_be() -> None:
    assert Forecast().quote(CARD, 4000, 500) == Quote(Decimal("0.002"), Decimal("0.003"))


def test_the_expected_answer_is_the_mean_of_what_was_seen_and_the_worst_case_is_not() -> None:
    forecast = taught(90, 110)
    assert forecast.quote(CARD, 4000, 500) == Quote(Decimal("0.0012"), Decimal("0.002"))


def test_the_expected_answer_knows_the_distribution_where_a_mean_would_not() -> None:
    forecast = taught(10, 1000)
    assert forecast.output_tokens(2000) == 505
    assert forecast.output_tokens(20) == 15, "half of the answers end at 10, the others are cut at 20"


def test_what_is_expected_is_what_was_seen_lately() -> None:
    forecast = taught(1000, times=SAMPLES)
    for _ in range(SAMPLES):
        forecast.learn(4000, Usage(input_uncached=1000, output=10))
    assert forecast.output_tokens(2000) == 10


def test_the_aliass_own_bytes_per_token_are_learned() -> None:
    forecast = Forecast()
    for _ in range(200):
        forecast.learn(2000, Usage(input_uncached=600, cache_read=400, output=1))
    assert forecast.bytes_per_token == pytest.approx(2.0, rel=0.01)


def test_the_worst_prompt_is_as_dense_as_any_that_was_seen_lately() -> None:
    forecast = taught(1, request_bytes=8000)
    forecast.learn(1000, Usage(input_uncached=800, output=1))
    assert forecast.prompt_tokens_worst(1000) == 800
    for _ in range(SAMPLES):
        forecast.learn(8000, Usage(input_uncached=1000, output=1))
    assert forecast.prompt_tokens_worst(1000) == 125


def test_an_answer_without_prompt_tokens_teaches_nothing_of_the_prompt() -> None:
    forecast = Forecast()
    forecast.learn(2000, Usage(output=5))
    assert (forecast.bytes_per_token, forecast.output_tokens(9)) == (4.0, 5)


def test_reasoning_that_is_dearer_than_output_makes_the_worst_case() -> None:
    dear = card(input_uncached="0", output="2", reasoning="10")
    assert Forecast().quote(dear, 4, 100).worst_usd == Decimal("0.001")


def test_a_prompt_may_be_billed_as_written_to_the_vendors_cache() -> None:
    dear = card(input_uncached="1", output="0", cache_write_1h="2")
    assert taught(1).quote(dear, 4000, 1) == Quote(Decimal("0.001"), Decimal("0.002"))


def test_embeddings_have_no_answer_to_price() -> None:
    assert taught(1).quote(card(input_uncached="1"), 4000, 0) == Quote(Decimal("0.001"), Decimal("0.001"))


@pytest.mark.parametrize(
    "known", [None, card(output="2"), card(input_uncached="1"), card("EUR", input_uncached="1", output="2")]
)
def test_an_unknown_price_is_none_and_not_zero(known: RateCard | None) -> None:
    assert Forecast().quote(known, 4000, 500) == NO_QUOTE


def test_pictures_and_files_are_not_text() -> None:
    part = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 10_000}}
    sound = {"type": "input_audio", "input_audio": {"data": "A" * 10_000, "format": "wav"}}
    fields = {"messages": [{"role": "user", "content": [part, sound, {"type": "text", "text": "four é"}]}]}
    assert text_bytes(fields) == len("userimage_urlinput_audiowavtextfour é".encode())
