"""What holds for any invoice and any traffic: the classes sum to the variance, and none is claimed without evidence."""

from collections.abc import Iterable
from datetime import timedelta
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from itertools import groupby

from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.reconciliation import AttemptGroup, BilledRow, Line, Part, Snapshot, VarianceClass, reconcile_lines
from analytics.reconciliation.charges import CATEGORIES
from analytics.reconciliation.variance import by_class, total
from gateway.domain.attempt import Outcome
from gateway.domain.money import EXACT
from gateway.domain.rate_card import RateBook, RateCard
from gateway.domain.usage import Completeness, TokenClass, Usage
from tests.analytics.recon_builders import DAY, IN, OUT, billed, card, group

MODELS = ("gpt-4o-mini", "gpt-4o", "snap-1", "snap-2")
ACCOUNTS = ("org-a", "org-b")
counts = st.integers(0, 10**9) | st.integers(0, 3)
prices = st.decimals("0", "999", places=12) | st.decimals("0", "2", places=2)


@st.composite
def books(draw: st.DrawFn) -> RateBook:
    """Cards for some models, general or of an account, open or changing at noon of the day."""
    cards: list[RateCard] = []
    noon = "2026-11-03T12:00"
    for model in draw(st.lists(st.sampled_from(MODELS), unique=True)):
        for account in draw(st.lists(st.sampled_from(("", *ACCOUNTS)), unique=True, min_size=1)):
            spans = [("2023-01-01", noon), (noon, None)] if draw(st.booleans()) else [("2023-01-01", None)]
            for since, until in spans:
                given_prices = draw(st.dictionaries(st.sampled_from(TokenClass), prices, min_size=1))
                as_text = {token_class: f"{value:f}" for token_class, value in given_prices.items()}
                cards.append(card(as_text, model=model, account=account, since=since, until=until))
    return RateBook(cards)


@st.composite
def attempt_groups(draw: st.DrawFn, book: RateBook) -> AttemptGroup:
    """Attempts that a store could hold: priced only where a card prices every class with tokens."""
    model, account = draw(st.sampled_from(MODELS)), draw(st.sampled_from(ACCOUNTS))
    usable = [c for c in book.cards if c.model == model and c.account in ("", account)]
    rated = draw(st.sampled_from(usable)) if usable else None
    completeness = draw(st.sampled_from(Completeness))
    usage = Usage(*(draw(counts) for _ in TokenClass)) if completeness is not Completeness.UNKNOWN else Usage()
    priced = rated is not None and all(rated.unit_price(name) is not None for name, n in usage.items() if n)
    return AttemptGroup(
        provider="openai",
        account=account,
        model=model,
        day=DAY + timedelta(days=draw(st.integers(0, 1))),
        outcome=draw(st.sampled_from(Outcome)),
        completeness=completeness,
        priced=priced,
        card_id=rated.card_id if rated else "",
        processing_tier=draw(st.sampled_from(("", "batch"))),
        region=draw(st.sampled_from(("", "eu", "us"))),
        attempts=draw(st.integers(1, 9)),
        tokens=usage,
        request_bytes=draw(counts),
        output_ceiling=draw(counts),
    )


@st.composite
def billed_rows(draw: st.DrawFn) -> BilledRow:
    scale = draw(st.integers(0, 30))
    amount = draw(st.integers(-(10**12), 10**14))
    with localcontext(EXACT):
        value = Decimal(2 * amount).scaleb(-scale)
    return BilledRow(
        provider="openai",
        account=draw(st.sampled_from(ACCOUNTS)),
        day=DAY + timedelta(days=draw(st.integers(0, 1))),
        model=draw(st.sampled_from((*MODELS, ""))),
        token_class=draw(st.sampled_from([*(str(c) for c in TokenClass), "other"])),
        quantity=draw(st.none() | counts),
        category=draw(st.sampled_from(("Usage", "Usage", "Usage", *CATEGORIES, "Adjustment"))),
        correction=draw(st.integers(0, 9)) == 0,
        processing_tier=draw(st.sampled_from(("", "", "batch"))),
        region=draw(st.sampled_from(("", "", "eu"))),
        days=draw(st.sampled_from((1, 1, 1, 2))),
        priced=draw(st.none() | st.just(value / 2)),
        request_id=draw(st.sampled_from(("", "", "one"))),
        amount=value,
        scale=draw(st.sampled_from((scale, min(scale, 6)))),
        row=draw(st.integers(0, 99)),
    )


snapshots = st.builds(
    Snapshot,
    st.just("openai"),
    st.sampled_from(ACCOUNTS),
    st.sampled_from(MODELS),
    st.sampled_from(("snap-1", "snap-2", "snap-3")),
)


@st.composite
def months(draw: st.DrawFn) -> tuple[list[BilledRow], list[AttemptGroup], RateBook, list[Snapshot]]:
    book = draw(books())
    return (
        draw(st.lists(billed_rows(), max_size=6)),
        draw(st.lists(attempt_groups(book), max_size=6)),
        book,
        draw(st.lists(snapshots, max_size=3)),
    )


