"""The choice of a card, written out for the store: every case that a book tells apart, with the card that prices it
from when to when. Pure; the rule itself is gateway/domain/rate_card.py's, which is asked here and not written again.

A case is what an attempt says, where the cards of its model know the word, and '' where they do not; so the cases of a
model are as many as the words that its cards name, times their bands of prompts, and one for most models.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import product

from gateway.domain.rate_card import RateBook, RateCard


@dataclass(frozen=True, slots=True)
class RateWindow:
    """A card prices a case from `since` until `until` (exclusive; None = open)."""

    provider: str
    model: str
    processing_tier: str
    modality: str
    account: str
    snapshot: str
    region: str
    deployment: str
    prompt_from: int
    since: datetime
    until: datetime | None
    card: RateCard


def windows(book: RateBook) -> list[RateWindow]:
    """Every window of the book. Each card has at least one: its own case, in which nothing is more specific."""
    models: dict[tuple[str, str], list[RateCard]] = defaultdict(list)
    for card in book.cards:
        models[card.provider, card.model].append(card)
    apart = {(card.processing_tier, card.modality) for card in book.cards}
    thresholds = sorted({0, *(card.prompt_from for card in book.cards)})
    found: list[RateWindow] = []
    for provider, model in models:
        candidates = {priced: book.candidates(provider, model, *priced) for priced in sorted(apart)}
        everyone = [card for cards in candidates.values() for card in cards]
        banded = any(card.prompt_from for card in everyone)
        said = product(*(_words(everyone, name) for name in ("account", "snapshot", "region", "deployment")))
        for words, prompt_from, priced in product(said, thresholds if banded else [0], candidates):
            account, snapshot, region, deployment = words
            holding = [c for c in candidates[priced] if c.holds_for(account, snapshot, region, deployment, prompt_from)]
            for since, until, card in _periods(holding):
                case = (provider, model, *priced, account, snapshot, region, deployment)
                found.append(RateWindow(*case, prompt_from, since, until, card))
    return found


def _words(cards: Iterable[RateCard], name: str) -> list[str]:
    return sorted({"", *(getattr(card, name) for card in cards)})


def _periods(cards: Sequence[RateCard]) -> Iterator[tuple[datetime, datetime | None, RateCard]]:
    """Which of the cards is in force when, those first that go before the others; without an overlap."""
    turns = sorted({turn for card in cards for turn in (card.effective_from, card.effective_to) if turn is not None})
    in_force = [(turn, next((card for card in cards if card.covers(turn)), None)) for turn in turns]
    changes = [turn for i, turn in enumerate(in_force) if i == 0 or turn[1] is not in_force[i - 1][1]]
    for number, (since, card) in enumerate(changes):
        if card is not None:
            yield since, changes[number + 1][0] if number + 1 < len(changes) else None, card
