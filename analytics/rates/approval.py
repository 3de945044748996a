"""From a proposal to the next version of the book. Pure: books in, differences or a new version out.

A price that changes closes the row before it at the instant from which it holds, and the row stays. What is in the past
is not changed, unless somebody restates it and says why; the version then names who, why and which rows.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from analytics.rates.proposal import Proposal
from gateway.domain.card_file import Approval, CardFile, together
from gateway.domain.rate_card import RateBook, RateCard
from gateway.domain.usage import TokenClass


class NotApproved(ValueError):
    """An approval that would change the past in silence, or nothing at all; the message says what to do."""


@dataclass(frozen=True, slots=True)
class PriceChange:
    """One price of one class that a proposal changes, adds or no longer has; None = none there."""

    card: RateCard
    token_class: TokenClass
    old: Decimal | None
    new: Decimal | None
    source: str

    @property
    def what(self) -> str:
        """changed, added or removed."""
        return "added" if self.old is None else "removed" if self.new is None else "changed"

    @property
    def percent(self) -> Decimal | None:
        """How much more it is, in percent with two places; None where there is nothing to compare, or it was free."""
        if not self.old or self.new is None:
            return None
        return ((self.new - self.old) * 100 / self.old).quantize(Decimal("0.01"))


def differences(book: RateBook, proposal: Proposal) -> list[PriceChange]:
    """Every price that is not what the book has at the instant from which the proposal's holds; and every price which
    the book has from the same source, of a key that the proposal no longer has."""
    found: list[PriceChange] = []
    for card in proposal.cards:
        old = _standing(book, card)
        before = old.per_million if old else {}
        for token_class in TokenClass:
            was, will = before.get(token_class), card.per_million.get(token_class)
            if was != will:
                found.append(PriceChange(card, token_class, was, will, proposal.source))
    for card in gone(book, proposal):
        found += [PriceChange(card, name, price, None, proposal.source) for name, price in card.per_million.items()]
    return found


def gone(book: RateBook, proposal: Proposal) -> list[RateCard]:
    """The open rows of the book from that source whose key the proposal does not have."""
    proposed = {(card.key, card.prompt_from) for card in proposal.cards}
    mine = proposal.source.partition(" ")[0]
    return [
        card
        for card in book.cards
        if card.effective_to is None
        and card.provenance.source.partition(" ")[0] == mine
        and (card.key, card.prompt_from) not in proposed
    ]


def approve(
    configured: tuple[RateCard, ...],
    current: CardFile | None,
    proposal: Proposal,
    *,
    actor: str,
    now: datetime,
    restate: str = "",
    close_gone: bool = False,
) -> CardFile:
    """The next version, in which the proposal's prices hold; `actor` is whoever was authenticated.

    `restate` is why prices of the past may change. Raises NotApproved for an approval that changes nothing, or the past
    without `restate`; RateCardInvalid for prices that do not go together.
    """
    book, proposal = RateBook(together(configured, current)), proposal.beginning(now)
    version = current.version + 1 if current else 1
    new = [card for card in proposal.cards if not _same(_standing(book, card), card)]
    ending = [replace(card, effective_to=now) for card in gone(book, proposal)] if close_gone else []
    if not new and not ending:
        raise NotApproved("every proposed price is in the book already: there is nothing to approve")
    restated = tuple(sorted({card_id for card in new for card_id in _past(book, card, now)}))
    if restated and not restate:
        names = ", ".join(restated[:3]) + (f" and {len(restated) - 3} more" if len(restated) > 3 else "")
        way_out = "import with a later --effective-from, or say why with --restate"
        raise NotApproved(f"this would change prices of the past, which {names} gave: {way_out}")
    stamped = [_stamped(card, actor, now, version) for card in new]
    taken = {card.key for card in (*new, *ending)} | {card.key for card in (current.cards if current else ())}
    kept = {(card.key, card.prompt_from, card.effective_from): card for card in book.cards if card.key in taken}
    kept |= {(card.key, card.prompt_from, card.effective_from): card for card in ending}
    cards = list(kept.values())
    for card in stamped:
        cards = [*_closed(cards, card)]
    RateBook([*cards, *(card for card in configured if card.key not in taken)])
    approval = Approval(actor, now, restate if restated else "", restated)
    ordered = tuple(sorted(cards, key=lambda card: (card.key, card.prompt_from, card.effective_from)))
    return CardFile(version, ordered, approval, current.sha256 if current else "")


def _closed(cards: list[RateCard], new: RateCard) -> Iterator[RateCard]:
    """The cards with `new` among them: the row before it ends where it begins, and it ends where the next one does."""
    same = sorted(
        (card for card in cards if (card.key, card.prompt_from) == (new.key, new.prompt_from)),
        key=lambda card: card.effective_from,
    )
    yield from (card for card in cards if (card.key, card.prompt_from) != (new.key, new.prompt_from))
    for card in same:
        if card.effective_from >= new.effective_from:
            if card.effective_from > new.effective_from:
                yield card
        elif card.effective_to is None or card.effective_to > new.effective_from:
            yield replace(card, effective_to=new.effective_from)
        else:
            yield card
    later = [card.effective_from for card in same if card.effective_from > new.effective_from]
    yield replace(new, effective_to=min(later)) if later else new


def _stamped(card: RateCard, actor: str, now: datetime, version: int) -> RateCard:
    told = replace(card.provenance, approved_by=actor, approved_at=now, version=version)
    return replace(card, provenance=told)


def _standing(book: RateBook, card: RateCard) -> RateCard | None:
    """The row of the same key and band that is in force when that card begins."""
    for other in book.cards:
        if (other.key, other.prompt_from) == (card.key, card.prompt_from) and other.covers(card.effective_from):
            return other
    return None


def _same(old: RateCard | None, new: RateCard) -> bool:
    return old is not None and (old.currency, {**old.per_million}) == (new.currency, {**new.per_million})


def _past(book: RateBook, card: RateCard, now: datetime) -> list[str]:
    """The cards that priced, before now, what `card` would price."""
    candidates = book.candidates(card.provider, card.model, card.processing_tier, card.modality)
    return [
        other.card_id
        for other in candidates
        if other.holds_for(card.account, card.snapshot, card.region, card.deployment, card.prompt_from)
        and other.effective_from < now
        and card.effective_from < now
        and (other.effective_to is None or other.effective_to > card.effective_from)
    ]
