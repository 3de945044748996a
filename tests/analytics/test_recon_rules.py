"""Each rule of the reconciliation at its boundary: price in amounts, gap in tokens, and what may not be claimed."""

from dataclasses import replace
from decimal import Decimal

import pytest

from analytics.reconciliation import AttemptGroup, BilledRow, Line, Snapshot, VarianceClass, reconcile_lines
from analytics.reconciliation.sides import CardMissing
from analytics.reconciliation.summary import unexplained_gross
from analytics.reconciliation.variance import IdentityBroken
from gateway.domain.rate_card import RateBook, RateCard
from gateway.domain.usage import Usage
from tests.analytics.recon_builders import CACHED, DAY, IN, OUT, billed, card, group

BOOK = RateBook([card()])
OUT_PRICE = Decimal("0.0000006")


def only(
    rows: list[BilledRow], groups: list[AttemptGroup], book: RateBook = BOOK, seen: tuple[Snapshot, ...] = ()
) -> Line:
    (line,) = reconcile_lines(rows, groups, book, seen)
    return line


def classes(line: Line) -> dict[str, str]:
    """Class to amount, summed, as plain text."""
    sums: dict[str, Decimal] = {}
    for part in line.parts:
        sums[part.variance_class.value] = sums.get(part.variance_class.value, Decimal(0)) + part.amount
    return {name: f"{amount.normalize():f}" for name, amount in sums.items()}


def tokens(line: Line) -> dict[str, int]:
    return {part.variance_class.value: part.tokens for part in line.parts if part.tokens is not None}


def test_an_invoice_that_agrees_has_no_parts():
    line = only([billed("0.000600", 1000)], [group(tokens=Usage(output=1000))])
    assert line.parts == ()
    assert (line.invoiced, line.metered, line.variance) == (Decimal("0.000600"), Decimal("0.0006"), 0)


@pytest.mark.parametrize(
    ("amount", "expected"),
    [
        ("0.000601", {"ROUNDING": "0.0000004"}),  # 1001 x 0.0000006 = 0.0006006, rounded at six places.
        ("0.000602", {"ROUNDING": "0.0000014"}),  # One unit more: still the vendor's way to round.
        ("0.000600", {"ROUNDING": "-0.0000006"}),
        ("0.000603", {"ROUNDING": "0.0000004", "UNEXPLAINED": "0.000002"}),  # Two units more are not rounding.
        ("0.000599", {"ROUNDING": "0.0000004", "UNEXPLAINED": "-0.000002"}),
    ],
)
def test_rounding_is_the_rounding_of_the_exact_cost_and_at_most_one_unit_of_the_last_place(amount, expected):
    assert classes(only([billed(amount, 1001)], [group(tokens=Usage(output=1001))])) == expected


def test_each_row_of_a_file_may_be_rounded_on_its_own():
    rows = [billed("0.000601", 1001, row=1), billed("0.000601", 1001, row=2), billed("0.000602", 1001, row=3)]
    line = only(rows, [group(tokens=Usage(output=3003))])
    assert classes(line) == {"ROUNDING": "0.0000022"}
    assert line.billed_rows == 3


def test_another_price_is_rate_when_a_card_row_of_the_model_gives_the_billed_amount():
    contract = card({OUT: "0.66"}, account="org-eu")
    line = only([billed("0.066000", 100_000)], [group(tokens=Usage(output=100_000))], RateBook([card(), contract]))
    assert classes(line) == {"RATE": "0.006"}
    (part,) = line.parts
    assert part.evidence.card_id == contract.card_id
    assert part.evidence.card_id in part.evidence.reference()


@pytest.mark.parametrize(
    "other",
    [
        None,
        card({OUT: "0.67"}, account="org-eu"),  # Another price, but not the one billed.
        card({OUT: "0.66"}, model="gpt-4o"),  # The price billed, but of another model.
        card({OUT: "0.66"}, provider="elsewhere"),  # Of another vendor.
        card({IN: "0.66"}, account="org-eu"),  # Of another class.
    ],
)
def test_rate_is_never_claimed_without_a_card_row_that_gives_the_billed_amount(other: RateCard | None):
    book = RateBook([card(), *([other] if other else [])])
    line = only([billed("0.066000", 100_000)], [group(tokens=Usage(output=100_000))], book)
    assert classes(line) == {"UNEXPLAINED": "0.006"}


