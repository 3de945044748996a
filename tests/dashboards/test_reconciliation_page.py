"""The Reconciliation page on months in memory: sums that agree, states that differ, evidence in words."""

from decimal import Decimal
from typing import Any

import pytest

from analytics.reconciliation import Evidence, VarianceClass
from analytics.reconciliation.variance import OutcomeEvidence, total
from dashboards import filters
from dashboards.pages import reconciliation_tables as tables
from dashboards.pages import reconciliation_view as view
from dashboards.pages.reconciliation_scope import Scope, narrow
from tests.dashboards.books import NOW, account, line, november, reconciled

ALL = filters.parse("month=2026-11", NOW)


def scope(search: str = "month=2026-11") -> Scope:
    return narrow(november(), filters.parse(search, NOW))


def by_id(components: list[Any]) -> dict[str, Any]:
    """All components with an id under these, by id."""
    found: dict[str, Any] = {}
    for component in components:
        for each in [component, *component._traverse()]:
            if getattr(each, "id", None):
                found[each.id] = each
    return found


def exact(components: list[Any], element_id: str) -> str:
    return str(by_id(components)[element_id].to_plotly_json()["props"]["data-exact"])


def test_the_headline_figures_are_the_months_own_to_the_last_digit() -> None:
    cards, month = view.kpis(scope()), november()
    assert Decimal(exact(cards, "recon-kpi-invoiced")) == month.invoiced
    assert Decimal(exact(cards, "recon-kpi-metered")) == month.metered
    assert Decimal(exact(cards, "recon-kpi-variance")) == month.variance
    assert Decimal(exact(cards, "recon-kpi-unexplained")) == month.unexplained == Decimal("1.27")


def test_the_waterfall_walks_from_metered_to_invoiced_exactly() -> None:
    steps = view.steps(scope())
    amounts = dict(steps.select("label", "amount").iter_rows())
    walked = total(amount for label, amount in amounts.items() if label not in ("Metered", "Invoiced"))
    assert amounts["Metered"] + walked == amounts["Invoiced"]
    assert steps["kind"].to_list() == ["total", *["step"] * 7, "unexplained", "total"]


def test_a_class_that_does_not_occur_has_no_step_but_unexplained_always_has() -> None:
    lines = [line("4.2")]
    steps = view.steps(narrow(reconciled(lines, [account(lines)]), ALL))
    assert steps["label"].to_list() == ["Metered", "Unexplained", "Invoiced"]


def test_the_classes_of_each_line_sum_to_its_variance_in_the_table() -> None:
    for row in tables.lines(scope()).rows:
        assert total(row[each.value.lower()] for each in VarianceClass) == row["variance"]  # type: ignore[misc]


def test_a_filter_narrows_lines_accounts_and_sums_alike() -> None:
    azure = scope("month=2026-11&provider=azure")
    assert {line.provider for line in azure.lines} == {each.provider for each in azure.accounts} == {"azure"}
    assert azure.invoiced == total(line.invoiced for line in azure.lines)
    assert azure.providers == ("azure", "openai")


def test_exceptions_are_what_nothing_settles_the_largest_first() -> None:
    shown = tables.exceptions(scope())
    assert [row["variance_class"] for row in shown.rows] == ["Unbilled usage", "Untracked charge", "Unexplained"]
    assert shown.rows[1]["evidence"] == "No attempt of this account and model that day."


def test_evidence_is_told_in_sentences() -> None:
    evidence = Evidence(
        "", "openai/x@2023", (OutcomeEvidence("cancelled", "estimated", 3, 1412),), 1412, 9000, ("ab" * 16,)
    )
    assert tables.in_words(evidence) == (
        "3 attempts ended cancelled, usage estimated, 1,412 tokens seen. "
        "Together they can have used 9,000 tokens at most. "
        f"For example attempt {'ab' * 16}. Card openai/x@2023."
    )


def test_without_an_invoice_its_amount_is_unknown_and_the_command_is_given() -> None:
    lines = [line("4.2", (VarianceClass.UNBILLED_USAGE, "-4.2"))]
    missing = account(lines, status="no_invoice", import_ids=(), billed_rows=0)
    narrowed = narrow(reconciled(lines, [missing]), ALL)
    cards = view.kpis(narrowed)
    assert exact(cards, "recon-kpi-invoiced") == exact(cards, "recon-kpi-variance") == ""
    assert by_id(cards)["recon-kpi-unexplained"].children == "unknown"
    assert exact(cards, "recon-kpi-metered") == "4.2"
    notice = by_id(view.notices(narrowed, ALL, NOW, NOW))["state-no-invoice"]
    assert "tollway invoices import FILE --provider openai --account org-main" in str(notice)
    assert view.steps(narrowed).is_empty()


@pytest.mark.parametrize(
    ("amount", "status", "tone"),
    [("0", "matched", "good"), ("0.2", "within_tolerance", "warn"), ("9", "unexplained", "bad")],
)
def test_unexplained_says_whether_it_blocks_the_close(amount: str, status: str, tone: str) -> None:
    lines = [line("4.2", *([(VarianceClass.UNEXPLAINED, amount)] if amount != "0" else []))]
    card = view.kpis(narrow(reconciled(lines, [account(lines, status=status)]), ALL))[3]
    assert card.className == f"kpi {tone}"


def test_a_month_in_which_all_is_explained_says_so() -> None:
    lines = [line("4.2", (VarianceClass.ROUNDING, "0.0000004"))]
    narrowed = narrow(reconciled(lines, [account(lines)]), ALL)
    assert "Nothing blocks the close" in str(view.exceptions(tables.found(narrowed), narrowed))


def test_two_currencies_are_never_summed_silently() -> None:
    lines = [line("4.2"), line("3", account="eu")]
    narrowed = narrow(reconciled(lines, [account(lines[:1]), account(lines[1:], account="eu", currency="EUR")]), ALL)
    assert "more than one currency" in str(view.notices(narrowed, ALL, NOW, NOW))


def test_a_tenant_filter_is_kept_and_said_not_to_apply() -> None:
    chosen = filters.parse("month=2026-11&tenant=acme", NOW)
    assert "Tenant and alias do not apply here" in str(view.notices(narrow(november(), chosen), chosen, NOW, NOW))
