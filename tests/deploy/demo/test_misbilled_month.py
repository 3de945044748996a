"""A month in which every kind of fault is switched on, each in a cell of its own: found to the cent, under its name."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal

import pytest

from analytics import rate_cards
from analytics.invoices import import_file
from analytics.reconciliation import Line, VarianceClass, reconcile_lines, reconcile_month
from analytics.reconciliation.grain import Days
from analytics.reconciliation.policy import Policy
from analytics.reconciliation.summary import Coverage, Ledger, Reconciliation, summarise
from analytics.reconciliation.variance import total
from analytics.windows import month_window
from deploy.demo.vendor import focus
from deploy.demo.vendor.injections import Fault, Injection, parse
from deploy.demo.vendor.misbilling import Confession, invoiced
from deploy.demo.vendor.settings import Billing, Settings
from gateway.domain.rate_card import RateBook
from tests.analytics.landed import land
from tests.analytics.recon_builders import instant
from tests.deploy.demo import misbilled_month as month
from tests.deploy.demo.misbilled_month import TIER_PRICE, WRONG_PRICE, day

MINI, LARGE = "mini-2024-07-18", "large-2025-04-14"
EUR, BOOKED = Decimal("0.9100"), Decimal("1.1")
WITHIN = Days(date(2026, 11, 1), date(2026, 12, 1))

DISJOINT = (
    Injection(fault=Fault.DOUBLED_ROW, day=day(2), model=MINI),
    Injection(fault=Fault.WRONG_PRICE, day=day(4), model=MINI, price=WRONG_PRICE),
    Injection(fault=Fault.UNBILLED, day=day(6), model=MINI),
    Injection(fault=Fault.LATE_HOUR, day=day(8), model=MINI),
    Injection(fault=Fault.RENAMED, day=day(11), model=MINI, text="mini-turbo"),
    Injection(fault=Fault.CACHE_AS_INPUT, day=day(13), model=MINI),
    Injection(fault=Fault.CACHE_TWICE, day=day(15), model=MINI),
    Injection(fault=Fault.OTHER_TIER, day=day(17), model=MINI, text="priority", price=TIER_PRICE),
    Injection(fault=Fault.CONVERTED, day=day(23), model=LARGE, text="EUR", price=EUR),
    Injection(fault=Fault.STRANGE, day=day(25), text="never-called", amount=Decimal("3.210000")),
    Injection(fault=Fault.TAX, day=day(1), amount=Decimal("19.870000")),
    Injection(fault=Fault.CREDIT, day=day(1), amount=Decimal("-7.500000")),
    Injection(fault=Fault.FEE, day=day(1), amount=Decimal("0.800000")),
    Injection(fault=Fault.PURCHASE, day=day(1), amount=Decimal("50.000000")),
    Injection(fault=Fault.CORRECTION, day=date(2026, 10, 20), amount=Decimal("-4.330000")),
)
NAMES = {
    Fault.DOUBLED_ROW: "DUPLICATE",
    Fault.WRONG_PRICE: "RATE",
    Fault.UNBILLED: "UNBILLED_USAGE",
    Fault.LATE_HOUR: "CUTOFF",
    Fault.RENAMED: "MODEL_MAP",
    Fault.CACHE_AS_INPUT: "CLASS_MIX",
    Fault.CACHE_TWICE: "DUPLICATE",
    Fault.OTHER_TIER: "TIER_MIX",
    Fault.STRANGE: "UNTRACKED_CHARGE",
    Fault.TAX: "TAX",
    Fault.CREDIT: "CREDIT",
    Fault.FEE: "FEE",
    Fault.PURCHASE: "PURCHASE",
    Fault.CORRECTION: "PRIOR_PERIOD_CORRECTION",
    Fault.MARKUP: "UNEXPLAINED",
}


def reconciled(faults: Sequence[Injection]) -> tuple[Reconciliation, list[Confession], list[month.ledger.Row]]:
    asked = list(month.requests())
    rows = [month.ledger_row(number, request) for number, request in enumerate(asked)]
    groups = [month.attempt(number, request) for number, request in enumerate(asked)]
    lines, confessed = invoiced(rows, month.MODELS.values(), Billing(faults=tuple(faults)))
    billed = [month.billed(number, line, BOOKED) for number, line in enumerate(lines)]
    found = reconcile_lines(billed, groups, RateBook(month.CARDS), within=WITHIN)
    coverage = [Coverage("openai", "org-main", "file", "USD", 30)]
    window = month_window("2026-11")
    whole = summarise("2026-11", window, lines=found, ledger=Ledger.of(billed, groups), coverage=coverage)
    return whole, confessed, rows


def more_and_less(lines: Sequence[Line]) -> dict[str, tuple[Decimal, Decimal]]:
    """Of each class what was too much and what too little."""
    found = dict.fromkeys((str(name) for name in VarianceClass), (Decimal(0), Decimal(0)))
    for part in (part for line in lines for part in line.parts):
        more, less = found[part.variance_class]
        found[part.variance_class] = (more + max(part.amount, 0), less - min(part.amount, 0))
    return found


def expected(confessed: Sequence[Confession], rows: Sequence[month.ledger.Row]) -> dict[str, tuple[Decimal, Decimal]]:
    """What the vendor's own books say of each class."""
    found = dict.fromkeys((str(name) for name in VarianceClass), (Decimal(0), Decimal(0)))
    for each in confessed:
        if each.injection.fault in NAMES:
            more, less = found[NAMES[each.injection.fault]]
            signed = each.more - each.less if each.less == 0 else None
            add = (max(signed, Decimal(0)), max(-signed, Decimal(0))) if signed is not None else (each.more, each.less)
            found[NAMES[each.injection.fault]] = (more + add[0], less + add[1])
    for name, cause in (("CANCELLED_STREAM", "client_disconnect"), ("RETRY_OR_FALLBACK", "stream_broken")):
        found[name] = (sum((row.billed_usd for row in rows if row.cause == cause), Decimal(0)), Decimal(0))
    # The one request whose usage never reached us.
    silent = [number for number, request in enumerate(month.requests()) if request.end == "silent"]
    found["VOLUME"] = (sum((rows[number].billed_usd for number in silent), Decimal(0)), Decimal(0))
    return found


