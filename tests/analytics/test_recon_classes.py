"""The classes for which an invoice's own words, its copies and a cell's neighbours are evidence, and their limits."""

from datetime import date, timedelta
from decimal import Decimal

import pytest

from analytics.allocation import NOBODY, OwnedGroup, allocate_lines
from analytics.reconciliation import AttemptGroup, BilledRow, Line, VarianceClass, reconcile_lines
from analytics.reconciliation.documents import COST_REPORT, INVOICE, USAGE_REPORT, Document, settle
from analytics.reconciliation.facts import Reported
from analytics.reconciliation.grain import Days
from analytics.reconciliation.policy import Policy
from gateway.domain.rate_card import RateBook
from gateway.domain.usage import Usage
from tests.analytics.recon_builders import CACHED, DAY, IN, MODEL, OUT, billed, card, group
from tests.analytics.test_allocation import ACME, GLOBEX

BATCH = card({IN: "0.075", CACHED: "0.0375", OUT: "0.30"}, processing_tier="batch")
BOOK = RateBook([card(), BATCH])
NEXT = DAY + timedelta(days=1)


def found(rows: list[BilledRow], groups: list[AttemptGroup], **given: object) -> dict[str, str]:
    """Class to amount over all lines; what occurs alone."""
    return by_class(reconcile_lines(rows, groups, BOOK, **given))  # type: ignore[arg-type]


def by_class(lines: tuple[Line, ...]) -> dict[str, str]:
    sums: dict[str, Decimal] = {}
    for part in (part for line in lines for part in line.parts):
        sums[part.variance_class.value] = sums.get(part.variance_class.value, Decimal(0)) + part.amount
    return {name: f"{amount.normalize():f}" for name, amount in sums.items()}


def used(tokens: int, **changes: object) -> AttemptGroup:
    """Metered output tokens."""
    return group(tokens=Usage(output=tokens), **changes)  # type: ignore[arg-type]


def out(tokens: int, **changes: object) -> BilledRow:
    """Output tokens billed at the card's price."""
    return billed(f"{tokens * Decimal('0.0000006'):.7f}", tokens, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("category", "expected"),
    [
        ("Tax", "TAX"),
        ("Credit", "CREDIT"),
        ("Refund", "CREDIT"),
        ("Fee", "FEE"),
        ("Purchase", "PURCHASE"),
    ],
)
def test_what_the_invoice_names_is_in_the_class_of_its_name_and_moves_no_other(category, expected):
    rows = [out(1000), billed("12.34", None, "other", model="", row=2, category=category)]
    assert found(rows, [used(1000)]) == {expected: "12.34"}


def test_an_adjustment_that_says_of_nothing_is_rounding_up_to_a_cent_and_beyond_it_unexplained():
    rows = [billed("0.01", None, "other", model="", category="Adjustment")]
    assert found(rows, []) == {"ROUNDING": "0.01"}
    assert found([billed("0.02", None, "other", model="", category="Adjustment")], []) == {"UNEXPLAINED": "0.02"}


def test_a_correction_of_an_earlier_period_has_its_line_at_its_own_day_and_the_rest_of_that_day_has_none():
    november = Days(date(2026, 11, 1), date(2026, 12, 1))
    october = date(2026, 10, 31)
    rows = [out(700, day=october, correction=True), out(500, day=october, row=2), out(1000, row=3)]
    lines = reconcile_lines(rows, [used(1000), used(500, day=october)], BOOK, within=november)
    assert by_class(lines) == {"PRIOR_PERIOD_CORRECTION": "0.00042"}
    assert [line.day for line in lines] == [october, DAY]


def test_conversion_is_currency_and_the_vendors_price_is_compared():
    rows = [billed("0.000630", 1000, priced=Decimal("0.000600"))]
    assert found(rows, [used(1000)]) == {"FX": "0.00003"}


def test_the_same_row_twice_is_a_duplicate_unless_our_attempts_account_for_both():
    rows = [out(1000, row=1, identity="a"), out(1000, row=2, identity="a")]
    assert found(rows, [used(1000)]) == {"DUPLICATE": "0.0006"}
    assert found(rows, [used(2000)]) == {}