def test_the_card_row_that_fits_best_is_the_evidence():
    near, exact = card({OUT: "0.66000005"}, account="near"), card({OUT: "0.66"}, account="zz-exact")
    line = only([billed("0.06600000", 100_000)], [group(tokens=Usage(output=100_000))], RateBook([card(), near, exact]))
    assert [part.evidence.card_id for part in line.parts] == [exact.card_id]


def test_a_hidden_surcharge_stays_unexplained_to_the_last_digit():
    rows = [billed("0.0007307", 1001, scale=7, row=1), billed("1.2345679", 1_999_999, scale=7, row=2)]
    line = only(rows, [group(tokens=Usage(output=2_001_000))])
    # Expected: 0.0006006 and 1.1999994, both exact at seven places.
    assert classes(line) == {"UNEXPLAINED": "0.0346986"}


HUNG_UP = ["cancelled", "timeout", "lost"]


@pytest.mark.parametrize("outcome", HUNG_UP)
@pytest.mark.parametrize(
    ("gap", "expected"),
    [
        (1, {"CANCELLED_STREAM": 1}),
        (120, {"CANCELLED_STREAM": 120}),
        (500, {"CANCELLED_STREAM": 500}),
        (501, {"CANCELLED_STREAM": 500, "UNEXPLAINED": 1}),
    ],
)
def test_tokens_of_attempts_our_side_ended_are_a_cancelled_stream_up_to_their_ceiling(outcome, gap, expected):
    partial = group(outcome, "estimated", Usage(output=120))
    line = only([billed(f"{gap * OUT_PRICE:.7f}", gap)], [partial])
    assert tokens(line) == expected


@pytest.mark.parametrize(
    ("gap", "expected"),
    [
        (100, {"CANCELLED_STREAM": 100}),
        (101, {"CANCELLED_STREAM": 100, "RETRY_OR_FALLBACK": 1}),
        (130, {"CANCELLED_STREAM": 100, "RETRY_OR_FALLBACK": 30}),
        (131, {"CANCELLED_STREAM": 100, "RETRY_OR_FALLBACK": 30, "VOLUME": 1}),
        (530, {"CANCELLED_STREAM": 100, "RETRY_OR_FALLBACK": 30, "VOLUME": 400}),
        (531, {"CANCELLED_STREAM": 101, "RETRY_OR_FALLBACK": 30, "VOLUME": 400}),
        (1330, {"CANCELLED_STREAM": 900, "RETRY_OR_FALLBACK": 30, "VOLUME": 400}),
        (1331, {"CANCELLED_STREAM": 900, "RETRY_OR_FALLBACK": 30, "VOLUME": 400, "UNEXPLAINED": 1}),
    ],
)
def test_a_gap_is_taken_in_the_order_of_the_rules(gap, expected):
    groups = [
        group("cancelled", "estimated", Usage(output=100), output_ceiling=900),
        group("error", "estimated", Usage(output=30), output_ceiling=700),
        group("ok", "unknown", output_ceiling=400),
        group(tokens=Usage(output=1000)),
    ]
    line = only([billed(f"{(1000 + gap) * OUT_PRICE:.7f}", 1000 + gap)], groups)
    assert tokens(line) == expected
    assert sum(part.amount for part in line.parts) == gap * OUT_PRICE


@pytest.mark.parametrize(
    "bystander",
    [
        group(tokens=Usage(output=1000)),
        group("error", "unknown"),
        group("error", "measured", Usage(output=5)),
        group("cancelled", "measured", Usage(output=5)),
    ],
)
def test_volume_is_never_claimed_without_attempts_that_ended_well_and_unmeasured(bystander):
    quantity = bystander.tokens.output + 100
    line = only([billed(f"{quantity * OUT_PRICE:.7f}", quantity)], [bystander])
    assert tokens(line) == {"UNEXPLAINED": 100}


@pytest.mark.parametrize(
    ("token_class", "ceiling"), [(IN, 4000), (CACHED, 4000), (OUT, 500)], ids=["input", "cached input", "output"]
)
def test_input_is_bounded_by_the_requests_bytes_and_output_by_its_token_bound(token_class, ceiling):
    unit = card().unit_price(token_class)
    quantity = ceiling + 1
    line = only([billed(f"{quantity * unit:.9f}", quantity, token_class)], [group("ok", "unknown")])
    assert tokens(line) == {"VOLUME": ceiling, "UNEXPLAINED": 1}


