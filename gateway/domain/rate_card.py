"""What a token costs: dated prices in Decimal, and the one rule that turns usage into money.

A card is one vector of prices, final as they stand, for one key, one band of prompt lengths and one period. Multipliers
(a region's 1.1, a batch's 0.5) are multiplied into it exactly before there is a card, and kept beside it to say where
it comes from: so the rule is a sum of products on the gateway's hot path, and a lookup and a sum in the store.

Which card prices an attempt is decided here alone (`RateCard.holds_for`, `_precedence`), and analytics/rate_windows.py
writes the decisions out for the store. Provider, processing tier and modality must be the card's own. A card that names
an account, a snapshot, a region or a deployment holds for that one only; and the most specific card in force wins:

    an account's own > for every account;  contracted > list;  the model's name > a longer prefix > a shorter one;
    a snapshot's > any;  a region's > any;  a deployment's > any;  and in what is left, the highest band reached.

The SQL that rates a month must equal `price` to the last digit; a property test holds the two together. An unknown
price is never zero: it raises Unpriced, and whoever totals says that the total is a floor.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from itertools import pairwise

from gateway.domain.money import EXACT, Money
from gateway.domain.usage import TokenClass, Usage

PER_MILLION = Decimal(1_000_000)
PLACES_MAX = 12
"""Decimal places a price per million tokens may have: a price per token then fits the store's Decimal(38, 18)."""


PRICED_TIERS = ("batch", "flex", "priority")
"""The processing tiers that vendors price apart (a batch at half the price, say)."""
DEPLOYMENTS = ("global", "data-zone", "regional")
"""Where a vendor may run the model: the wider, mostly the cheaper."""
MODALITIES = ("audio", "image", "video")
"""What tokens may be of other than text. A card of one holds for calls with such tokens, and no other card does."""
KINDS = ("list", "contracted")
ANY_SUFFIX = "*"
"""Ends a model's name that stands for all that begin like it."""
PROMPT_MAX = 10**13
"""No prompt has as many tokens: four classes of usage.COUNT_MAX at most."""


def processing_tier(service_tier: str) -> str:
    """The tier that an answer's `service_tier` is priced by; "" for the default one, whatever a vendor calls it."""
    return service_tier if service_tier in PRICED_TIERS else ""


class Unpriced(LookupError):
    """No price is known for tokens that were used."""


class RateCardInvalid(ValueError):
    """A card that contradicts itself or other cards; `cards` are those that it is about."""

    def __init__(self, message: str, *cards: "RateCard") -> None:
        super().__init__(message)
        self.cards = cards


@dataclass(frozen=True, slots=True)
class Multiplier:
    """A factor that a vendor states for a price, already multiplied into it: ("region", 1.1), ("batch", 0.5)."""

    name: str
    factor: Decimal


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a card's prices come from, and who let them in. Chooses no price; empty = not told."""

    source: str = ""
    """A URL, or a file's name."""
    captured_at: datetime | None = None
    sha256: str = ""
    """Of what was read there."""
    approved_by: str = ""
    approved_at: datetime | None = None
    version: int = 0
    """Of the approved book that first had the card; 0 = from the configuration file."""


