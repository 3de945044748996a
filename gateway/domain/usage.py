"""Tokens as a vector of disjoint classes: no token is counted in two of them, and they sum to what the vendor counted.

Vendors disagree on what includes what (OpenAI's prompt_tokens include the cached ones, its completion_tokens the
reasoning ones), so each dialect is normalised here once and the vendor's own JSON is kept beside the result.
"""

from collections.abc import Iterator, Mapping
from dataclasses import field
from enum import StrEnum

from gateway.domain.fact import fact


class TokenClass(StrEnum):
    """The classes a rate card prices apart."""

    INPUT_UNCACHED = "input_uncached"
    CACHE_READ = "cache_read"
    CACHE_WRITE_5M = "cache_write_5m"
    CACHE_WRITE_1H = "cache_write_1h"
    OUTPUT = "output"
    REASONING = "reasoning"


class Completeness(StrEnum):
    """How much of an attempt's usage is known."""

    MEASURED = "measured"
    """The vendor's own final usage arrived."""
    ESTIMATED = "estimated"
    """The answer ended early; these are the last running figures the vendor sent, a floor."""
    UNKNOWN = "unknown"
    """Nothing arrived. The token counts are zero because they are absent, not because there were none."""


COUNT_MAX = 10**12
"""No attempt has more tokens of a class; a larger count is a fault, and money times it could overflow the store's."""


class UsageInvalid(ValueError):
    """A vendor's usage that contradicts itself, such as more cached tokens than prompt tokens."""


@fact(frozen=True, slots=True)
class Usage:
    """Token counts of one attempt, one field a class, disjoint."""

    input_uncached: int = 0
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    output: int = 0
    reasoning: int = 0
    modality: str = field(default="", kw_only=True)
    """What some of the tokens are of, if not text, as the vendor tells: audio, image or video, or several with "+"
    between them. They are within the counts; which of these they are is not told apart, so nor is their price."""

    def of(self, token_class: TokenClass) -> int:
        """The count of one class."""
        count: int = getattr(self, token_class.value)
        return count

    def items(self) -> Iterator[tuple[TokenClass, int]]:
        """Each class with its count, in the order of TokenClass."""
        return ((token_class, self.of(token_class)) for token_class in TokenClass)

    @property
    def cache_write(self) -> int:
        """Tokens written to the vendor's cache, whatever their lifetime."""
        return self.cache_write_5m + self.cache_write_1h

    @property
    def input_total(self) -> int:
        """Input tokens, the cached ones included: what OTel's gen_ai.usage.input_tokens means."""
        return self.input_uncached + self.cache_read + self.cache_write

    @property
    def output_total(self) -> int:
        """Output tokens, reasoning included: what OTel's gen_ai.usage.output_tokens means."""
        return self.output + self.reasoning


NO_USAGE = Usage()
OTHER_THAN_TEXT = ("audio_tokens", "image_tokens", "video_tokens")
_NO_DETAILS: Mapping[str, object] = {}


def from_openai(raw: Mapping[str, object]) -> Usage:
    """Normalise the `usage` object of an OpenAI-compatible answer (chat, completions, embeddings or responses).

    `prompt_tokens` (or `input_tokens`) include cached and cache-write tokens; `completion_tokens` (or `output_tokens`)
    include reasoning tokens. What is kept for an hour is told apart where the answer does (LiteLLM's
    `cache_creation_token_details`). Raises UsageInvalid when a part exceeds its whole or a count is not a whole number.
    """
    prompt = _count(raw, "prompt_tokens", "input_tokens")
    completion = _count(raw, "completion_tokens", "output_tokens")
    prompt_details = _details(raw, "prompt_tokens_details", "input_tokens_details")
    completion_details = _details(raw, "completion_tokens_details", "output_tokens_details")
    cached = _count(prompt_details, "cached_tokens")
    written = _count(prompt_details, "cache_write_tokens", "cache_creation_tokens")
    by_age = _details(prompt_details, "cache_creation_token_details")
    written_1h = _count(by_age, "ephemeral_1h_input_tokens") if by_age else 0
    reasoning = _count(completion_details, "reasoning_tokens")
    if cached + written > prompt:
        raise UsageInvalid(f"cached_tokens {cached} and cache_write_tokens {written} exceed prompt_tokens {prompt}")
    if written_1h > written:
        raise UsageInvalid(f"ephemeral_1h_input_tokens {written_1h} exceed cache_write_tokens {written}")
    if reasoning > completion:
        raise UsageInvalid(f"reasoning_tokens {reasoning} exceed completion_tokens {completion}")
    return Usage(
        input_uncached=prompt - cached - written,
        cache_read=cached,
        cache_write_5m=written - written_1h,
        cache_write_1h=written_1h,
        output=completion - reasoning,
        reasoning=reasoning,
        modality=_modality(prompt_details, completion_details) if prompt_details or completion_details else "",
    )


def _modality(*details: Mapping[str, object]) -> str:
    """Those of OTHER_THAN_TEXT with tokens. They overlap with the cached ones, so they are never added to a count."""
    return "+".join(
        name.removesuffix("_tokens") for name in OTHER_THAN_TEXT if any(_count(one, name) for one in details)
    )


def _details(raw: Mapping[str, object], *names: str) -> Mapping[str, object]:
    for name in names:
        value = raw.get(name)
        if isinstance(value, dict):  # As JSON's parsers give it; asking whether it is a Mapping costs three times more.
            return value
    return _NO_DETAILS


def _count(raw: Mapping[str, object], *names: str) -> int:
    for name in names:
        value = raw.get(name)
        if value is None:
            continue
        if type(value) is not int or not 0 <= value <= COUNT_MAX:  # True and False are no counts, though they are ints.
            raise UsageInvalid(f"{name} is {value!r}, not a count of tokens")
        return value
    return 0
