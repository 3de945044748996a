"""What holds for any invoice and any traffic: the classes sum to the variance, and none is claimed without evidence."""

from collections.abc import Iterable
from datetime import date, timedelta
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


SHIFTED = {VarianceClass.CUTOFF, VarianceClass.MODEL_MAP, VarianceClass.CLASS_MIX, VarianceClass.TIER_MIX}
NAMED = {*CATEGORIES.values(), VarianceClass.PRIOR_PERIOD_CORRECTION}
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


@settings(max_examples=80, deadline=None)
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


@settings(max_examples=60, deadline=None)
@given(months())
def test_no_class_is_claimed_without_its_evidence(month):
    rows, groups, book, seen = month
    lines = reconcile_lines(rows, groups, book, seen)
    ids = {c.card_id for c in book.cards}
    sum_of: dict[tuple[VarianceClass, date], int] = {}
    for line, part in _parts(lines):
        key = (part.variance_class, line.day)
        sum_of[key] = sum_of.get(key, 0) + abs(part.tokens or 0)
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
        if part.variance_class in SHIFTED and part.tokens is not None:
            assert part.evidence.note
            assert sum(sum_of.get((name, line.day + timedelta(days=off)), 0) for name in SHIFTED for off in (-1, 0, 1))
        if part.variance_class in NAMED:
            assert any(row.category in CATEGORIES or row.correction for row in rows)


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


@settings(max_examples=60, deadline=None)
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


APART = {
    "Tax": "TAX", "Credit": "CREDIT", "Fee": "FEE", "Purchase": "PURCHASE", "correction": "PRIOR_PERIOD_CORRECTION",
    "duplicate": "DUPLICATE", "cutoff": "CUTOFF", "rename": "MODEL_MAP", "mix": "CLASS_MIX", "tier": "TIER_MIX",
}  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(APART)), st.integers(2, 10**9), st.integers(1, 10**6))
def test_an_explained_cause_beside_clean_cells_moves_its_class_and_no_other(cause, tokens, moved):
    """Two clean days, and one cause: a charge of its own, a copy, or tokens that are billed elsewhere."""
    batch = card({OUT: "0.30"}, processing_tier="batch")
    book, after = RateBook([card(), batch]), DAY + timedelta(days=1)
    spent = [
        group(tokens=Usage(input_uncached=moved, output=tokens + moved)),
        group(tokens=Usage(output=tokens), day=after),
    ]
    here, there, rest = tokens + moved, tokens, moved
    extra: list[BilledRow] = []
    match cause:
        case "duplicate":
            extra = [_out(here, row=9, identity="same")]
        case "cutoff":
            here, there = here - moved, there + moved
        case "rename":
            extra = [_out(there, row=9, model="renamed", day=after)]
            there = 0
        case "mix":
            spent[0] = group(tokens=Usage(input_uncached=1, cache_read=moved - 1, output=here))
        case "tier":
            here -= moved
            extra = [billed(_money("0.0000003", moved), moved, processing_tier="batch", row=9)]
        case "correction":
            extra = [billed("7.50", None, "other", model="", correction=True, row=9)]
        case category:
            extra = [billed("7.50", None, "other", model="", category=category, row=9)]
    rows = [_out(here, identity="same"), billed(_money("0.00000015", rest), rest, IN, row=3), *extra]
    rows += [_out(there, day=after, row=2)] if there else []
    found = reconcile_lines(rows, spent, book)
    occurring = {part.variance_class.value for _, part in _parts(found)} - {"ROUNDING"}
    assert occurring == ({APART[cause]} if cause != "mix" or moved > 1 else set())


def _out(tokens: int, **changes: object) -> BilledRow:
    return billed(_money("0.0000006", tokens), tokens, **changes)  # type: ignore[arg-type]


def _money(unit: str, tokens: int) -> str:
    return f"{Decimal(unit) * tokens:.8f}"


def _parts(lines: Iterable[Line]) -> list[tuple[Line, Part]]:
    return [(line, part) for line in lines for part in line.parts]


def _amounts(line: Line) -> list[tuple[str, Decimal]]:
    ordered = sorted(line.parts, key=lambda part: part.variance_class)
    return [
        (name, total(part.amount for part in parts))
        for name, parts in groupby(ordered, key=lambda part: part.variance_class.value)
    ]