def cents(amounts: tuple[Decimal, Decimal]) -> tuple[Decimal, Decimal]:
    return amounts[0].quantize(Decimal("0.01")), amounts[1].quantize(Decimal("0.01"))


@pytest.mark.slow
def test_the_same_month_through_the_vendors_file_the_importer_and_the_store(store, tmp_path, all_faults):
    """FOCUS has no category for a fee, so that one is left out; all else is as in the month that was in no store."""
    store.empty()
    writer, reader = store.writer, store.reader
    faults = tuple(each for each in DISJOINT if each.fault is not Fault.FEE)
    asked = list(month.requests())
    rows = [month.ledger_row(number, request) for number, request in enumerate(asked)]
    lines, _ = invoiced(rows, month.MODELS.values(), Billing(faults=faults))
    vendor = Settings(
        name="openai", organization_id="org", project_id="project", keys={}, admin_key="", models=month.MODELS,
        ledger=tmp_path / "unused",
    )  # fmt: skip
    path = tmp_path / "focus.csv"
    path.write_text(focus.export(lines, month.FIRST, vendor), "utf-8", newline="")
    now = instant("2026-12-03")
    rate_cards.load(writer, month.CARDS, now=now)
    land(writer, *(month.landed(request) for request in asked))
    import_file(writer, path, provider="openai", account="org-main", now=now)
    found = reconcile_month(reader, "2026-11", now=now, policy=Policy(booked_usd={"EUR": BOOKED}))
    pure = all_faults[0]
    without = {name: amount for name, amount in pure.by_class.items() if name is not VarianceClass.FEE}
    assert {name: amount for name, amount in found.by_class.items() if name is not VarianceClass.FEE} == without
    assert (found.metered, found.unexplained_gross, found.accounts[0].status) == (pure.metered, 0, "matched")