def test_rows_of_different_keys_are_no_duplicates_and_only_tokens_as_many_as_metered_are_billed_twice():
    rows = [out(600, row=1, identity="a"), out(600, row=2, identity="b")]
    assert found(rows, [used(700)]) == {"UNEXPLAINED": "0.0003"}
    assert found(rows, [used(600)]) == {"DUPLICATE": "0.00036"}


def test_two_rows_of_one_request_are_a_duplicate_whatever_else_they_say():
    rows = [out(1000, request_id="gen-1", identity="a"), out(1000, request_id="gen-1", identity="b", row=2)]
    assert found(rows, [used(1000)]) == {"DUPLICATE": "0.0006"}


def test_cached_input_that_is_billed_as_input_too_is_named():
    rows = [billed("0.0003", 2000, IN), billed("0.000075", 1000, CACHED, row=2)]
    lines = reconcile_lines(rows, [group(tokens=Usage(input_uncached=1000, cache_read=1000))], BOOK)
    assert by_class(lines) == {"DUPLICATE": "0.00015"}
    rows = [billed("0.000225", 1500, IN), billed("0.0000375", 500, CACHED, row=2)]
    lines = reconcile_lines(rows, [group(tokens=Usage(input_uncached=1000, cache_read=500))], BOOK)
    [part] = [part for line in lines for part in line.parts]
    assert (part.variance_class, part.evidence.note[:29]) == ("DUPLICATE", "cached input is charged twice")


def test_what_an_attempt_of_ours_can_have_used_is_not_called_billed_twice():
    assert found([out(2000)], [used(1000), group("lost", "unknown", output_ceiling=1000)]) == {
        "CANCELLED_STREAM": "0.0006"
    }


def test_a_late_hour_billed_on_the_next_day_is_cut_off_on_both():
    rows, groups = [out(700), out(1300, day=NEXT)], [used(1000), used(1000, day=NEXT)]
    lines = reconcile_lines(rows, groups, BOOK)
    assert [(line.day, by_class((line,))) for line in lines] == [
        (DAY, {"CUTOFF": "-0.00018"}),
        (NEXT, {"CUTOFF": "0.00018"}),
    ]
    assert "2026-11-03 gpt-4o-mini output has 300 tokens fewer than metered" in lines[1].parts[0].evidence.note
    assert lines[1].ambiguous == ()


def test_a_counterpart_that_is_one_token_off_is_none_and_both_lines_say_so():
    lines = reconcile_lines([out(700), out(1299, day=NEXT)], [used(1000), used(1000, day=NEXT)], BOOK)
    assert by_class(lines) == {"UNBILLED_USAGE": "-0.00018", "UNEXPLAINED": "0.0001794"}
    assert [line.ambiguous for line in lines] == [("UNBILLED_USAGE", "CUTOFF"), ("CUTOFF", "UNEXPLAINED")]


def test_two_days_apart_is_no_neighbour():
    after = DAY + timedelta(days=2)
    assert found([out(700), out(1300, day=after)], [used(1000), used(1000, day=after)]) == {
        "UNBILLED_USAGE": "-0.00018",
        "UNEXPLAINED": "0.00018",
    }


def test_what_moved_over_the_edge_of_a_month_is_cut_off_in_the_month():
    november = Days(date(2026, 11, 1), date(2026, 12, 1))
    last, first = date(2026, 11, 30), date(2026, 12, 1)
    rows, groups = [out(1300, day=first)], [used(300, day=last), used(1000, day=first)]
    lines = reconcile_lines(rows, groups, BOOK, within=november)
    assert [(line.day, by_class((line,))) for line in lines] == [(last, {"CUTOFF": "-0.00018"})]


def test_where_a_neighbour_and_a_cancelled_stream_explain_the_same_tokens_the_line_names_both():
    groups = [used(1000), used(1000, day=NEXT), group("cancelled", "unknown", day=NEXT)]
    lines = reconcile_lines([out(700), out(1300, day=NEXT)], groups, BOOK)
    assert by_class(lines) == {"CUTOFF": "0"}
    assert lines[1].ambiguous == ("CUTOFF", "CANCELLED_STREAM")