@dataclass(frozen=True, slots=True)
class RateCard:
    """Prices of one model at one vendor, in force from `effective_from` until `effective_to` (exclusive; None = open).

    `account` narrows the card to one account at the vendor (a contract price); "" holds for every account.
    `processing_tier` is the vendor's, one of PRICED_TIERS; "" is its default one. A card holds for one tier alone.
    `model` may end in "*": a prefix. `prompt_from` is the least prompt, in tokens with the cached ones, that the card
    prices: the whole of it, not what is beyond. Raises RateCardInvalid for what contradicts itself.
    """

    provider: str
    model: str
    currency: str
    effective_from: datetime
    per_million: Mapping[TokenClass, Decimal]
    effective_to: datetime | None = None
    account: str = ""
    processing_tier: str = ""
    snapshot: str = ""
    """The model that the vendor says it answered with; "" = any."""
    region: str = ""
    """As the upstream's entry calls it; "" = any."""
    deployment: str = ""
    """One of DEPLOYMENTS; "" = any."""
    modality: str = ""
    """One of MODALITIES; "" = text."""
    prompt_from: int = 0
    kind: str = ""
    """One of KINDS; not given, it is contracted for a card with an account, and list for any other."""
    issuer: str = ""
    """Who sends the invoice, where that is not the provider."""
    unit_tokens: int = 1_000_000
    """How many tokens the vendor states a price for. `per_million` is for a million, whatever it is."""
    multipliers: tuple[Multiplier, ...] = ()
    """In the order in which the vendor applies them; `per_million` is with them."""
    provenance: Provenance = Provenance()
    card_id: str = field(init=False)
    """Names what the card prices and at what, not until when: closing a card does not rename it."""

    def __post_init__(self) -> None:
        place = f"rate card {self.provider}/{self.model}"
        if not self.kind:
            object.__setattr__(self, "kind", "contracted" if self.account else "list")
        if self.effective_from.tzinfo is None or (self.effective_to and self.effective_to.tzinfo is None):
            raise RateCardInvalid(f"{place}: effective dates need a time zone; write them as 2026-01-01T00:00:00Z")
        if self.effective_to and self.effective_to <= self.effective_from:
            raise RateCardInvalid(f"{place}: effective_to is not after effective_from")
        if self.processing_tier and self.processing_tier not in PRICED_TIERS:
            raise RateCardInvalid(f"{place}: no processing tier {self.processing_tier!r}; use one of {PRICED_TIERS}")
        for name, word, known in (
            ("deployment", self.deployment, ("", *DEPLOYMENTS)),
            ("modality", self.modality, ("", *MODALITIES)),
            ("kind", self.kind, KINDS),
        ):
            if word not in known:
                raise RateCardInvalid(f"{place}: no {name} {word!r}; use one of {tuple(filter(None, known))}")
        if not 0 <= self.prompt_from <= PROMPT_MAX:
            raise RateCardInvalid(f"{place}: its band begins at {self.prompt_from} tokens; give 0 to {PROMPT_MAX}")
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
        whole = "|".join(
            (self.provider, self.account, self.model, self.currency, self.effective_from.isoformat(), "", prices)
        )
        tier = f"+{self.processing_tier}" if self.processing_tier else ""
        usual = "contracted" if self.account else "list"
        narrowed = (
            ("snapshot", self.snapshot),
            ("region", self.region),
            ("deployment", self.deployment),
            ("modality", self.modality),
            ("prompt", str(self.prompt_from or "")),
            ("kind", "" if self.kind == usual else self.kind),
        )
        scope = "".join(f"+{name}:{value}" for name, value in narrowed if value)
        digest = hashlib.sha256((whole + tier + scope).encode()).hexdigest()[:8]
        return f"{self.provider}/{self.model}{tier}@{stamp}#{digest}"

    @property
    def key(self) -> tuple[str, ...]:
        """All that says what it prices, but for the band and the dates."""
        return (
            *(self.provider, self.account, self.kind, self.model, self.processing_tier, self.modality),
            *(self.snapshot, self.region, self.deployment),
        )

    @property
    def is_pattern(self) -> bool:
        """Whether it holds for every model whose name begins like its own."""
        return self.model.endswith(ANY_SUFFIX)

    def names(self, model: str) -> bool:
        """Whether that model is its own, or begins like it."""
        return model == self.model or (self.is_pattern and model.startswith(self.model[:-1]))

    def holds_for(self, account: str, snapshot: str, region: str, deployment: str, prompt_tokens: int) -> bool:
        """Whether it prices such a call of its model."""
        return (
            self.prompt_from <= prompt_tokens
            and self.account in ("", account)
            and self.snapshot in ("", snapshot)
            and self.region in ("", region)
            and self.deployment in ("", deployment)
        )

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
    """The cards known. No two prices of one key and band are in force at once, and none of them leaves a gap."""

    def __init__(self, cards: Iterable[RateCard] = ()) -> None:
        """Raises RateCardInvalid for overlaps, gaps between the dates of one key, and bands without prices below."""
        self.cards: tuple[RateCard, ...] = tuple(sorted(cards, key=_order))
        _check_periods(self.cards)
        _check_bands(self.cards)
        self.told_by_answers = any(card.snapshot or card.prompt_from for card in self.cards)
        """Whether what an answer tells (its snapshot, its prompt's length) may choose another card."""
        self._patterns: dict[tuple[str, str, str], list[RateCard]] = defaultdict(list)
        for card in filter(lambda card: card.is_pattern, self.cards):
            self._patterns[card.provider, card.processing_tier, card.modality].append(card)
        exact: dict[tuple[str, str, str, str], list[RateCard]] = defaultdict(list)
        for card in self.cards:
            exact[card.provider, card.model, card.processing_tier, card.modality].append(card)
        self._by_model = {
            (provider, model, tier, modality): _ranked((*mine, *self._prefixed(provider, model, tier, modality)))
            for (provider, model, tier, modality), mine in exact.items()
        }

    def in_force(
        self,
        *,
        provider: str,
        account: str,
        model: str,
        at: datetime,
        tier: str = "",
        region: str = "",
        deployment: str = "",
        snapshot: str = "",
        modality: str = "",
        prompt_tokens: int = 0,
        contracted: bool = True,
    ) -> RateCard | None:
        """The card for that call at that instant: the most specific one, by the order at the head of this file.

        What another processing `tier` or another modality costs says nothing of this one: where no card names it, its
        price is unknown. `prompt_tokens` count the cached ones. Not `contracted`: list prices alone.
        """
        for card in self.candidates(provider, model, tier, modality):
            held = card.holds_for(account, snapshot, region, deployment, prompt_tokens)
            if held and card.covers(at) and (contracted or card.kind == "list"):
                return card
        return None

    def candidates(self, provider: str, model: str, tier: str = "", modality: str = "") -> tuple[RateCard, ...]:
        """The cards that name that model, those first that go before the others."""
        known = self._by_model.get((provider, model, tier, modality))
        return known if known is not None else _ranked(self._prefixed(provider, model, tier, modality))

    def _prefixed(self, provider: str, model: str, tier: str, modality: str) -> list[RateCard]:
        patterns = self._patterns.get((provider, tier, modality), ())
        return [card for card in patterns if card.model != model and card.names(model)]


