"""The tables of the pack agree with each other, whatever the month; and when they do not, nothing is written."""

import re
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics import pack
from analytics.allocation import NOBODY, OwnedGroup, Owner, allocate_lines
from analytics.pack import ControlBroken
from analytics.reconciliation import reconcile_lines
from analytics.reconciliation.policy import focus_tolerance
from analytics.reconciliation.summary import Ledger, summarise
from analytics.reconciliation.variance import IdentityBroken, total
from analytics.rfc4180 import render
from analytics.windows import month_window
from gateway.domain.rate_card import RateBook
from gateway.domain.usage import Usage
from tests.analytics.recon_builders import billed, card, group
from tests.analytics.test_recon_properties import months

ACME, GLOBEX = Owner("acme", "fast", "interactive", 0, ""), Owner("globex", "fast", "interactive", 1, "timeout")
EXPONENT = re.compile(rb"\dE[+-]?\d")
MONTH = ("2026-11", month_window("2026-11"))


@settings(max_examples=60, deadline=None)
@given(months(), st.data())
def test_the_controls_hold_for_any_month_and_the_files_are_the_same_twice(month, data):
    rows, groups, book, seen = month
    owned = [OwnedGroup(data.draw(st.sampled_from([ACME, GLOBEX])), each) for each in groups]
    lines = reconcile_lines(rows, groups, book, seen)
    whole = summarise(*MONTH, lines=lines, ledger=Ledger.of(rows, groups), coverage=[])
    metered = {
        owner: pack.Activity(tokens={}, metered=total(line.metered for line in lines) if owner == ACME else Decimal(0))
        for owner in (ACME, GLOBEX)
    }
    tables = [pack.summary(whole), pack.lines(whole), pack.by_alias_tenant(allocate_lines(lines, owned, book), metered)]
    assert pack.controls(whole, tables)["invoiced"] == pack.controls(whole, list(reversed(tables)))["invoiced"]
    for table in tables:
        assert not EXPONENT.search(render(table.columns, table.rows))


def a_month():
    rows, groups, book = [billed("0.0106", 1000)], [group(tokens=Usage(output=1000))], RateBook([card()])
    lines = reconcile_lines(rows, groups, book)
    whole = summarise(*MONTH, lines=lines, ledger=Ledger.of(rows, groups), coverage=[])
    owners = pack.by_alias_tenant(
        allocate_lines(lines, [OwnedGroup(ACME, groups[0])], book),
        {ACME: pack.Activity(tokens={}, metered=whole.metered)},
    )
    return whole, [pack.summary(whole), pack.lines(whole), owners]


def test_a_total_that_differs_between_files_is_named():
    whole, tables = a_month()
    pack.controls(whole, tables)
    short = replace(tables[2], rows=tables[2].rows[:-1])
    with pytest.raises(ControlBroken, match=r"invoiced differs between the files: 0\.0106, 0\.0106, 0\.0106, 0\.0006"):
        pack.controls(whole, [*tables[:2], short])


def test_the_unallocated_row_is_the_last_and_has_no_depth():
    _, tables = a_month()
    last = dict(zip(tables[2].columns, tables[2].rows[-1], strict=True))
    assert (last["tenant"], last["fallback_depth"], last["billed_cost"]) == (NOBODY.tenant, None, Decimal("0.01"))


def test_billed_rows_that_no_line_holds_stop_the_summary():
    rows, groups = [billed("0.0006", 1000)], [group(tokens=Usage(output=1000))]
    lines = reconcile_lines(rows, groups, RateBook([card()]))
    with pytest.raises(IdentityBroken, match=r"billed rows sum to 0\.0012, their lines to 0\.0006"):
        summarise(*MONTH, lines=lines, ledger=Ledger.of(rows * 2, groups), coverage=[])


def test_metered_cost_that_no_line_holds_stops_the_summary():
    groups = [replace(group(tokens=Usage(output=1000)), cost_usd=Decimal("0.0006"))]
    with pytest.raises(IdentityBroken, match="the store's metered cost"):
        summarise(*MONTH, lines=[], ledger=Ledger.of([], groups), coverage=[])


@pytest.mark.parametrize(("rows", "usd"), [(0, "1"), (5, "1"), (40_000, "1"), (40_401, "1.005"), (1_000_000, "5")])
def test_the_tolerance_is_focus_1_4s(rows, usd):
    assert focus_tolerance(rows) == Decimal(usd)
