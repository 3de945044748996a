"""What a rung would cost before it is called: tokens guessed from what the alias's traffic taught, prices from the card
in force. Money is Decimal; a guess is never metered, and an unknown price is None, not zero.

An alias remembers its last SAMPLES measured answers: how long each was and how many bytes of request made one token of
prompt. The expected answer is the mean of those lengths, each cut at what this request allows, which no single mean
could tell: of an alias that answers with 10 tokens or 1,000, a request with max_tokens 20 expects 15. The worst case is
the longest answer allowed, to a prompt with as few bytes to the token as any of those seen.
"""

from collections.abc import Mapping
from decimal import Decimal

from gateway.domain.rate_card import RateCard
from gateway.domain.usage import TokenClass, Usage
from gateway.ladder.ladder import NO_QUOTE, Quote

BYTES_PER_TOKEN = 4.0
"""Until an alias has taught better: the usual figure for English text. No tokenizer file is ever fetched."""

OUTPUT_TOKENS = 256
"""The answer's length in a quota's reckoning, until an alias has taught better. Put right once the answer is there."""
BYTES_PER_TOKEN_MIN = 2.0
"""The least that is reckoned with until TAUGHT answers were measured: dense code, figures, Chinese."""

SAMPLES = 64
TAUGHT = 8

SMOOTHING = 0.05
"""How much one answer moves the mean of bytes per token."""

NO_TEXT = frozenset({"image_url", "url", "data", "file_data", "b64_json"})
"""Keys whose strings are pictures, sounds and files: they have tokens, but not by their bytes."""

WRITES = (TokenClass.CACHE_WRITE_5M, TokenClass.CACHE_WRITE_1H)
"""A prompt may be billed as written to the vendor's cache, which can be dearer than plain input."""

DISCOUNTS = frozenset({"batch", "flex"})
"""Processing tiers that vendors sell below the default one's price."""


class Forecast:
    """What one alias's answers so far say of the next. Bounded: two rings of SAMPLES numbers."""

    __slots__ = ("_bytes_per_token", "_next", "_outputs", "bytes_per_token")

    def __init__(self) -> None:
        self.bytes_per_token = BYTES_PER_TOKEN
        """The running mean."""
        self._bytes_per_token: list[float] = []
        self._outputs: list[int] = []
        self._next = 0

    def learn(self, request_bytes: int, usage: Usage) -> None:
        """Take in one measured answer; it takes the place of the oldest."""
        prompt = usage.input_total
        ratio = request_bytes / prompt if prompt else self.bytes_per_token
        self.bytes_per_token += SMOOTHING * (ratio - self.bytes_per_token)
        if len(self._outputs) < SAMPLES:
            self._outputs.append(usage.output_total)
            self._bytes_per_token.append(ratio)
            return
        self._outputs[self._next] = usage.output_total
        self._bytes_per_token[self._next] = ratio
        self._next = (self._next + 1) % SAMPLES

    def output_tokens(self, most: int) -> int:
        """How long an answer of at most `most` tokens is expected to be; `most` until one was measured."""
        if not self._outputs:
            return most
        return round(sum(min(output, most) for output in self._outputs) / len(self._outputs))

    def prompt_tokens(self, prompt_bytes: int) -> int:
        """How many tokens a prompt of so many bytes is expected to have."""
        return max(1, round(prompt_bytes / self.bytes_per_token))

    def prompt_tokens_worst(self, prompt_bytes: int) -> int:
        """The same at worst."""
        least = min(self._bytes_per_token, default=BYTES_PER_TOKEN_MIN)
        if len(self._bytes_per_token) < TAUGHT:
            least = min(least, BYTES_PER_TOKEN_MIN)
        return max(1, round(prompt_bytes / least))

    def tokens(self, request_bytes: int, output_tokens_max: int) -> int:
        """Prompt and answer of one request together, as they are to be expected."""
        answer = self.output_tokens(output_tokens_max) if self._outputs else min(OUTPUT_TOKENS, output_tokens_max)
        return self.prompt_tokens(request_bytes) + answer

    def quote(self, card: RateCard | None, request_bytes: int, output_tokens_max: int) -> Quote:
        """Expected and worst cost of one call in dollars; nothing is known without a card in USD with both prices."""
        if card is None or card.currency != "USD":
            return NO_QUOTE
        price_in, price_out = card.unit_price(TokenClass.INPUT_UNCACHED), card.unit_price(TokenClass.OUTPUT)
        if not output_tokens_max:
            price_out = Decimal(0)  # Embeddings: their cards need no price of what there is none of.
        if price_in is None or price_out is None:
            return NO_QUOTE
        dearest_in = max(price_in, *(card.unit_price(name) or Decimal(0) for name in WRITES))
        dearest_out = max(price_out, card.unit_price(TokenClass.REASONING) or Decimal(0))
        expected = price_in * self.prompt_tokens(request_bytes) + price_out * self.output_tokens(output_tokens_max)
        worst = dearest_in * self.prompt_tokens_worst(request_bytes) + dearest_out * output_tokens_max
        return Quote(expected_usd=min(expected, worst), worst_usd=worst)


def asked_in(tier: str, named: Quote, default: Quote) -> Quote:
    """What a request costs that asks for another processing tier, by its card and the default tier's: the vendor may
    serve it in either, so the worst case is the dearer. Without a card a discount costs the default price at most;
    what any other costs is not known."""
    if named.expected_usd is None or named.worst_usd is None:
        return default if tier in DISCOUNTS else NO_QUOTE
    return Quote(named.expected_usd, max(named.worst_usd, default.worst_usd or named.worst_usd))


def text_bytes(fields: Mapping[str, object]) -> int:
    """How much text a request carries, in bytes of UTF-8; pictures, sounds and files do not count."""
    total = 0
    left: list[object] = [fields]
    while left:
        value = left.pop()
        if isinstance(value, str):
            total += len(value) if value.isascii() else len(value.encode("utf-8", "surrogatepass"))
        elif isinstance(value, Mapping):
            left += [inner for key, inner in value.items() if not (key in NO_TEXT and isinstance(inner, str))]
        elif isinstance(value, list):
            left += value
    return total
