"""Rate cards as the file writes them."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal, Inexact
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from gateway.config.faults import did_you_mean
from gateway.config.section import Name, Section, shaped
from gateway.domain.money import EXACT
from gateway.domain.rate_card import PER_MILLION, PROMPT_MAX, Multiplier, Provenance, RateCard, RateCardInvalid
from gateway.domain.usage import TokenClass

Price = Annotated[Decimal, Field(ge=0)]
CLASS_NAMES: dict[TokenClass, str] = {
    TokenClass.INPUT_UNCACHED: "input",
    **{one: one.value for one in TokenClass if one is not TokenClass.INPUT_UNCACHED},
}
"""What a card's file calls each class."""
_CLASSES = {name: token_class for token_class, name in CLASS_NAMES.items()}


class MultiplierEntry(Section):
    """A factor that the vendor applies to the prices beside it."""

    of: str = Field(min_length=1)
    factor: Annotated[Decimal, Field(ge=0)]


class ContextEntry(Section):
    """The prompts that a card holds for: the vendor prices the whole of a longer one anew (a cliff)."""

    threshold: int = Field(ge=1, lt=PROMPT_MAX)
    """In tokens of the whole prompt, the cached ones included."""
    inclusive: bool = False
    """A prompt of exactly so many tokens is one of them."""
    basis: Literal["prompt"] = "prompt"
    rule: Literal["cliff"] = "cliff"


class RateCardEntry(Section):
    """A card as the file writes it: dollars per million tokens, quoted or not, never rounded."""

    provider: Name
    model: str = Field(min_length=1)
    """Ending in `*`, every model whose name begins so."""
    account: str = ""
    processing_tier: Literal["", "batch", "flex", "priority"] = ""
    """The vendor's; a card holds for it alone, and what it does not name has no price there. "" = the default one."""
    snapshot: str = ""
    region: str = ""
    deployment: Literal["", "global", "data-zone", "regional"] = ""
    modality: Literal["", "audio", "image", "video"] = ""
    context: ContextEntry | None = None
    """None = prompts of every length, but for those that another card's `context` takes."""
    kind: Literal["", "list", "contracted"] = ""
    issuer: str = ""
    currency: Annotated[str, shaped("[A-Z]{3}", "a currency's three capital letters, such as USD")] = "USD"
    effective_from: datetime
    effective_to: datetime | None = None
    per_million_tokens: dict[str, Price] = Field(default_factory=dict)
    prices: dict[str, Price] = Field(default_factory=dict)
    """The same, for `unit` tokens."""
    unit: int = Field(default=1_000_000, ge=1, le=10**9)
    multipliers: tuple[MultiplierEntry, ...] = ()
    source: str = ""
    captured_at: datetime | None = None

    @field_validator("per_million_tokens", "prices")
    @classmethod
    def _classes(cls, prices: dict[str, Decimal]) -> dict[str, Decimal]:
        for name in prices:
            if name not in _CLASSES:
                raise ValueError(f"no token class {name!r}" + did_you_mean(name, list(_CLASSES)))
        return prices

    @model_validator(mode="after")
    def _one_price_list(self) -> "RateCardEntry":
        if bool(self.per_million_tokens) == bool(self.prices):
            raise ValueError("give per_million_tokens, or prices with the unit of tokens that they are for")
        if self.per_million_tokens and self.unit != PER_MILLION:
            raise ValueError("unit is for prices; per_million_tokens are for a million")
        return self

    def card(self) -> RateCard:
        """The card of the domain. Raises RateCardInvalid."""
        context = self.context
        return RateCard(
            provider=self.provider,
            model=self.model,
            account=self.account,
            processing_tier=self.processing_tier,
            snapshot=self.snapshot,
            region=self.region,
            deployment=self.deployment,
            modality=self.modality,
            prompt_from=0 if context is None else context.threshold + (not context.inclusive),
            kind=self.kind,
            issuer=self.issuer,
            currency=self.currency,
            effective_from=_on_our_clock(self.effective_from),
            effective_to=_on_our_clock(self.effective_to) if self.effective_to else None,
            per_million={
                _CLASSES[name]: self._final(price) for name, price in (self.per_million_tokens or self.prices).items()
            },
            unit_tokens=self.unit,
            multipliers=tuple(Multiplier(one.of, one.factor) for one in self.multipliers),
            provenance=Provenance(self.source, _on_our_clock(self.captured_at) if self.captured_at else None),
        )

    def _final(self, price: Decimal) -> Decimal:
        """A million tokens' price, with every factor in it. Nothing is rounded. Raises RateCardInvalid."""
        try:
            per_million = EXACT.divide(EXACT.multiply(price, PER_MILLION), Decimal(self.unit))
            for multiplier in self.multipliers:
                per_million = EXACT.multiply(per_million, multiplier.factor)
        except Inexact:
            place = f"rate card {self.provider}/{self.model}"
            raise RateCardInvalid(f"{place}: {price} for {self.unit} tokens has no exact price of a million") from None
        return per_million


def _on_our_clock(at: datetime) -> datetime:
    """The same instant, written in UTC as the clock writes it, where it is in UTC. It is compared with the present for
    every attempt, and instants of two zones cost 0.7 us to compare, of one 0.03."""
    return at.replace(tzinfo=UTC) if at.utcoffset() == timedelta(0) else at
