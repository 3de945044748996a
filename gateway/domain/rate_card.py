"""What a token costs: dated prices in Decimal, and the one rule that turns usage into money.

The SQL that rates a month must equal `price` to the last digit; a property test holds the two together. An unknown
price is never zero: it raises Unpriced, and whoever totals says that the total is a floor.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from gateway.domain.money import EXACT, Money
from gateway.domain.usage import TokenClass, Usage

PER_MILLION = Decimal(1_000_000)
PLACES_MAX = 12
"""Decimal places a price per million tokens may have: a price per token then fits the store's Decimal(38, 18)."""


PRICED_TIERS = ("batch", "flex", "priority")
"""The processing tiers that vendors price apart (a batch at half the price, say)."""


def processing_tier(service_tier: str) -> str:
    """The tier that an answer's `service_tier` is priced by; "" for the default one, whatever a vendor calls it."""
    return service_tier if service_tier in PRICED_TIERS else ""


class Unpriced(LookupError):
    """No price is known for tokens that were used."""


class RateCardInvalid(ValueError):
    """A card that contradicts itself or another card."""


@dataclass(frozen=True, slots=True)
class RateCard:
    """Prices of one model at one vendor, in force from `effective_from` until `effective_to` (exclusive; None = open).

    `account` narrows the card to one account at the vendor (a contract price); "" holds for every account.
    `processing_tier` is the vendor's, one of PRICED_TIERS; "" is its default one. A card holds for one tier alone.
    """

    provider: str
    model: str
    currency: str
    effective_from: datetime
    per_million: Mapping[TokenClass, Decimal]
    effective_to: datetime | None = None
    account: str = ""
    processing_tier: str = ""
    card_id: str = field(init=False)

    def __post_init__(self) -> None:
        place = f"rate card {self.provider}/{self.model}"
        if self.effective_from.tzinfo is None or (self.effective_to and self.effective_to.tzinfo is None):
            raise RateCardInvalid(f"{place}: effective dates need a time zone; write them as 2026-01-01T00:00:00Z")
        if self.effective_to and self.effective_to <= self.effective_from:
            raise RateCardInvalid(f"{place}: effective_to is not after effective_from")
        if self.processing_tier and self.processing_tier not in PRICED_TIERS:
            raise RateCardInvalid(f"{place}: no processing tier {self.processing_tier!r}; use one of {PRICED_TIERS}")
        if not self.per_million:
            raise RateCardInvalid(f"{place}: no prices; give per_million_tokens at least input and output")
        for token_class, price_per_million in self.per_million.items():
            if not isinstance(price_per_million, Decimal) or not price_per_million.is_finite() or price_per_million < 0:
                raise RateCardInvalid(f"{place}: the price of {token_class} is not a Decimal of zero or more")
            exponent = price_per_million.normalize().as_tuple().exponent
            if isinstance(exponent, int) and -exponent > PLACES_MAX:
                raise RateCardInvalid(f"{place}: the price of {token_class} has more than {PLACES_MAX} decimal places")
        object.__setattr__(self, "card_id", self._identify())

    def _identify(self) -> str:
        stamp = self.effective_from.strftime("%Y-%m-%dT%H:%M:%SZ")
        prices = ",".join(f"{name}={self.per_million[name].normalize():f}" for name in sorted(self.per_million))
        until = self.effective_to.isoformat() if self.effective_to else ""
        whole = "|".join(
            (self.provider, self.account, self.model, self.currency, self.effective_from.isoformat(), until, prices)
        )
        tier = f"+{self.processing_tier}" if self.processing_tier else ""
        digest = hashlib.sha256((whole + tier).encode()).hexdigest()[:8]
        return f"{self.provider}/{self.model}{tier}@{stamp}#{digest}"

    def price_per_million(self, token_class: TokenClass) -> Decimal | None:
        """The price of a million tokens, or None where the card does not say.

        Reasoning tokens are billed as output by every vendor whose documents we read, so a card that is silent on them
        prices them as output. Nothing else is inferred: a missing cache price is unknown, not the input price.
        """
        per_million = self.per_million.get(token_class)
        if per_million is None and token_class is TokenClass.REASONING:
            per_million = self.per_million.get(TokenClass.OUTPUT)
        return per_million

    def unit_price(self, token_class: TokenClass) -> Decimal | None:
        """The price of one token, or None where the card does not say."""
        per_million = self.price_per_million(token_class)
        return None if per_million is None else EXACT.divide(per_million, PER_MILLION)

    def covers(self, at: datetime) -> bool:
        """Whether the card is in force at that instant."""
        return self.effective_from <= at and (self.effective_to is None or at < self.effective_to)


def price(usage: Usage, card: RateCard) -> Money:
    """What that usage costs by that card, exactly. Raises Unpriced when a class with tokens has no price."""
    total = Decimal(0)
    for token_class, count in usage.items():
        if count == 0:
            continue
        unit = card.unit_price(token_class)
        if unit is None:
            raise Unpriced(f"{card.card_id} has no price for {token_class}")
        total = EXACT.add(total, EXACT.multiply(unit, Decimal(count)))
    return Money(total, card.currency)


class RateBook:
    """The cards known, none overlapping another of the same provider, account, model and processing tier."""

    def __init__(self, cards: Iterable[RateCard] = ()) -> None:
        """Raises RateCardInvalid when two cards would be in force at once for the same thing."""
        self.cards: tuple[RateCard, ...] = tuple(sorted(cards, key=_order))
        self._by_key: dict[tuple[str, str, str, str], list[RateCard]] = {}
        for card in self.cards:
            same = self._by_key.setdefault(_order(card)[:4], [])
            if same and (same[-1].effective_to is None or same[-1].effective_to > card.effective_from):
                raise RateCardInvalid(
                    f"rate cards {same[-1].card_id} and {card.card_id} overlap: "
                    "end the first (effective_to) where the second begins"
                )
            same.append(card)

    def in_force(self, *, provider: str, account: str, model: str, at: datetime, tier: str = "") -> RateCard | None:
        """The card for that model at that instant; an account's own card goes before the general one. What another
        processing `tier` costs says nothing of this one: where no card names it, its price is unknown."""
        for owner in (account, "") if account else ("",):
            for card in self._by_key.get((provider, owner, model, tier), ()):
                if card.covers(at):
                    return card
        return None


def _order(card: RateCard) -> tuple[str, str, str, str, datetime]:
    return (card.provider, card.account, card.model, card.processing_tier, card.effective_from)