def test_a_ceiling_is_never_below_what_was_seen():
    partial = group("cancelled", "estimated", Usage(output=700), output_ceiling=500)
    line = only([billed("0.0004206", 701)], [partial])
    assert tokens(line) == {"CANCELLED_STREAM": 700, "UNEXPLAINED": 1}


def test_the_evidence_of_a_gap_counts_its_attempts_by_outcome_and_names_some():
    groups = [
        group("cancelled", "estimated", Usage(output=120), attempts=3, ids=("b", "a", "c")),
        group("lost", "unknown", attempts=2, ids=("d", "e", "f")),
    ]
    (part,) = only([billed("0.0003", 500)], groups).parts
    assert part.evidence.attempts == 5
    assert (part.evidence.floor_tokens, part.evidence.ceiling_tokens) == (120, 1000)
    assert part.evidence.attempt_ids == ("a", "b", "c", "d", "e")
    assert "cancelled/estimated=3 (120 tokens); lost/unknown=2 (0 tokens); floor=120; ceiling=1000" in (
        part.evidence.reference()
    )


def test_fewer_tokens_billed_than_metered_are_unbilled_usage():
    line = only([billed("0.00054", 900)], [group(tokens=Usage(output=1000))])
    assert classes(line) == {"UNBILLED_USAGE": "-0.00006"}
    assert tokens(line) == {"UNBILLED_USAGE": -100}


def test_metered_usage_without_a_line_is_unbilled_usage():
    line = only([], [group(tokens=Usage(output=1000))])
    assert classes(line) == {"UNBILLED_USAGE": "-0.0006"}
    assert line.scale is None


def test_a_charge_for_a_model_without_attempts_that_day_is_untracked():
    line = only([billed("0.0006", 1000)], [])
    assert classes(line) == {"UNTRACKED_CHARGE": "0.0006"}


def test_attempts_of_another_day_account_or_model_do_not_make_a_charge_tracked():
    others = [
        group("cancelled", "unknown", day=DAY.replace(day=4)),
        group("cancelled", "unknown", account="org-eu"),
        group("cancelled", "unknown", model="gpt-4o"),
    ]
    assert classes(only([billed("0.0006", 1000)], others)) == {"UNTRACKED_CHARGE": "0.0006"}


def test_a_refused_attempt_left_no_house_and_makes_nothing_tracked():
    line = only([billed("0.0006", 1000)], [group("refused", "unknown")])
    assert classes(line) == {"UNTRACKED_CHARGE": "0.0006"}


def test_a_line_that_is_not_tokens_is_kept_and_unexplained_where_the_model_was_used():
    rows = [billed("0.01", None, "other", reason="line item 'gpt-4o-mini, images' is not known")]
    line = only(rows, [group("ok", "unknown")])
    assert classes(line) == {"UNEXPLAINED": "0.01"}
    assert "images" in line.parts[0].evidence.note


def test_a_charge_without_a_price_is_unexplained_and_says_so():
    line = only([billed("0.01", 1000)], [group(tokens=Usage(output=1000), priced=False)], RateBook())
    assert classes(line) == {"UNEXPLAINED": "0.01"}
    assert "no card prices output" in line.parts[0].evidence.note


def test_measured_attempts_without_a_price_are_named_when_their_tokens_stay_unexplained():
    groups = [group(tokens=Usage(output=1000, cache_write_1h=5), priced=False, attempts=2)]
    line = only([billed("0.0006", 1000)], groups)
    assert classes(line) == {"UNEXPLAINED": "0.0006"}
    assert "2 measured attempts have no price" in line.parts[0].evidence.note


@pytest.mark.parametrize(
    ("amount", "expected"), [("0.000601", {"ROUNDING": "0.000001"}), ("0.000602", {"UNEXPLAINED": "0.000002"})]
)
def test_without_a_quantity_an_amount_is_compared_with_the_metered_cost_and_no_further(amount, expected):
    assert classes(only([billed(amount, None)], [group(tokens=Usage(output=1000))])) == expected


def test_reasoning_tokens_are_billed_as_output():
    line = only([billed("0.0009", 1500)], [group(tokens=Usage(output=1000, reasoning=500))])
    assert (line.parts, line.metered_quantity, line.token_class) == ((), 1500, "output")