@pytest.fixture(scope="module")
def all_faults() -> tuple[Reconciliation, list[Confession], list[month.ledger.Row]]:
    return reconciled(DISJOINT)


APART = {"ROUNDING", "FX"}


def test_each_fault_is_found_under_its_own_name_and_to_the_last_digit_of_the_vendors_word(all_faults):
    whole, confessed, rows = all_faults
    found, wanted = more_and_less(whole.lines), expected(confessed, rows)
    assert {name: found[name] for name in found if name not in APART} == {
        name: wanted[name] for name in wanted if name not in APART
    }
    assert all(any(found[name]) for name in set(NAMES.values()) - {"UNEXPLAINED"})


def test_nothing_is_unexplained_and_the_account_is_matched(all_faults):
    whole = all_faults[0]
    assert (whole.unexplained_gross, [each.status for each in whole.accounts]) == (0, ["matched"])


def test_currency_is_what_the_books_rate_makes_of_the_converted_lines(all_faults):
    whole, _, rows = all_faults
    exact = total(row.billed_usd for row in rows if row.received_at.date() == day(23) and row.model == LARGE)
    assert cents((whole.by_class[VarianceClass.FX], Decimal(0))) == cents((exact * (EUR * BOOKED - 1), Decimal(0)))


def test_rounding_is_the_vendors_last_decimal_and_no_more(all_faults):
    whole = all_faults[0]
    rows = sum(line.billed_rows for line in whole.lines)
    assert whole.by_class[VarianceClass.ROUNDING].copy_abs() <= rows * Decimal("0.000001")


def test_no_line_of_a_month_with_faults_apart_is_ambiguous(all_faults):
    assert [line.key for line in all_faults[0].lines if line.ambiguous] == []


def test_each_part_says_what_it_stands_on(all_faults):
    for line in all_faults[0].lines:
        for part in line.parts:
            if part.variance_class is not VarianceClass.ROUNDING:
                assert part.evidence.rows or part.evidence.attempt_ids, (line.key, part)


def test_a_fault_of_a_kind_that_is_not_known_is_unexplained_to_the_last_digit_and_blocks_the_close():
    unknown = Injection(fault=Fault.MARKUP, day=day(29), model=LARGE, amount=Decimal("2.345678"))
    whole, _, _ = reconciled([*DISJOINT, unknown])
    assert whole.unexplained == whole.unexplained_gross == Decimal("2.345678")
    assert [each.status for each in whole.accounts] == ["unexplained"]


SHARED = (
    Injection(fault=Fault.LATE_HOUR, day=day(18), model=MINI),
    Injection(fault=Fault.DOUBLED_ROW, day=day(19), model=MINI),
    Injection(fault=Fault.CACHE_AS_INPUT, day=day(21), model=MINI),
    Injection(fault=Fault.CACHE_TWICE, day=day(27), model=MINI),
)


def test_with_faults_that_share_cells_the_sums_are_exact_and_the_cells_say_between_what_they_cannot_decide():
    whole, _, _ = reconciled(SHARED)
    clean, _, _ = reconciled([])
    assert sum(whole.by_class.values()) == whole.invoiced - whole.metered
    assert whole.metered == clean.metered
    for shared in (18, 19, 21, 27):
        in_cell = [line for line in whole.lines if line.day in (day(shared), day(shared + 1)) and line.model == "mini"]
        assert any(line.ambiguous for line in in_cell), f"day {shared}"
        for line in in_cell:
            assert sum((part.amount for part in line.parts), Decimal(0)) == line.variance


def test_a_fault_is_switched_on_in_the_vendors_file():
    raw = {"fault": "markup", "day": "2026-11-29", "model": MINI, "amount": "1.50"}
    assert parse(raw) == Injection(fault=Fault.MARKUP, day=day(29), model=MINI, amount=Decimal("1.50"))
    with pytest.raises(ValueError, match=r"billing\.faults: unknown keys \['amout'\]"):
        parse({**raw, "amout": "1"})