def test_a_cancelled_and_a_silent_attempt_that_may_both_have_used_the_tokens_make_the_line_ambiguous():
    groups = [used(1000), group("cancelled", "unknown"), group("ok", "unknown")]
    [line] = reconcile_lines([out(1100)], groups, BOOK)
    assert line.ambiguous == ("CANCELLED_STREAM", "VOLUME")
    [line] = reconcile_lines([out(1100)], [used(1000), group("cancelled", "unknown")], BOOK)
    assert line.ambiguous == ()


def test_a_model_billed_under_another_name_is_mapped_only_when_every_class_agrees():
    spent = group(tokens=Usage(input_uncached=500, output=1000))
    renamed = [out(1000, model="gpt-4o-mini-x"), billed("0.000075", 500, IN, model="gpt-4o-mini-x", row=2)]
    assert found(renamed, [spent]) == {"MODEL_MAP": "0"}
    other = [out(1000, model="gpt-4o-mini-x"), billed("0.0000748", 499, IN, model="gpt-4o-mini-x", row=2)]
    assert set(found(other, [spent])) == {"UNTRACKED_CHARGE", "UNBILLED_USAGE"}


def test_a_cache_read_billed_as_input_is_a_mix_of_classes_and_costs_the_difference():
    rows = [billed("0.0003", 2000, IN)]
    spent = [group(tokens=Usage(input_uncached=1000, cache_read=1000))]
    assert found(rows, spent) == {"CLASS_MIX": "0.000075"}


def test_a_batch_billed_as_default_is_a_mix_of_tiers_by_tokens_where_the_invoice_tells_tiers_apart():
    rows = [out(1500), billed("0.00015", 500, processing_tier="batch", row=2)]
    groups = [used(1000), used(1000, rated=BATCH, processing_tier="batch")]
    assert found(rows, groups) == {"TIER_MIX": "0.00015"}


def test_and_by_the_card_of_the_other_tier_where_it_does_not():
    assert found([out(1000)], [used(1000, rated=BATCH, processing_tier="batch")]) == {"TIER_MIX": "0.0003"}
    groups = [used(1000), used(1000, rated=BATCH, processing_tier="batch")]
    assert found([out(2000)], groups) == {"TIER_MIX": "0.0003"}
    assert found([billed("0.0009", 2000)], groups) == {}


def test_regions_are_told_apart_only_where_we_know_one_that_the_invoice_names():
    ours = [used(1000, region="us-east-1"), used(1000, region="eu-west-1")]
    assert found([out(2000, region="East US")], ours) == {}
    rows = [out(1500, region="us-east-1"), out(500, region="eu-west-1", row=2)]
    assert found(rows, ours) == {"TIER_MIX": "0"}


def told(tokens: int) -> list[Reported]:
    return [
        Reported(provider="openai", account="org-main", day=DAY, model=MODEL, token_class="output", quantity=tokens)
    ]


def test_the_vendors_own_usage_report_is_evidence_of_volume_and_bounds_what_attempts_can_have_used():
    assert found([out(1300)], [used(1000)], reported=told(1300)) == {"VOLUME": "0.00018"}
    assert found([out(1300)], [used(1000)], reported=told(1200)) == {"VOLUME": "0.00012", "UNEXPLAINED": "0.00006"}
    groups = [used(1000), group("cancelled", "unknown")]
    assert found([out(1300)], groups, reported=told(1300)) == {"CANCELLED_STREAM": "0.00018"}
    assert found([out(1300)], groups, reported=told(1000)) == {"UNEXPLAINED": "0.00018"}


def test_an_invoice_of_a_month_is_compared_by_the_day_with_its_cost_report_and_what_it_bills_beyond_is_a_line():
    month = out(2000, day=date(2026, 11, 1), days=30)
    month = billed("0.021200", 2000, day=date(2026, 11, 1), days=30)
    costs = [out(1000, row=1), out(1000, day=NEXT, row=2)]
    settled = settle([Document(INVOICE, month), *(Document(COST_REPORT, row) for row in costs)])
    assert found(list(settled.billed), [used(1000), used(1000, day=NEXT)]) == {"UNEXPLAINED": "0.02"}