def test_reasoning_tokens_stay_apart_where_the_invoice_bills_them_apart():
    rows = [billed("0.0006", 1000), billed("0.0003", 500, "reasoning", row=2)]
    lines = reconcile_lines(rows, [group(tokens=Usage(output=1000, reasoning=500))], BOOK)
    assert [(line.token_class, line.metered_quantity, line.parts) for line in lines] == [
        ("output", 1000, ()),
        ("reasoning", 500, ()),
    ]


def test_a_price_that_changed_at_noon_is_no_variance():
    before, after = card({OUT: "0.60"}, until="2026-11-03T12:00"), card({OUT: "0.80"}, since="2026-11-03T12:00")
    groups = [group(tokens=Usage(output=1000), rated=before), group(tokens=Usage(output=1000), rated=after)]
    assert only([billed("0.0014", 2000)], groups, RateBook([before, after])).parts == ()


def test_a_price_that_changed_at_noon_and_was_billed_all_day_is_rate():
    before, after = card({OUT: "0.60"}, until="2026-11-03T12:00"), card({OUT: "0.80"}, since="2026-11-03T12:00")
    groups = [group(tokens=Usage(output=1000), rated=before), group(tokens=Usage(output=1000), rated=after)]
    line = only([billed("0.0016", 2000)], groups, RateBook([before, after]))
    assert classes(line) == {"RATE": "0.0002"}
    assert line.parts[0].evidence.card_id == after.card_id


def test_a_gap_is_priced_by_the_card_that_rated_the_days_attempts():
    before, after = card({OUT: "0.60"}, until="2026-11-03T12:00"), card({OUT: "0.80"}, since="2026-11-03T12:00")
    groups = [group(tokens=Usage(output=1000), rated=after), group("lost", "unknown", rated=after)]
    line = only([billed("0.00088", 1100)], groups, RateBook([before, after]))
    assert (line.card_id, classes(line)) == (after.card_id, {"CANCELLED_STREAM": "0.00008"})


def test_the_accounts_own_card_prices_its_lines():
    own = card({OUT: "0.50"}, account="org-main")
    line = only([billed("0.0005", 1000)], [group(tokens=Usage(output=1000), rated=own)], RateBook([card(), own]))
    assert (line.parts, line.card_id) == ((), own.card_id)


SNAPSHOT = "gpt-4o-mini-2024-07-18"
SAW = (Snapshot("openai", "org-main", "gpt-4o-mini", SNAPSHOT),)


def test_an_invoice_may_name_the_snapshot_that_our_attempts_saw():
    line = only([billed("0.0006", 1000, model=SNAPSHOT)], [group(tokens=Usage(output=1000))], seen=SAW)
    assert (line.parts, line.model, line.invoice_models) == ((), "gpt-4o-mini", (SNAPSHOT,))


def test_a_dated_snapshot_that_no_answer_named_is_its_models():
    lost = group("lost", "unknown", output_ceiling=2000)
    line = only([billed("0.0006", 1000, model=SNAPSHOT)], [lost])
    assert (line.model, classes(line)) == ("gpt-4o-mini", {"CANCELLED_STREAM": "0.0006"})


def test_what_answers_said_goes_before_what_a_name_looks_like():
    seen = (Snapshot("openai", "org-main", "cheap", SNAPSHOT),)
    groups = [group(tokens=Usage(output=1000)), group("ok", "unknown", model="cheap", output_ceiling=2000)]
    lines = reconcile_lines([billed("0.0006", 1000, model=SNAPSHOT)], groups, BOOK, seen)
    assert {line.model for line in lines} == {"gpt-4o-mini", "cheap"}


def test_a_name_that_no_attempt_of_the_account_saw_is_untracked():
    name = "gpt-4o-mini-preview"
    elsewhere = (Snapshot("openai", "org-eu", "gpt-4o-mini", name),)
    lines = reconcile_lines([billed("0.0009", 1500, model=name)], [group(tokens=Usage(output=1000))], BOOK, elsewhere)
    assert {line.model: classes(line) for line in lines} == {
        name: {"UNTRACKED_CHARGE": "0.0009"},
        "gpt-4o-mini": {"UNBILLED_USAGE": "-0.0006"},
    }


def test_models_that_the_invoice_bills_under_one_snapshot_are_one_line():
    seen = (*SAW, Snapshot("openai", "org-main", "cheap", SNAPSHOT))
    groups = [group(tokens=Usage(output=600)), group("ok", "unknown", model="cheap")]
    line = only([billed("0.0006", 1000, model=SNAPSHOT)], groups, seen=seen)
    assert (line.model, tokens(line)) == ("gpt-4o-mini", {"VOLUME": 400})


