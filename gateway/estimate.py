"""What a rung would cost before it is called: tokens guessed from what the alias's traffic taught, prices from the card
in force. Money is Decimal; a guess is never metered, and an unknown price is None, not zero.
"""

from dataclasses import dataclass
from decimal import Decimal

from gateway.domain.rate_card import RateCard
from gateway.domain.usage import TokenClass, Usage
from gateway.ladder import NO_QUOTE, Quote

BYTES_PER_TOKEN = 4.0
"""Until an alias has taught better: the usual figure for English text. No tokenizer file is ever fetched."""

OUTPUT_TOKENS = 256
"""The answer's length in a quota's reckoning, until an alias has taught better. Put right once the answer is there."""

SMOOTHING = 0.05
"""How much one answer moves what is known of its alias."""


@dataclass(slots=True)
class Forecast:
    """What one alias's answers so far say of the next: running means."""

    bytes_per_token: float = BYTES_PER_TOKEN
    output_tokens: float | None = None
    """Mean length of an answer, reasoning included; None until one was measured."""

    def learn(self, request_bytes: int, usage: Usage) -> None:
        """Take in one measured answer."""
        prompt = usage.input_total
        if prompt:
            self.bytes_per_token += SMOOTHING * (request_bytes / prompt - self.bytes_per_token)
        output = float(usage.output_total)
        self.output_tokens = (
            output if self.output_tokens is None else self.output_tokens + SMOOTHING * (output - self.output_tokens)
        )

    def prompt_tokens(self, request_bytes: int) -> int:
        """How many tokens a request of that length holds."""
        return max(1, round(request_bytes / self.bytes_per_token))

    def tokens(self, request_bytes: int, output_tokens_max: int) -> int:
        """Prompt and answer of one request together, as they are to be expected."""
        mean = OUTPUT_TOKENS if self.output_tokens is None else round(self.output_tokens)
        return self.prompt_tokens(request_bytes) + min(mean, output_tokens_max)

    def quote(self, card: RateCard | None, request_bytes: int, output_tokens_max: int) -> Quote:
        """Expected and worst cost of one call in dollars; nothing is known without a card in USD with both prices.

        The worst case is an answer of `output_tokens_max` tokens; the expected one is as long as the alias's mean.
        """
        if card is None or card.currency != "USD":
            return NO_QUOTE
        price_in, price_out = card.unit_price(TokenClass.INPUT_UNCACHED), card.unit_price(TokenClass.OUTPUT)
        if not output_tokens_max:
            price_out = Decimal(0)  # Embeddings: their cards need no price of what there is none of.
        if price_in is None or price_out is None:
            return NO_QUOTE
        reasoning = card.unit_price(TokenClass.REASONING)
        prompt_usd = price_in * self.prompt_tokens(request_bytes)
        mean = output_tokens_max if self.output_tokens is None else round(self.output_tokens)
        return Quote(
            expected_usd=prompt_usd + price_out * min(mean, output_tokens_max),
            worst_usd=prompt_usd + max(price_out, reasoning or Decimal(0)) * output_tokens_max,
        )