def metered_of(groups: list[AttemptGroup], book: RateBook) -> Decimal:
    """The metered cost told independently of the code under test: each class of each metered group, by its card."""
    cards = {c.card_id: c for c in book.cards}
    with localcontext(EXACT):
        return sum(
            (
                count * (cards[g.card_id].unit_price(name) or Decimal(0))
                for g in groups
                if g.completeness == "measured" and g.outcome != "refused" and g.priced
                for name, count in g.tokens.items()
                if count
            ),
            Decimal(0),
        )


@settings(max_examples=150, deadline=None)
@given(months())
def test_the_classes_sum_to_invoiced_minus_metered_whatever_the_inputs(month):
    rows, groups, book, seen = month
    lines = reconcile_lines(rows, groups, book, seen)
    invoiced, metered = total(row.amount for row in rows), metered_of(groups, book)
    assert total(line.invoiced for line in lines) == invoiced
    assert total(line.metered for line in lines) == metered
    assert total(by_class(lines).values()) == EXACT.subtract(invoiced, metered)
    assert sum(line.billed_rows for line in lines) == len(rows)
    for line in lines:
        assert total(part.amount for part in line.parts) == EXACT.subtract(line.invoiced, line.metered)


@settings(max_examples=80, deadline=None)
@given(months(), st.randoms(use_true_random=False))
def test_the_order_of_the_inputs_changes_nothing(month, random):
    rows, groups, book, seen = month
    before = reconcile_lines(rows, groups, book, seen)
    for side in (rows, groups, seen):
        random.shuffle(side)
    after = reconcile_lines(rows, groups, book, seen)
    assert [(line.key, _amounts(line)) for line in after] == [(line.key, _amounts(line)) for line in before]


@settings(max_examples=80, deadline=None)
@given(months())
def test_no_line_is_made_twice(month):
    lines = reconcile_lines(*month)
    assert [line.key for line in lines] == sorted({line.key for line in lines})


@settings(max_examples=100, deadline=None)
@given(months())
def test_no_class_is_claimed_without_its_evidence(month):
    rows, groups, book, seen = month
    lines = reconcile_lines(rows, groups, book, seen)
    ids = {c.card_id for c in book.cards}
    wanted = {
        VarianceClass.VOLUME: {"ok"},
        VarianceClass.CANCELLED_STREAM: {"cancelled", "timeout", "lost"},
        VarianceClass.RETRY_OR_FALLBACK: {"error"},
    }
    for line, part in _parts(lines):
        if part.variance_class is VarianceClass.RATE:
            assert part.evidence.card_id in ids - {line.card_id}
        if part.variance_class in wanted:
            assert part.tokens is not None
            assert part.evidence.attempts > 0
            assert {seen.outcome for seen in part.evidence.outcomes} <= wanted[part.variance_class]
            assert 0 < part.tokens <= (part.evidence.ceiling_tokens or 0)
        if part.variance_class is VarianceClass.UNTRACKED_CHARGE:
            assert line.metered == 0


@settings(max_examples=200, deadline=None)
@given(
    st.integers(0, 10**9), st.integers(0, 10**7), st.integers(0, 10**7), st.integers(0, 12), st.booleans(), st.data()
)
def test_adding_an_explained_cause_moves_only_its_class(metered, partial, silent, scale, surcharged, data):
    """A clean line, then tokens of cancelled attempts, of silent ones, and a surcharge: each is found as it was put."""
    unit = card().unit_price(OUT)
    surcharge = data.draw(st.integers(2, 10**6)) if surcharged else 0
    groups = [group(tokens=Usage(output=metered)), group("cancelled", "estimated", Usage(output=partial))]
    groups += [group("ok", "unknown", output_ceiling=silent)]
    quantity = metered + partial + silent
    with localcontext(prec=76, rounding=ROUND_HALF_EVEN):
        last = Decimal(1).scaleb(-scale)
        amount = (unit * quantity).quantize(last) + surcharge * last
    (line, *rest) = reconcile_lines([billed(f"{amount:f}", quantity, scale=scale)], groups, RateBook([card()]))
    found = by_class([line])
    assert not rest
    assert found[VarianceClass.CANCELLED_STREAM] == partial * unit
    assert found[VarianceClass.VOLUME] == silent * unit
    assert found[VarianceClass.UNEXPLAINED] == surcharge * last
    assert found[VarianceClass.ROUNDING].copy_abs() <= last


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=6), st.integers(8, 12))
def test_splitting_a_billed_row_changes_nothing(pieces, scale):
    unit = card().unit_price(IN)
    groups = [group("lost", "unknown", request_bytes=sum(pieces) // 2)]
    whole = [billed(f"{unit * sum(pieces):.{scale}f}", sum(pieces), IN)]
    split = [
        billed(f"{unit * piece:.{scale}f}", piece, IN, row=i, identity=f"key-{i}") for i, piece in enumerate(pieces)
    ]
    book = RateBook([card()])
    assert by_class(reconcile_lines(split, groups, book)) == by_class(reconcile_lines(whole, groups, book))


def _parts(lines: Iterable[Line]) -> list[tuple[Line, Part]]:
    return [(line, part) for line in lines for part in line.parts]


def _amounts(line: Line) -> list[tuple[str, Decimal]]:
    ordered = sorted(line.parts, key=lambda part: part.variance_class)
    return [
        (name, total(part.amount for part in parts))
        for name, parts in groupby(ordered, key=lambda part: part.variance_class.value)
    ]