def test_two_snapshots_of_one_model_are_one_line():
    seen = (*SAW, Snapshot("openai", "org-main", "gpt-4o-mini", "gpt-4o-mini-2025-01-01"))
    rows = [billed("0.0006", 1000, model=SNAPSHOT), billed("0.0006", 1000, model="gpt-4o-mini-2025-01-01", row=2)]
    assert only(rows, [group(tokens=Usage(output=2000))], seen=seen).parts == ()


def test_a_model_asked_for_and_billed_by_its_own_name_is_not_joined_with_another():
    seen = (Snapshot("openai", "org-main", "gpt-4o-mini", SNAPSHOT),)
    rows = [billed("0.0006", 1000), billed("0.0006", 1000, model=SNAPSHOT, row=2)]
    groups = [group(tokens=Usage(output=1000)), group(tokens=Usage(output=1000), model=SNAPSHOT)]
    lines = reconcile_lines(rows, groups, BOOK, seen)
    assert [line.model for line in lines] == ["gpt-4o-mini", SNAPSHOT]


def test_the_stores_cost_must_be_tokens_times_card():
    wrong = group(tokens=Usage(output=1000))
    with pytest.raises(IdentityBroken, match="the store says 0\\.0007"):
        reconcile_lines([], [AttemptGroup(**{**_fields(wrong), "cost_usd": Decimal("0.0007")})], BOOK)


def test_attempts_rated_by_a_card_we_do_not_have_stop_the_reconciliation():
    with pytest.raises(CardMissing, match="gpt-4o-mini on 2026-11-03"):
        reconcile_lines([], [group(tokens=Usage(output=1), rated=card(account="gone"))], BOOK)


def test_a_line_refuses_parts_that_do_not_sum_to_its_variance():
    line = only([billed("0.000601", 1001)], [group(tokens=Usage(output=1001))])
    fields = {name: getattr(line, name) for name in line.__slots__}
    with pytest.raises(IdentityBroken, match="the parts sum to 0, invoiced minus metered is 0\\.0000004"):
        Line(**{**fields, "parts": ()})


def _fields(value: AttemptGroup) -> dict[str, object]:
    return {name: getattr(value, name) for name in value.__slots__}


def test_an_overcharge_and_an_undercharge_never_cancel():
    rows = [billed("1000.0006", 1000), billed("-999.9994", 1000, row=2)]
    line = only(rows, [group(tokens=Usage(output=2000))])
    assert [(part.variance_class, part.amount) for part in line.parts] == [
        (VarianceClass.UNEXPLAINED, Decimal(1000)),
        (VarianceClass.UNEXPLAINED, Decimal(-1000)),
    ]
    assert unexplained_gross([line]) == 2000


def test_residuals_that_all_lean_one_way_are_no_rounding():
    rows = [billed("0.01", 1000, row=n) for n in range(100)]
    line = only(rows, [group(tokens=Usage(output=100_000))])
    assert classes(line) == {"UNEXPLAINED": "1", "ROUNDING": "-0.06"}


def test_a_card_in_another_currency_explains_no_dollar():
    euros = card({OUT: "0.80"}, since="2022-01-01", until="2023-01-01")
    euros = replace(euros, currency="EUR")
    line = only([billed("0.0008", 1000)], [group(tokens=Usage(output=1000))], RateBook([card(), euros]))
    assert classes(line) == {"UNEXPLAINED": "0.0002"}


def test_another_models_card_explains_no_price():
    big = card({OUT: "6.00"}, model="big")
    seen = (Snapshot("openai", "org-main", "gpt-4o-mini", "big"),)
    line = only(
        [billed("0.006", 1000, model="big")], [group(tokens=Usage(output=1000))], RateBook([card(), big]), seen=seen
    )
    assert "RATE" not in classes(line)


def test_attempts_that_only_a_rollup_told_of_are_found_by_what_the_evidence_asks():
    [part] = only([], [group(tokens=Usage(output=1000))]).parts
    found = "provider in (openai), account in (org-main), model in (gpt-4o-mini), day in (2026-11-03)"
    assert part.evidence.query == f"{found}, completeness in (measured)"
    assert part.evidence.query in part.evidence.reference()
    [named] = only([], [group(tokens=Usage(output=1000), ids=("a",))]).parts
    assert named.evidence.query == ""
