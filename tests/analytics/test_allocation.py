"""Every invoiced cent goes back to whom caused it, to the last digit; what nobody caused is shown as nobody's."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.allocation import NOBODY, OwnedGroup, Owner, allocate_lines
from analytics.reconciliation import AttemptGroup, BilledRow, reconcile_lines
from analytics.reconciliation.variance import total
from gateway.domain.rate_card import RateBook
from gateway.domain.usage import Usage
from tests.analytics.recon_builders import OUT, billed, card, group
from tests.analytics.test_recon_properties import months

ACME, GLOBEX, FALLBACK = (
    Owner("acme", "fast", "interactive", 0, ""),
    Owner("globex", "fast", "interactive", 0, ""),
    Owner("acme", "fast", "interactive", 1, "timeout"),
)
BOOK = RateBook([card()])


def shares(
    rows: list[BilledRow], owned: list[tuple[Owner, AttemptGroup]], book: RateBook = BOOK
) -> dict[Owner, Decimal]:
    groups = [OwnedGroup(owner, attempts) for owner, attempts in owned]
    lines = reconcile_lines(rows, [each.attempts for each in groups], book)
    return allocate_lines(lines, groups, book)


def test_a_metered_charge_goes_to_whose_attempts_used_the_tokens():
    owned = [(ACME, group(tokens=Usage(output=300))), (GLOBEX, group(tokens=Usage(output=700)))]
    assert shares([billed("0.000600", 1000)], owned) == {ACME: Decimal("0.000180"), GLOBEX: Decimal("0.000420")}


def test_parts_that_do_not_divide_evenly_still_sum_to_the_invoice():
    owned = [(owner, group(tokens=Usage(output=1))) for owner in (ACME, GLOBEX, FALLBACK)]
    found = shares([billed("0.000002", 3)], owned)
    assert sum(found.values()) == Decimal("0.000002")
    assert sorted(found.values()) == [Decimal("0.000001"), Decimal("0.000001")]


@pytest.mark.parametrize(
    ("outcome", "completeness", "seen"),
    [("cancelled", "estimated", 400), ("lost", "unknown", 0), ("error", "estimated", 400), ("ok", "unknown", 0)],
)
def test_a_gap_goes_to_the_attempts_that_explain_it(outcome, completeness, seen):
    owned = [
        (ACME, group(tokens=Usage(output=600))),
        (FALLBACK, group(outcome, completeness, Usage(output=seen), output_ceiling=900)),
    ]
    assert shares([billed("0.000600", 1000)], owned) == {ACME: Decimal("0.00036"), FALLBACK: Decimal("0.00024")}


def test_seen_tokens_go_to_whom_saw_them_and_the_rest_to_whom_can_have_used_more():
    owned = [
        (ACME, group("cancelled", "estimated", Usage(output=100), output_ceiling=100)),
        (GLOBEX, group("cancelled", "estimated", Usage(output=100), output_ceiling=900)),
    ]
    assert shares([billed("0.000300", 500)], owned) == {ACME: Decimal("0.00006"), GLOBEX: Decimal("0.00024")}


def test_what_was_metered_and_not_billed_is_not_charged_to_anyone():
    owned = [(ACME, group(tokens=Usage(output=1000)))]
    assert shares([], owned) == {}
    assert shares([billed("0.000300", 500)], owned) == {ACME: Decimal("0.0003")}


def test_another_rate_is_borne_by_those_who_used_the_tokens():
    book = RateBook([card(), card({OUT: "1.20"}, account="org-eu")])
    owned = [(ACME, group(tokens=Usage(output=300))), (GLOBEX, group(tokens=Usage(output=700)))]
    assert shares([billed("0.001200", 1000)], owned, book) == {ACME: Decimal("0.00036"), GLOBEX: Decimal("0.00084")}


def test_a_price_where_our_card_says_free_is_shared_by_tokens():
    free = card({OUT: "0"})
    book = RateBook([free, card({OUT: "1.20"}, account="org-eu")])
    owned = [
        (ACME, group(tokens=Usage(output=300), rated=free)),
        (GLOBEX, group(tokens=Usage(output=700), rated=free)),
    ]
    assert shares([billed("0.001200", 1000)], owned, book) == {ACME: Decimal("0.00036"), GLOBEX: Decimal("0.00084")}


def test_a_surcharge_is_nobodys_and_not_smeared():
    owned = [(ACME, group(tokens=Usage(output=1000)))]
    assert shares([billed("0.010600", 1000)], owned) == {ACME: Decimal("0.0006"), NOBODY: Decimal("0.01")}


def test_an_untracked_charge_is_nobodys():
    assert shares([billed("0.5", 1000)], []) == {NOBODY: Decimal("0.5")}


def test_a_price_that_changed_at_noon_is_paid_by_those_who_came_after():
    before, after = card({OUT: "0.60"}, until="2026-11-03T12:00"), card({OUT: "1.80"}, since="2026-11-03T12:00")
    owned = [
        (ACME, group(tokens=Usage(output=1000), rated=before)),
        (GLOBEX, group(tokens=Usage(output=1000), rated=after)),
    ]
    found = shares([billed("0.0024", 2000)], owned, RateBook([before, after]))
    assert found == {ACME: Decimal("0.0006"), GLOBEX: Decimal("0.0018")}


@settings(max_examples=120, deadline=None)
@given(months(), st.data())
def test_the_parts_sum_to_the_invoice_whatever_the_month(month, data):
    rows, groups, book, seen = month
    owned = [OwnedGroup(data.draw(st.sampled_from([ACME, GLOBEX, FALLBACK])), each) for each in groups]
    lines = reconcile_lines(rows, groups, book, seen)
    found = allocate_lines(lines, owned, book)
    assert total(found.values()) == total(row.amount for row in rows)
