"""The SQL that rates a month equals gateway.domain.rate_card.price to the last digit, over wide inputs."""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from gateway.domain.rate_card import PER_MILLION, PLACES_MAX, RateBook, RateCard, Unpriced, price, processing_tier
from gateway.domain.usage import Completeness, TokenClass, Usage

pytestmark = pytest.mark.slow

OPEN = datetime(2262, 1, 1, tzinfo=UTC)
NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)
CLASSES = tuple(TokenClass)
COUNT_MAX = 10**12

prices = st.one_of(
    st.just(Decimal(0)),
    st.decimals(min_value=0, max_value=1000, places=PLACES_MAX),
    st.decimals(min_value=0, max_value=10**6, places=2),
    st.sampled_from([Decimal("0.15"), Decimal("0.075"), Decimal("0.000000000001"), Decimal(10**12)]),
)
counts = st.sampled_from(["none", "none", "few", "many"]).flatmap(
    lambda size: {"none": st.just(0), "few": st.integers(1, 200_000), "many": st.integers(COUNT_MAX // 2, COUNT_MAX)}[
        size
    ]
)
usages = st.builds(Usage, **dict.fromkeys((c.value for c in CLASSES), counts))
instants = st.one_of(
    st.sampled_from([NEW_YEAR + timedelta(days=d, milliseconds=ms) for d in (0, 30, 60) for ms in (-1, 0, 1)]),
    st.datetimes(datetime(2024, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
)


@dataclass(frozen=True)
class Case:
    """An attempt to rate, and the cards known for its model."""

    cards: tuple[RateCard, ...]
    usage: Usage
    at: datetime
    account: str
    completeness: str
    outcome: str
    service_tier: str = "default"


@st.composite
def cases(draw):
    """Cards of one model that do not overlap, for everybody and for one account, and an attempt near their edges."""
    model = uuid.UUID(int=draw(st.integers(0, 2**128 - 1))).hex
    cards = []
    for account, tier in (("", ""), ("org", ""), ("", "batch"), ("org", "batch")):
        edges = draw(st.lists(st.sampled_from((0, 30, 60)), unique=True, max_size=3).map(sorted))
        for number, day in enumerate(edges):
            later = [*edges[number + 1 :], None][0]
            until = None if later is None else NEW_YEAR + timedelta(days=later)
            if draw(st.booleans()):  # It ends early: a gap, in which no card is in force.
                until = NEW_YEAR + timedelta(days=day, hours=draw(st.integers(1, 24)))
            per_million = {c: draw(prices) for c in CLASSES if draw(st.integers(0, 3))} or {CLASSES[0]: draw(prices)}
            cards.append(
                RateCard(
                    provider="openai", model=model, currency=draw(st.sampled_from(["USD"] * 9 + ["EUR"])),
                    effective_from=NEW_YEAR + timedelta(days=day), effective_to=until, account=account,
                    per_million=per_million, processing_tier=tier,
                )
            )  # fmt: skip
    return model, Case(
        tuple(cards), draw(usages), draw(instants), draw(st.sampled_from(["", "org", "other"])),
        draw(st.sampled_from([*Completeness, "measured"])), draw(st.sampled_from(["ok", "ok", "error", "refused"])),
        draw(st.sampled_from(["", "default", "standard", "batch", "batch", "flex"])),
    )  # fmt: skip


def expected(case, model):
    """(card_id, cost, partial, unpriced) by the domain's own rule."""
    tier = processing_tier(case.service_tier)
    card = RateBook(case.cards).in_force(provider="openai", account=case.account, model=model, at=case.at, tier=tier)
    amount = None
    if card is not None and card.currency == "USD":
        try:
            amount = price(case.usage, card).amount
        except Unpriced:
            amount = None
    refused = case.outcome == "refused"
    measured = case.completeness == "measured" and not refused
    estimated = case.completeness == "estimated" and not refused
    cost = Decimal(0) if refused else amount if measured else None
    return card.card_id if card else "", cost, amount if estimated else None, (measured or estimated) and amount is None


def load(store, batch):
    cards = [row(card) for _, case in batch for card in case.cards]
    if cards:
        store.writer.insert(
            "rate_cards", cards, database="tollway",
            column_names=[
                "card_id", "provider", "account", "model", "processing_tier", "currency", "effective_from",
                "effective_to", *(f"price_{c.value}" for c in CLASSES), "loaded_at",
            ],
        )  # fmt: skip
    store.writer.insert(
        "spans",
        [
            [f"{n}", 3, case.at, "openai", case.account, model, str(case.completeness), case.outcome,
             case.service_tier, *(case.usage.of(c) for c in CLASSES), NEW_YEAR]
            for n, (model, case) in enumerate(batch)
        ],
        database="tollway",
        column_names=[
            "attempt_id", "kind", "started_at", "provider", "account", "model", "completeness", "outcome",
            "service_tier", *(c.value for c in CLASSES), "received_at",
        ],
    )  # fmt: skip


def row(card):
    """The card as a row of rate_cards: a price for one token; the domain's fallbacks are the SQL's own business."""
    stated = [card.per_million.get(c) for c in CLASSES]
    return [
        card.card_id, card.provider, card.account, card.model, card.processing_tier, card.currency, card.effective_from,
        card.effective_to or OPEN, *(None if p is None else p / PER_MILLION for p in stated), NEW_YEAR,
    ]  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _left_empty(store):
    """Absurd rows, made to see an overflow raise, are not left to those who read the same store next."""
    yield
    store.empty()


@settings(
    max_examples=8, deadline=None, database=None, phases=[Phase.generate],  # A failing case says enough unshrunk.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(batch=st.lists(cases(), min_size=50, max_size=100, unique_by=lambda case: case[0]))
def test_sql_prices_as_the_domain_does_to_the_last_digit(store, batch):
    store.empty()
    load(store, batch)
    found = store.reader.query(
        "SELECT card_id, cost_usd, partial_cost_usd, unpriced FROM tollway.rated_attempts ORDER BY toUInt32(attempt_id)"
    ).result_rows
    assert len(found) == len(batch), "an attempt matched two cards, or none of its rows came back"
    for (model, case), rated in zip(batch, found, strict=True):
        assert tuple(rated) == expected(case, model), case


def card_of(**changes):
    plain = {"provider": "openai", "model": "m", "currency": "USD", "effective_from": NEW_YEAR,
             "per_million": {TokenClass.INPUT_UNCACHED: Decimal(1), TokenClass.OUTPUT: Decimal(2)}}  # fmt: skip
    return RateCard(**(plain | changes))


def rate_one(store, *cards, **changes):
    store.empty()
    plain = {"cards": tuple(cards), "usage": Usage(input_uncached=1_000_000), "at": NEW_YEAR, "account": "",
             "completeness": Completeness.MEASURED, "outcome": "ok"}  # fmt: skip
    load(store, [("m", Case(**(plain | changes)))])
    (rated,) = store.reader.query(
        "SELECT cost_usd, partial_cost_usd, unpriced, card_id FROM tollway.rated_attempts"
    ).result_rows
    return rated


@pytest.mark.parametrize(
    ("offset_ms", "cost"), [(-1, None), (0, Decimal(1)), (86_399_999, Decimal(1)), (86_400_000, None)]
)
def test_a_card_is_in_force_from_its_first_millisecond_until_before_its_last(store, offset_ms, cost):
    card = card_of(effective_to=NEW_YEAR + timedelta(days=1))
    assert rate_one(store, card, at=NEW_YEAR + timedelta(milliseconds=offset_ms))[0] == cost


def test_the_nanosecond_before_a_card_begins_is_not_its(store):
    store.empty()
    load(store, [("m", Case((card_of(),), Usage(), NEW_YEAR, "", Completeness.MEASURED, "ok"))])
    late = '{"attempt_id": "9", "kind": 3, "started_at": "2025-12-31 23:59:59.999999999", '
    late += '"provider": "openai", "model": "m"}'
    store.writer.raw_insert("tollway.spans", insert_block=late.encode(), fmt="JSONEachRow")
    answer = store.reader.query("SELECT attempt_id, card_id != '' FROM tollway.rated_attempts ORDER BY attempt_id")
    assert answer.result_rows == [("0", True), ("9", False)]


def test_an_account_own_card_goes_before_the_general_one_even_when_it_lacks_a_price(store):
    own = card_of(account="org", per_million={TokenClass.OUTPUT: Decimal(5)})
    cost, _, unpriced, card_id = rate_one(store, card_of(), own, account="org")
    assert (cost, unpriced, card_id) == (None, True, own.card_id)
    assert rate_one(store, card_of(), own, account="other")[0] == Decimal(1)


def test_an_ended_account_card_gives_way_to_the_general_one(store):
    own = card_of(
        account="org", effective_to=NEW_YEAR + timedelta(days=1), per_million={TokenClass.INPUT_UNCACHED: Decimal(9)}
    )
    assert rate_one(store, card_of(), own, account="org", at=NEW_YEAR)[0] == Decimal(9)
    assert rate_one(store, card_of(), own, account="org", at=NEW_YEAR + timedelta(days=1))[0] == Decimal(1)


def test_a_batch_has_the_batch_cards_price_and_without_one_none(store):
    """OpenAI bills a batch at half the price; another vendor's words for its default tier mean the default card."""
    half = card_of(processing_tier="batch", per_million={TokenClass.INPUT_UNCACHED: Decimal("0.5")})
    assert rate_one(store, card_of(), half, service_tier="batch")[:3] == (Decimal("0.5"), None, False)
    assert rate_one(store, card_of(), half, service_tier="on_demand")[0] == Decimal(1)
    assert rate_one(store, card_of(), service_tier="batch")[:3] == (None, None, True)
    assert rate_one(store, half, service_tier="default")[:3] == (None, None, True)


def test_unknown_is_null_refused_is_zero_and_a_free_model_costs_zero(store):
    free = card_of(per_million={TokenClass.INPUT_UNCACHED: Decimal(0)})
    assert rate_one(store, free)[:3] == (Decimal(0), None, False)
    assert rate_one(store, completeness=Completeness.UNKNOWN, usage=Usage())[:3] == (None, None, False)
    assert rate_one(store, outcome="refused", usage=Usage())[:3] == (Decimal(0), None, False)
    assert rate_one(store, completeness=Completeness.ESTIMATED)[:3] == (None, None, True)


@pytest.mark.parametrize("owner", ["", "org"])
def test_reasoning_is_billed_as_output_where_the_card_is_silent_on_it(store, owner):
    silent = card_of(account=owner, per_million={TokenClass.OUTPUT: Decimal(3)})
    assert rate_one(store, silent, account="org", usage=Usage(reasoning=1_000_000))[0] == Decimal(3)
    stated = card_of(account=owner, per_million={TokenClass.OUTPUT: Decimal(3), TokenClass.REASONING: Decimal(7)})
    assert rate_one(store, stated, account="org", usage=Usage(reasoning=1_000_000))[0] == Decimal(7)


def test_a_card_in_another_currency_prices_no_dollars(store):
    assert rate_one(store, card_of(currency="EUR"))[:3] == (None, None, True)


def test_the_largest_counts_at_the_largest_prices_fit_and_a_price_beyond_is_refused(store):
    dearest = card_of(per_million=dict.fromkeys(CLASSES, Decimal(10**12)))
    full = Usage(**dict.fromkeys((c.value for c in CLASSES), COUNT_MAX))
    assert rate_one(store, dearest, usage=full)[0] == Decimal(6 * 10**18)
    dearer = card_of(per_million={TokenClass.OUTPUT: Decimal(10**12 + 1)})
    with pytest.raises(DatabaseError, match="price_is_sane"):
        rate_one(store, dearer)


def test_a_cost_beyond_the_column_raises_and_never_wraps(store):
    """No span lands with such counts; were one there, the sum must fail loudly."""
    beyond = Usage(input_uncached=2**63, output=2**63)
    with pytest.raises(DatabaseError, match="DECIMAL_OVERFLOW"):
        rate_one(store, card_of(per_million=dict.fromkeys(CLASSES, Decimal(10**12))), usage=beyond)
