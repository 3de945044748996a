"""The store's copy of the rate cards: all of them at once, so that no query ever sees half a price list."""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal

import polars as pl
from clickhouse_connect.driver.client import Client

import sql
from gateway.domain.money import EXACT
from gateway.domain.rate_card import PER_MILLION, RateBook, RateCard, RateCardInvalid
from gateway.domain.usage import TokenClass

LOADS_MAX = 3
OPEN = datetime(2262, 1, 1, tzinfo=UTC)
"""How the store writes a card without an end."""

_PRICES = {token_class: f"price_{token_class}" for token_class in TokenClass}
_COLUMNS = (
    "card_id",
    "provider",
    "account",
    "model",
    "processing_tier",
    "currency",
    "effective_from",
    "effective_to",
    *_PRICES.values(),
    "loaded_at",
)


class RateCardsContested(RuntimeError):
    """Two loaders with different cards; neither may win silently."""


def load(client: Client, cards: Sequence[RateCard], *, now: datetime) -> int:
    """Make the store's rate cards exactly `cards`; returns how many there are.

    A second table is filled, and its rows take the place of the live one's in one step. The same cards again
    change nothing. Raises RateCardInvalid when two of them would be in force at once, or when one would not come back
    from the store as it is; RateCardsContested when another loader puts other cards in force meanwhile.
    """
    book = RateBook(cards)
    for card in book.cards:
        _check(card)
    wanted = sorted(card.card_id for card in book.cards)
    for _ in range(LOADS_MAX):
        if _stored(client) == wanted:
            return len(wanted)
        if not book.cards:
            sql.execute(client, "rate_card_clear")
            continue
        sql.execute(client, "rate_card_clear_next")
        rows = [_row(card, now) for card in book.cards]
        client.insert("tollway.rate_cards_next", rows, column_names=_COLUMNS)
        sql.execute(client, "rate_card_replace")
    if _stored(client) != wanted:
        raise RateCardsContested(f"the store's rate cards are not those loaded {LOADS_MAX} times: who else loads them?")
    return len(wanted)


def book_of(frame: pl.DataFrame) -> RateBook:
    """The cards of `rate_card_current`, as the domain knows them. Raises RateCardInvalid for overlapping rows."""
    return RateBook(_card(row) for row in frame.iter_rows(named=True))


def _stored(client: Client) -> list[str]:
    return sorted(sql.fetch(client, "rate_card_current")["card_id"].to_list())


def _row(card: RateCard, now: datetime) -> list[object]:
    prices = [_unit_price(card, token_class) for token_class in _PRICES]
    head = [card.card_id, card.provider, card.account, card.model, card.processing_tier, card.currency]
    return [*head, card.effective_from, card.effective_to or OPEN, *prices, now]


def _unit_price(card: RateCard, token_class: TokenClass) -> Decimal | None:
    """The card's own price of one token: what is inferred (reasoning as output) is left to whoever rates."""
    per_million = card.per_million.get(token_class)
    return None if per_million is None else EXACT.divide(per_million, PER_MILLION)


def _card(row: dict[str, object]) -> RateCard:
    prices = {
        token_class: EXACT.multiply(price, PER_MILLION)
        for token_class, column in _PRICES.items()
        if isinstance(price := row[column], Decimal)
    }
    until = row["effective_to"]
    since = row["effective_from"]
    if not isinstance(since, datetime) or not isinstance(until, datetime):
        raise TypeError("a card's dates came back from the store as something else")
    return RateCard(
        provider=str(row["provider"]),
        account=str(row["account"]),
        model=str(row["model"]),
        processing_tier=str(row["processing_tier"]),
        currency=str(row["currency"]),
        effective_from=since.replace(tzinfo=UTC),
        effective_to=None if until.replace(tzinfo=UTC) == OPEN else until.replace(tzinfo=UTC),
        per_million=prices,
    )


def _check(card: RateCard) -> None:
    """A card's id is a hash of what it says, so a card the store cannot hold to the letter would lose its name."""
    for name, instant in (("effective_from", card.effective_from), ("effective_to", card.effective_to)):
        if instant is not None and (instant.utcoffset() or instant.microsecond % 1000):
            raise RateCardInvalid(
                f"{card.card_id}: {name} {instant.isoformat()} is not written in UTC to the millisecond; "
                "write it as 2026-01-01T00:00:00Z"
            )