def _ranked(cards: Iterable[RateCard]) -> tuple[RateCard, ...]:
    return tuple(sorted(cards, key=_precedence, reverse=True))


def _precedence(card: RateCard) -> tuple[bool, bool, bool, int, bool, bool, bool, int]:
    """The most specific last. Two cards of equal rank that hold for one call differ in their dates alone."""
    return (
        bool(card.account),
        card.kind == "contracted",
        not card.is_pattern,
        len(card.model),
        bool(card.snapshot),
        bool(card.region),
        bool(card.deployment),
        card.prompt_from,
    )


def _order(card: RateCard) -> tuple[tuple[str, ...], int, datetime]:
    return (card.key, card.prompt_from, card.effective_from)


def _check_periods(cards: tuple[RateCard, ...]) -> None:
    for one, next_one in pairwise(cards):
        if one.key != next_one.key or one.prompt_from != next_one.prompt_from:
            continue
        both = f"rate cards {one.card_id} and {next_one.card_id}"
        if one.effective_to is None or one.effective_to > next_one.effective_from:
            way_out = "end the first (effective_to) where the second begins"
            raise RateCardInvalid(f"{both} overlap: {way_out}", one, next_one)
        if one.effective_to < next_one.effective_from:
            gap = f"{one.effective_to.isoformat()} to {next_one.effective_from.isoformat()}"
            way_out = "end the first where the second begins, or write the price that held in between"
            raise RateCardInvalid(f"{both} leave a gap from {gap}: {way_out}", one, next_one)


def _check_bands(cards: tuple[RateCard, ...]) -> None:
    """Prices from so many tokens on need those below them, for the same classes and the same time."""
    base: dict[tuple[str, ...], list[RateCard]] = defaultdict(list)
    for card in cards:
        if not card.prompt_from:
            base[card.key].append(card)
    for card in filter(lambda card: card.prompt_from, cards):
        below = base.get(card.key)
        last = below[-1].effective_to if below else None
        if (
            not below
            or below[0].effective_from > card.effective_from
            or (last is not None and (card.effective_to is None or card.effective_to > last))
        ):
            problem = f"{card.card_id} prices prompts from {card.prompt_from} tokens on, and no card shorter ones"
            raise RateCardInvalid(f"{problem} for all of its time: add it, without context", card)
        for lower in below:
            missing = lower.per_million.keys() - card.per_million.keys()
            if missing and _together(lower, card):
                names = ", ".join(sorted(missing))
                problem = f"{card.card_id} has no price for {names}, which shorter prompts have ({lower.card_id})"
                raise RateCardInvalid(f"{problem}: add it", card, lower)


def _together(one: RateCard, other: RateCard) -> bool:
    """Whether there is an instant at which both are in force."""
    return (one.effective_to is None or other.effective_from < one.effective_to) and (
        other.effective_to is None or one.effective_from < other.effective_to
    )