def test_an_invoice_of_a_month_alone_is_compared_with_the_month_together():
    month = out(2000, day=date(2026, 11, 1), days=30)
    settled = settle([Document(INVOICE, month)])
    lines = reconcile_lines(settled.billed, [used(1000), used(1000, day=NEXT)], BOOK)
    assert [(line.day, line.days, line.parts) for line in lines] == [(date(2026, 11, 1), 30, ())]


def test_an_invoice_by_the_day_is_held_against_the_cost_report_and_no_charge_is_counted_twice():
    documents = [Document(INVOICE, out(1300)), Document(COST_REPORT, out(1000)), Document(USAGE_REPORT, out(1200))]
    settled = settle(documents)
    assert [row.quantity for row in settled.billed] == [1300]
    assert [each.quantity for each in settled.reported] == [1200]
    assert [each.quantity for each in settle(documents[:2]).reported] == [1000]


def shares(rows: list[BilledRow], owned: list[tuple[object, AttemptGroup]]) -> dict[object, str]:
    groups = [OwnedGroup(owner, attempts) for owner, attempts in owned]  # type: ignore[arg-type]
    lines = reconcile_lines(rows, [each.attempts for each in groups], BOOK)
    return {owner: f"{amount.normalize():f}" for owner, amount in allocate_lines(lines, groups, BOOK).items()}


def test_what_is_billed_a_day_late_goes_to_those_whose_tokens_it_was():
    owned = [(ACME, used(1000)), (GLOBEX, used(1000, day=NEXT))]
    assert shares([out(2000, day=NEXT)], owned) == {ACME: "0.0006", GLOBEX: "0.0006"}


def test_taxes_fees_and_credits_are_borne_by_what_each_was_charged_and_purchases_by_nobody():
    rows = [out(4000), billed("8", None, "other", model="", category="Tax", row=2)]
    rows += [billed("-4", None, "other", model="", category="Credit", row=3)]
    rows += [billed("100", None, "other", model="", category="Purchase", row=4)]
    owned = [(ACME, used(1000)), (GLOBEX, used(3000))]
    assert shares(rows, owned) == {ACME: "1.0006", GLOBEX: "3.0018", NOBODY: "100"}


def test_an_operators_tolerance_replaces_the_formula_and_the_smaller_bound_counts():
    assert Policy().tolerance(5, Decimal(9000)) == 1
    assert Policy(tolerance_usd=Decimal(50)).tolerance(5, Decimal(9000)) == 50
    assert Policy(tolerance_usd=Decimal(50), tolerance_percent=Decimal("0.5")).tolerance(5, Decimal(9000)) == 45


def test_every_class_can_be_reached():
    """By the builders here and in test_recon_rules; the list is the one of the classes themselves."""
    contract = card({OUT: "0.66"}, account="org-eu")
    reached: set[VarianceClass] = set()
    for rows, groups in [
        *(
            ([billed("1.00", None, "other", category=category)], [used(1)])
            for category in ("Tax", "Credit", "Fee", "Purchase")
        ),
        ([billed("1.00", 5, priced=Decimal("0.90"))], [used(5)]),
        ([out(5, correction=True)], [used(5)]),
        ([out(7, identity="a"), out(7, identity="a")], [used(7)]),
        ([billed("0.066", 100_000)], [used(100_000)]),
        ([billed("0.000602", 1001)], [group("ok", "unknown", output_ceiling=2000)]),
        ([out(1000)], []),
        ([], [used(1)]),
        ([out(700), out(1300, day=NEXT)], [used(1000), used(1000, day=NEXT)]),
        ([out(1000, model="x")], [used(1000)]),
        ([billed("0.0003", 2000, IN)], [group(tokens=Usage(input_uncached=1000, cache_read=1000))]),
        ([out(1000)], [used(1000, rated=BATCH, processing_tier="batch")]),
        ([out(500)], [group("lost", "unknown")]),
        ([out(500)], [group("error", "estimated", Usage(output=300))]),
    ]:
        lines = reconcile_lines(rows, groups, RateBook([card(), BATCH, contract]))
        reached |= {part.variance_class for line in lines for part in line.parts}
    assert reached == set(VarianceClass)
