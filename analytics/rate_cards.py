"""The store's copy of the rate cards: all of them at once, so that no query ever sees half a price list.

It has two tables: the cards as they are, for whoever reads them, and what they come to (rate_windows.py), by which
attempts are rated. Each takes the place of the one before in one step, the windows last.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Protocol

import polars as pl
from clickhouse_connect.driver.client import Client

import sql
from analytics.rate_windows import RateWindow, windows
from gateway.domain.money import EXACT
from gateway.domain.rate_card import PER_MILLION, Multiplier, Provenance, RateBook, RateCard, RateCardInvalid
from gateway.domain.usage import TokenClass

LOADS_MAX = 3
OPEN = datetime(2262, 1, 1, tzinfo=UTC)
"""How the store writes a card without an end."""

_PRICES = {token_class: f"price_{token_class}" for token_class in TokenClass}
_WORDS = ("provider", "account", "model", "processing_tier", "snapshot", "region", "deployment", "modality", "kind")
_CASE = ("provider", "model", "processing_tier", "modality", "account", "snapshot", "region", "deployment")


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
    _replace(_Cards(client), [_row(card) | {"loaded_at": now} for card in book.cards])
    _replace(_Windows(client), [_window_row(window) for window in windows(book)])
    return len(book.cards)


def book_of(frame: pl.DataFrame) -> RateBook:
    """The cards of `rate_card_current`, as the domain knows them. Raises RateCardInvalid for overlapping rows."""
    return RateBook(_card(row) for row in frame.iter_rows(named=True))


class _Table(Protocol):
    """A table of the store whose rows are replaced all at once."""

    @property
    def name(self) -> str: ...
    def current(self) -> pl.DataFrame: ...
    def clear(self) -> None: ...
    def fill_next(self, rows: list[dict[str, Any]]) -> None: ...


@dataclass(frozen=True, slots=True)
class _Cards:
    client: Client
    name: str = "rate cards"

    def current(self) -> pl.DataFrame:
        return sql.fetch(self.client, "rate_card_current")

    def clear(self) -> None:
        sql.execute(self.client, "rate_card_clear")

    def fill_next(self, rows: list[dict[str, Any]]) -> None:
        sql.execute(self.client, "rate_card_clear_next")
        self.client.insert("tollway.rate_cards_next", [[*row.values()] for row in rows], column_names=[*rows[0]])
        sql.execute(self.client, "rate_card_replace")


@dataclass(frozen=True, slots=True)
class _Windows:
    client: Client
    name: str = "rate windows"

    def current(self) -> pl.DataFrame:
        return sql.fetch(self.client, "rate_window_current")

    def clear(self) -> None:
        sql.execute(self.client, "rate_window_clear")

    def fill_next(self, rows: list[dict[str, Any]]) -> None:
        sql.execute(self.client, "rate_window_clear_next")
        self.client.insert("tollway.rate_windows_next", [[*row.values()] for row in rows], column_names=[*rows[0]])
        sql.execute(self.client, "rate_window_replace")


def _replace(table: _Table, wanted: list[dict[str, Any]]) -> None:
    """Make the table's rows those. Raises RateCardsContested."""
    rows = _comparable(wanted)
    for _ in range(LOADS_MAX):
        if _comparable(table.current().rows(named=True)) == rows:
            return
        if wanted:
            table.fill_next(wanted)
        else:
            table.clear()
    if _comparable(table.current().rows(named=True)) != rows:
        problem = f"the store's {table.name} are not those loaded {LOADS_MAX} times"
        raise RateCardsContested(f"{problem}: who else loads them?")


def _comparable(rows: Iterable[Mapping[str, Any]]) -> list[list[str]]:
    """Every value in one spelling, in one order: an instant of the store has no zone, a decimal other zeros."""
    return sorted([_spelt(row[name]) for name in sorted(row) if name != "loaded_at"] for row in rows)


def _spelt(value: object) -> str:
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC).isoformat(timespec="milliseconds")
    return f"{value.normalize():f}" if isinstance(value, Decimal) else str(value)


def _row(card: RateCard) -> dict[str, Any]:
    provenance = card.provenance
    return {
        "card_id": card.card_id,
        **{name: getattr(card, name) for name in _WORDS},
        "prompt_from": card.prompt_from,
        "issuer": card.issuer,
        "currency": card.currency,
        "effective_from": card.effective_from,
        "effective_to": card.effective_to or OPEN,
        **_prices(card),
        "unit_tokens": card.unit_tokens,
        "multipliers": ",".join(f"{one.name}={one.factor:f}" for one in card.multipliers),
        "source": provenance.source,
        "captured_at": provenance.captured_at,
        "sha256": provenance.sha256,
        "approved_by": provenance.approved_by,
        "approved_at": provenance.approved_at,
        "version": provenance.version,
    }


def _window_row(window: RateWindow) -> dict[str, Any]:
    return {
        **{name: getattr(window, name) for name in _CASE},
        "prompt_from": window.prompt_from,
        "since": window.since,
        "until": window.until or OPEN,
        "card_id": window.card.card_id,
        "currency": window.card.currency,
        **_prices(window.card),
    }


def _prices(card: RateCard) -> dict[str, Decimal | None]:
    """The card's own price of one token: what is inferred (reasoning as output) is left to whoever rates."""
    stated = {column: card.per_million.get(token_class) for token_class, column in _PRICES.items()}
    return {column: None if each is None else EXACT.divide(each, PER_MILLION) for column, each in stated.items()}


def _card(row: dict[str, Any]) -> RateCard:
    until = _utc(row["effective_to"])
    since = _utc(row["effective_from"])
    if since is None:
        raise TypeError("a card's dates came back from the store as something else")
    return RateCard(
        **{name: str(row[name]) for name in _WORDS},
        prompt_from=int(row["prompt_from"]),
        issuer=str(row["issuer"]),
        currency=str(row["currency"]),
        effective_from=since,
        effective_to=None if until == OPEN else until,
        per_million={
            token_class: EXACT.multiply(row[column], PER_MILLION)
            for token_class, column in _PRICES.items()
            if isinstance(row[column], Decimal)
        },
        unit_tokens=int(row["unit_tokens"]),
        multipliers=tuple(
            Multiplier(name, Decimal(factor))
            for name, _, factor in (one.rpartition("=") for one in row["multipliers"].split(",") if one)
        ),
        provenance=Provenance(
            source=row["source"],
            captured_at=_utc(row["captured_at"]),
            sha256=row["sha256"],
            approved_by=row["approved_by"],
            approved_at=_utc(row["approved_at"]),
            version=int(row["version"]),
        ),
    )


def _utc(value: object) -> datetime | None:
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) else None


def _check(card: RateCard) -> None:
    """A card comes back from the store as it went in, by the id that hashes what it says: to the millisecond."""
    told = card.provenance
    for name, instant in (
        ("effective_from", card.effective_from),
        ("effective_to", card.effective_to),
        ("captured_at", told.captured_at),
        ("approved_at", told.approved_at),
    ):
        if instant is not None and (instant.utcoffset() or instant.microsecond % 1000):
            raise RateCardInvalid(
                f"{card.card_id}: {name} {instant.isoformat()} is not written in UTC to the millisecond; "
                "write it as 2026-01-01T00:00:00Z"
            )
