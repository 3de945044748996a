"""The store's copy of the rate cards: all at once, unchanged when they are the same, and back again as they were."""

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from decimal import Decimal

import pytest
from clickhouse_connect.driver.client import Client

import sql
from analytics import rate_cards
from gateway.domain.rate_card import RateCardInvalid
from gateway.domain.usage import TokenClass
from tests.analytics.recon_builders import OUT, card, instant

pytestmark = pytest.mark.slow

NOW = instant("2026-11-20")


def stored(reader: Client) -> set[str]:
    return set(sql.fetch(reader, "rate_card_current")["card_id"])


def loaded_at(reader: Client) -> set[datetime]:
    return {row[0] for row in reader.query("SELECT loaded_at FROM tollway.rate_cards").result_rows}


def test_cards_come_back_from_the_store_as_they_went_in(writer, reader):
    every = dict.fromkeys(TokenClass, "0.000000000001") | {OUT: "999999.999999999999"}
    cards = [card(), card(account="org-eu", until="2026-12-01"), card(every, model="all")]
    assert rate_cards.load(writer, cards, now=NOW) == 3
    book = rate_cards.book_of(sql.fetch(reader, "rate_card_current"))
    assert {c.card_id: (c.unit_price(OUT), c.effective_to) for c in book.cards} == {
        c.card_id: (c.unit_price(OUT), c.effective_to) for c in cards
    }


def test_a_price_that_a_card_does_not_give_stays_unknown(writer, reader):
    rate_cards.load(writer, [card({OUT: "0.60"})], now=NOW)
    (found,) = rate_cards.book_of(sql.fetch(reader, "rate_card_current")).cards
    assert dict(found.per_million) == {OUT: Decimal("0.60")}


def test_the_same_cards_again_change_nothing(writer, reader):
    rate_cards.load(writer, [card(), card(model="gpt-4o")], now=NOW)
    rate_cards.load(writer, [card(model="gpt-4o"), card()], now=NOW + timedelta(days=1))
    assert {at.replace(tzinfo=NOW.tzinfo) for at in loaded_at(reader)} == {NOW}


def test_other_cards_replace_all_that_were_there(writer, reader):
    rate_cards.load(writer, [card(), card(model="gpt-4o")], now=NOW)
    changed = card({OUT: "0.61"})
    rate_cards.load(writer, [changed], now=NOW)
    assert stored(reader) == {changed.card_id}
    assert rate_cards.load(writer, [], now=NOW) == 0
    assert stored(reader) == set()


def test_cards_that_are_there_twice_are_put_right(writer, reader):
    rate_cards.load(writer, [card()], now=NOW)
    writer.command("INSERT INTO tollway.rate_cards SELECT * FROM tollway.rate_cards")
    rate_cards.load(writer, [card()], now=NOW)
    assert reader.query("SELECT count() FROM tollway.rate_cards").result_rows == [(1,)]


class Rival:
    """A client whose every set of cards is followed by another loader's."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def __getattr__(self, name: str) -> object:
        return getattr(self._client, name)

    def command(self, text: str, **options: object) -> object:
        done = self._client.command(text, **options)
        if "REPLACE PARTITION" in text:
            self._client.command("TRUNCATE TABLE tollway.rate_cards")
        return done


def test_another_loader_with_other_cards_is_not_outdone_in_silence(writer, reader):
    with pytest.raises(rate_cards.RateCardsContested, match="who else"):
        rate_cards.load(Rival(writer), [card()], now=NOW)


def test_overlapping_cards_leave_the_store_as_it_was(writer, reader):
    rate_cards.load(writer, [card()], now=NOW)
    with pytest.raises(RateCardInvalid, match="overlap"):
        rate_cards.load(writer, [card(), card(since="2026-01-01")], now=NOW)
    assert stored(reader) == {card().card_id}


@pytest.mark.parametrize(
    "since",
    [
        datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=2))),
        instant("2026-01-01T00:00:00.000001"),
    ],
)
def test_a_card_whose_name_the_store_could_not_keep_is_refused(writer, since):
    with pytest.raises(RateCardInvalid, match="write it as 2026-01-01T00:00:00Z"):
        rate_cards.load(writer, [replace(card(), effective_from=since)], now=NOW)
