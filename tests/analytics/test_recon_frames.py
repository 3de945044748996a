"""What agrees is matched in frames, and the lines are those that are found one by one."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.reconciliation import AttemptGroup, BilledRow, Line, Snapshot, reconcile_lines
from analytics.reconciliation.frames import reconcile_frames
from analytics.reconciliation.grain import Days
from analytics.reconciliation.ledger import RollupBehind, joined, spans
from analytics.reconciliation.policy import FOCUS
from analytics.reconciliation.sides import CardMissing
from analytics.reconciliation.variance import IdentityBroken, by_class
from analytics.windows import month_window
from gateway.domain.money import plain
from gateway.domain.rate_card import RateBook, price
from gateway.domain.usage import TokenClass, Usage
from tests.analytics.recon_builders import IN, OUT, billed, card, group, instant
from tests.analytics.test_recon_properties import months

WITHIN = Days(date(2026, 11, 1), date(2026, 12, 1))
ATTEMPTS = {
    **dict.fromkeys(("tenant", "alias", "tier", "fallback_reason"), pl.String),
    "fallback_depth": pl.UInt8,
    **dict.fromkeys(("provider", "account", "model"), pl.String),
    "day": pl.Date,
    **dict.fromkeys(("processing_tier", "region", "outcome", "completeness"), pl.String),
    "priced": pl.UInt8,
    "card_id": pl.String,
    **dict.fromkeys(("attempts", "unmeasured", *(each.value for each in TokenClass)), pl.UInt64),
    "cost_usd": pl.Decimal(38, 18),
    **dict.fromkeys(("request_bytes", "output_ceiling"), pl.UInt64),
    "attempt_ids": pl.List(pl.String),
}
BILLED = {
    **dict.fromkeys(("provider", "account", "document"), pl.String),
    "day": pl.Date,
    **dict.fromkeys(("model", "token_class", "reason"), pl.String),
    "quantity": pl.UInt64,
    "amount": pl.String,
    "scale": pl.UInt8,
    "import_id": pl.String,
    "row": pl.UInt64,
    "category": pl.String,
    "correction": pl.UInt8,
    **dict.fromkeys(("processing_tier", "region"), pl.String),
    "days": pl.UInt16,
    **dict.fromkeys(
        (
            "billing_currency",
            "billed_amount",
            "pricing_currency",
            "pricing_amount",
            "invoice_id",
            "request_id",
            "identity",
        ),
        pl.String,
    ),
}


def attempts_frame(groups: Sequence[AttemptGroup], book: RateBook) -> pl.DataFrame:
    cards = {each.card_id: each for each in book.cards}
    owner = {"tenant": "", "alias": "", "tier": "", "fallback_reason": "", "fallback_depth": 0}
    rows = [
        owner
        | {name: getattr(each, name) for name in ATTEMPTS if name in each.__slots__}
        | {token_class.value: count for token_class, count in each.tokens.items()}
        | {
            "outcome": each.outcome.value,
            "completeness": each.completeness.value,
            "attempt_ids": list(each.attempt_ids),
        }
        | {"cost_usd": price(each.tokens, cards[each.card_id]).amount if each.metered and each.card_id else None}
        for each in groups
        if each.sent
    ]
    return pl.DataFrame(rows, schema=ATTEMPTS, orient="row")


def billed_frame(rows: Sequence[BilledRow]) -> pl.DataFrame:
    found = [
        {name: getattr(each, name) for name in BILLED if name in each.__slots__}
        | {"document": "cost", "amount": f"{each.amount:f}", "billed_amount": f"{each.amount:f}"}
        | {"billing_currency": "USD" if each.priced is None else "EUR", "pricing_currency": "USD"}
        | {"pricing_amount": "" if each.priced is None else f"{each.priced:f}"}
        for each in rows
    ]
    return pl.DataFrame(found, schema=BILLED, orient="row")


def framed(
    rows: Sequence[BilledRow], groups: Sequence[AttemptGroup], book: RateBook, seen: Sequence[Snapshot] = ()
) -> tuple[Line, ...]:
    frames = billed_frame(rows), attempts_frame(groups, book)
    return reconcile_frames(*frames, book, seen, policy=FOCUS, within=WITHIN).lines


@st.composite
def agreeing(draw: st.DrawFn) -> tuple[list[BilledRow], list[AttemptGroup], RateBook, list[Snapshot]]:
    """Days on which an account's invoice agrees, or nearly, beside cells of every kind of other accounts."""
    rows, groups, book, seen = draw(months())
    own = card(model="own")
    for day in range(1, draw(st.integers(2, 4))):
        counts = draw(st.lists(st.integers(0, 10**9), min_size=3, max_size=3))
        usage = Usage(input_uncached=counts[0], output=counts[1], reasoning=counts[2])
        at = {"model": "own", "account": "org-c", "day": date(2026, 11, day)}
        groups.append(group(tokens=usage, rated=own, **at))  # type: ignore[arg-type]
        if draw(st.booleans()):
            groups.append(group("lost", "unknown", rated=own, **at))  # type: ignore[arg-type]
        billed_out = counts[1] + counts[2] + draw(st.sampled_from((0, 0, 0, 1, -1)))
        pieces = [billed_out // 2, billed_out - billed_out // 2] if draw(st.booleans()) else [billed_out]
        for number, (name, count) in enumerate([(IN, counts[0]), *((OUT, piece) for piece in pieces)]):
            if count > 0:
                amount = (own.unit_price(name) or Decimal(0)) * count + draw(st.sampled_from((0, 0, 0, 1))) * Decimal(1)
                rows.append(billed(f"{amount:.6f}", count, name, row=number, identity=str(number), **at))  # type: ignore[arg-type]
    return rows, groups, RateBook([*book.cards, own]), seen


@settings(max_examples=60, deadline=None)
@given(agreeing())
def test_matching_in_frames_makes_the_lines_that_looking_at_each_makes(month):
    rows, groups, book, seen = month
    one_by_one = reconcile_lines(rows, groups, book, seen, within=WITHIN)
    assert framed(rows, groups, book, seen) == one_by_one


def test_a_cell_that_agrees_needs_no_second_look_and_has_its_rounding(monkeypatch):
    """The way of frames alone: with the way of lines broken, the line is still made."""
    monkeypatch.setattr("analytics.reconciliation.frames.lines_of", lambda *_, **__: ())
    [line] = framed([billed("0.000601", 1001)], [group(tokens=Usage(output=1001))], RateBook([card()]))
    assert {name: plain(amount) for name, amount in by_class([line]).items() if amount} == {"ROUNDING": "0.0000004"}


def test_a_cost_of_the_stores_that_is_not_tokens_times_card_stops_the_month():
    book = RateBook([card()])
    attempts = attempts_frame([group(tokens=Usage(output=1000))], book)
    wrong = attempts.with_columns(pl.lit(Decimal("0.0007")).cast(pl.Decimal(38, 18)).alias("cost_usd"))
    with pytest.raises(IdentityBroken, match=r"the store says 0\.0007"):
        reconcile_frames(billed_frame([]), wrong, book, (), policy=FOCUS, within=WITHIN)
    with pytest.raises(CardMissing, match="gpt-4o-mini on 2026-11-03"):
        reconcile_frames(billed_frame([]), attempts, RateBook(), (), policy=FOCUS, within=WITHIN)


def totals_frame(groups: Sequence[AttemptGroup], book: RateBook) -> pl.DataFrame:
    """What the rollup of totals has of those attempts: sums by card, without telling how they ended."""
    frame = attempts_frame(groups, book)
    measured = pl.col("completeness") == "measured"
    by = ["provider", "account", "model", "day", "region", "card_id"]
    return frame.group_by(by).agg(
        pl.col("attempts").sum(),
        pl.col("attempts").filter(measured & (pl.col("priced") == 0)).sum().alias("unpriced"),
        *(pl.col(each.value).filter(measured).sum() for each in TokenClass),
        pl.col("cost_usd").sum(),
    )


def test_the_rollup_and_the_facts_that_it_does_not_tell_apart_make_the_lines_of_the_facts_alone():
    half = card({OUT: "0.30"}, processing_tier="batch")
    book = RateBook([card(), half])
    groups = [
        group(tokens=Usage(output=1000), attempts=4),
        group("cancelled", "estimated", Usage(output=120), attempts=2),
        group(tokens=Usage(output=70, cache_write_1h=5), priced=False),
        group("lost", "unknown"),
        group(tokens=Usage(output=500), rated=half, processing_tier="batch"),
    ]
    facts = attempts_frame(groups, book)
    unmetered = facts.filter((pl.col("completeness") != "measured") | (pl.col("priced") == 0))
    rows = billed_frame([billed("0.0009", 1700)])
    of_facts, of_both = (
        reconcile_frames(rows, each, book, (), policy=FOCUS, within=WITHIN)
        for each in (facts, joined(totals_frame(groups, book), unmetered, book))
    )
    assert by_class(of_both.lines) == by_class(of_facts.lines)
    assert of_both.ledger == of_facts.ledger
    with pytest.raises(RollupBehind, match="the rollup of 2026-11-03 lacks attempts of openai/org-main"):
        joined(totals_frame(groups[1:2], book), pl.concat([unmetered, unmetered]), book)


def test_only_whole_days_that_are_rolled_up_are_read_from_the_rollup():
    window = month_window("2026-11")
    assert spans(window, None).totals is None
    found = spans(window, instant("2026-11-20"))
    assert found.before is None
    assert found.totals is not None
    assert found.after is not None
    assert (found.totals.since, found.totals.until) == (instant("2026-10-31"), instant("2026-11-20"))
    assert (found.after.since, found.after.until) == (instant("2026-11-20"), instant("2026-12-02"))
    assert spans(window, instant("2027-01-01")).after is None
