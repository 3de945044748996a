"""The SQL that rates a month equals gateway.domain.rate_card.price to the last digit, over wide inputs."""

import uuid
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from analytics import rate_cards
from gateway.domain.rate_card import PLACES_MAX, RateBook, RateCard, Unpriced, price, processing_tier
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
counts = st.sampled_from(["none", "none", "few", "edge", "many"]).flatmap(
    lambda size: {
        "none": st.just(0), "few": st.integers(1, 200_000), "many": st.integers(COUNT_MAX // 2, COUNT_MAX),
        "edge": st.sampled_from([999, 1_000, 1_001, 200_000, 200_001, 200_002]),
    }[size]
)  # fmt: skip
usages = st.builds(Usage, **dict.fromkeys((c.value for c in CLASSES), counts))
instants = st.one_of(
    st.sampled_from([NEW_YEAR + timedelta(days=d, milliseconds=ms) for d in (0, 30, 60) for ms in (-1, 0, 1)]),
    st.datetimes(datetime(2024, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
)


THRESHOLDS = (1_000, 200_001)
WORDS = {
    "account": ("", "org", "org", "other"),
    "response_model": ("m-2026-08-06", "m-2026-08-06", "m-2026-05-13"),
    "region": ("", "us-east-1", "us-east-1", "westeurope"),
    "deployment": ("", "global", "global", "regional"),
    "modality": ("", "audio"),
}
"""What an attempt may say, and what a card may narrow itself to."""


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
    response_model: str = ""
    region: str = ""
    deployment: str = ""
    modality: str = ""


@st.composite
def cases(draw):
    """Cards that name a model and what it begins with, none of which overlap, for everybody and for less and less; and
    an attempt near the edges of their dates and of their bands."""
    model = uuid.uuid5(uuid.NAMESPACE_OID, str(draw(st.integers(0, 2**128 - 1)))).hex  # No two begin alike.
    scopes = draw(st.lists(scopes_of(model), min_size=1, max_size=5, unique_by=lambda s: tuple(sorted(s.items()))))
    cards = [card for scope in scopes for card in draw(dated(scope))]
    says = {name: draw(st.sampled_from(words)) for name, words in WORDS.items()}
    return model, Case(
        tuple(cards), draw(usages), draw(instants), completeness=draw(st.sampled_from([*Completeness, "measured"])),
        outcome=draw(st.sampled_from(["ok", "ok", "error", "refused"])),
        service_tier=draw(st.sampled_from(["", "default", "standard", "batch", "batch", "flex"])), **says,
    )  # fmt: skip


def scopes_of(model):
    """What a card narrows itself to: its model's name most often, and a prefix of it, and any words beside."""
    said = {
        name.replace("response_model", "snapshot"): st.sampled_from(("",) * 6 + words) for name, words in WORDS.items()
    }
    return st.fixed_dictionaries(
        {
            "model": st.sampled_from([model, model, model, f"{model[:30]}*", f"{model[:28]}*"]),
            "processing_tier": st.sampled_from(["", "", "", "batch"]),
            "kind": st.sampled_from(["list", "contracted"]), **said,
        }
    )  # fmt: skip


@st.composite
def dated(draw, scope):
    """Prices of one scope, one after the other; those of longer prompts change when they like."""
    days = draw(st.lists(st.sampled_from((0, 30, 60)), unique=True, min_size=1, max_size=3).map(sorted))
    edges = [NEW_YEAR + timedelta(days=day) for day in days]
    end = draw(st.sampled_from([None, edges[-1] + timedelta(hours=1)]))
    currency = draw(st.sampled_from(["USD"] * 9 + ["EUR"]))
    names = [c for c in CLASSES if draw(st.integers(0, 3))] or [CLASSES[0]]
    periods = {0: [*edges, end]}
    for threshold in THRESHOLDS:
        if draw(st.integers(0, 3)) == 0:
            periods[threshold] = [draw(st.sampled_from(edges)), end]
    return [
        RateCard(
            provider="openai", currency=currency, effective_from=since, effective_to=until, prompt_from=prompt_from,
            per_million={name: draw(prices) for name in names}, **scope,
        )
        for prompt_from, turns in periods.items() for since, until in pairwise(turns)
    ]  # fmt: skip


def card_for(case, model):
    """The card that the domain's own rule chooses."""
    return RateBook(case.cards).in_force(
        provider="openai", account=case.account, model=model, at=case.at, tier=processing_tier(case.service_tier),
        region=case.region, deployment=case.deployment, snapshot=case.response_model, modality=case.modality,
        prompt_tokens=case.usage.input_total,
    )  # fmt: skip


def expected(case, model):
    """(card_id, cost, partial, unpriced) by the domain's own rule."""
    card = card_for(case, model)
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
    rate_cards.load(
        store.writer, list({card.card_id: card for _, case in batch for card in case.cards}.values()), now=NEW_YEAR
    )
    store.writer.insert(
        "spans",
        [
            [f"{n}", 3, case.at, "openai", model, str(case.completeness), case.outcome, case.service_tier, NEW_YEAR,
             *(getattr(case, name) for name in WORDS), *(case.usage.of(c) for c in CLASSES)]
            for n, (model, case) in enumerate(batch)
        ],
        database="tollway",
        column_names=[
            "attempt_id", "kind", "started_at", "provider", "model", "completeness", "outcome", "service_tier",
            "received_at", *WORDS, *(c.value for c in CLASSES),
        ],
    )  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _left_empty(store):
    """Absurd rows, made to see an overflow raise, are not left to those who read the same store next."""
    yield
    store.empty()


@settings(
    max_examples=6, deadline=None, database=None, phases=[Phase.generate],  # A failing case says enough unshrunk.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:Generating overly large repr")
@given(batch=st.lists(cases(), min_size=40, max_size=60, unique_by=lambda case: case[0]))
def test_sql_prices_as_the_domain_does_to_the_last_digit(store, batch):
    store.empty()
    load(store, batch)
    found = store.reader.query(
        "SELECT card_id, cost_usd, partial_cost_usd, unpriced FROM tollway.rated_attempts ORDER BY toUInt32(attempt_id)"
    ).result_rows
    assert len(found) == len(batch), "an attempt matched two cards, or none of its rows came back"
    for (model, case), rated in zip(batch, found, strict=True):
        assert tuple(rated) == expected(case, model), case
    REACHED.update(name for model, case in batch if (card := card_for(case, model)) for name in chosen_by(card))


REACHED = Counter()
"""By what the cards that priced something went before others; the property would hold of a book without any."""


def chosen_by(card):
    """What narrows that card, by the fields that say it."""
    fields = ("account", "snapshot", "region", "deployment", "modality", "prompt_from")
    return [
        *(name for name in fields if getattr(card, name)),
        *(["prefix"] if card.is_pattern else []), *(["tier"] if card.processing_tier else []),
    ]  # fmt: skip


def test_the_wide_inputs_reached_every_way_in_which_a_card_is_chosen():
    assert {"account", "snapshot", "region", "deployment", "modality", "prompt_from", "prefix", "tier"} <= set(REACHED)


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


def rate_all(store, cards, attempts):
    """(card id, cost) of each attempt, all in one store; an attempt is what it says of itself."""
    plain = {"cards": tuple(cards), "usage": Usage(input_uncached=1_000_000), "at": NEW_YEAR, "account": "",
             "completeness": Completeness.MEASURED, "outcome": "ok"}  # fmt: skip
    store.empty()
    load(store, [(said.pop("model", "m"), Case(**(plain | said))) for said in map(dict, attempts)])
    return store.reader.query(
        "SELECT card_id, cost_usd FROM tollway.rated_attempts ORDER BY toUInt32(attempt_id)"
    ).result_rows


def test_a_prompt_is_priced_whole_by_the_band_that_it_reaches_with_its_cached_tokens(store):
    """OpenAI's long context, Gemini's above 200k: the token that crosses reprices all the others, cached ones too."""
    short = card_of(per_million={TokenClass.INPUT_UNCACHED: Decimal(1), TokenClass.CACHE_READ: Decimal("0.1")})
    long = card_of(
        prompt_from=272_001, per_million={TokenClass.INPUT_UNCACHED: Decimal(2), TokenClass.CACHE_READ: Decimal("0.2")}
    )
    usages = [
        Usage(input_uncached=272_000 + more - cached, cache_read=cached)
        for cached in (0, 200_000)
        for more in (-1, 0, 1)
    ]
    rated = rate_all(store, [short, long], [{"usage": usage} for usage in usages])
    assert [card for card, _ in rated] == [short.card_id, short.card_id, long.card_id] * 2
    assert [cost for _, cost in rated] == [
        Decimal("0.271999"), Decimal("0.272000"), Decimal("0.544002"),
        Decimal("0.091999"), Decimal("0.092000"), Decimal("0.184002"),
    ]  # fmt: skip


def test_of_cards_that_hold_for_one_call_the_most_specific_prices_it(store):
    one = {TokenClass.INPUT_UNCACHED: Decimal(1)}
    cards = [card_of(per_million={TokenClass.INPUT_UNCACHED: Decimal(n)}, **scope) for n, scope in enumerate((
        {"model": "m*"}, {"model": "m-4*"}, {"model": "m-4o"}, {"model": "m-4o", "snapshot": "m-4o-2024-05-13"},
        {"model": "m-4o", "region": "eu"}, {"model": "m-4o", "region": "eu", "deployment": "regional"},
        {"model": "m*", "account": "org"}, {"model": "m-4o", "kind": "contracted"},
    ), start=1)]  # fmt: skip
    listed = cards[:7]
    asked = [{"model": "m-3"}, {"model": "m-4-mini"}, {"model": "m-4o", "region": "us"},
             {"model": "m-4o", "response_model": "m-4o-2024-05-13", "region": "eu"}, {"model": "m-4o", "region": "eu"},
             {"model": "m-4o", "region": "eu", "deployment": "regional"},
             {"model": "m-4o", "region": "eu", "account": "org"}, {"model": "n"}]  # fmt: skip
    assert [cost for _, cost in rate_all(store, listed, asked)] == [*map(Decimal, (1, 2, 3, 4, 5, 6, 7)), None]
    assert rate_all(store, cards, [{"model": "m-4o"}]) == [(cards[7].card_id, Decimal(8))]
    assert rate_all(store, [card_of(per_million=one)], [{"modality": "audio"}]) == [("", None)]


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
