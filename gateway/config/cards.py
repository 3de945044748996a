"""Rate cards as the file writes them."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field, field_validator

from gateway.config.faults import did_you_mean
from gateway.config.section import Name, Section, shaped
from gateway.domain.rate_card import RateCard
from gateway.domain.usage import TokenClass


class RateCardEntry(Section):
    """A card as the file writes it: dollars per million tokens, quoted or not, never rounded."""

    provider: Name
    model: str = Field(min_length=1)
    account: str = ""
    processing_tier: Literal["", "batch", "flex", "priority"] = ""
    """The vendor's; a card holds for it alone, and what it does not name has no price there. "" = the default one."""
    currency: Annotated[str, shaped("[A-Z]{3}", "a currency's three capital letters, such as USD")] = "USD"
    effective_from: datetime
    effective_to: datetime | None = None
    per_million_tokens: dict[str, Annotated[Decimal, Field(ge=0)]] = Field(min_length=1)

    @field_validator("per_million_tokens")
    @classmethod
    def _classes(cls, prices: dict[str, Decimal]) -> dict[str, Decimal]:
        known = ["input", *(c.value for c in TokenClass if c is not TokenClass.INPUT_UNCACHED)]
        for name in prices:
            if name not in known:
                raise ValueError(f"no token class {name!r}" + did_you_mean(name, known))
        return prices

    def card(self) -> RateCard:
        """The card of the domain. Raises RateCardInvalid."""
        return RateCard(
            provider=self.provider,
            model=self.model,
            account=self.account,
            processing_tier=self.processing_tier,
            currency=self.currency,
            effective_from=_on_our_clock(self.effective_from),
            effective_to=_on_our_clock(self.effective_to) if self.effective_to else None,
            per_million={
                TokenClass.INPUT_UNCACHED if name == "input" else TokenClass(name): price
                for name, price in self.per_million_tokens.items()
            },
        )


def _on_our_clock(at: datetime) -> datetime:
    """The same instant, written in UTC as the clock writes it, where it is in UTC. It is compared with the present for
    every attempt, and instants of two zones cost 0.7 us to compare, of one 0.03."""
    return at.replace(tzinfo=UTC) if at.utcoffset() == timedelta(0) else at
