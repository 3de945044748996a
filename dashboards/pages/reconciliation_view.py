"""The Reconciliation page's answer in words, cards and steps. Pure: a scope goes in, components or a frame come out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import polars as pl
from dash import html

from analytics.reconciliation import Line, Part, VarianceClass
from dashboards import formats
from dashboards.components import attributes, states
from dashboards.components.cards import Kpi, kpi
from dashboards.filters import Filters
from dashboards.pages.reconciliation_scope import Scope
from dashboards.pages.reconciliation_tables import in_words
from dashboards.periods import days_label
from dashboards.vocabulary import VARIANCE_CLASSES, token_class, variance_class

LABELS = ("Invoiced", "Metered", "Variance", "Unexplained")
EXCEPTIONS_SHOWN = 50


def kpis(scope: Scope) -> list[Any]:
    """The four headline figures; what needs an invoice is unknown without one."""
    return [kpi(card) for card in (_invoiced(scope), _metered(scope), _variance(scope), _unexplained(scope))]


def notices(scope: Scope, filters: Filters, newest: datetime | None, now: datetime) -> list[Any]:
    """What a reader has to know or do before signing; the worst first."""
    said: list[Any] = [
        states.alert("warning", "Part of this address was not understood", fault) for fault in filters.faults
    ]
    label = f"{filters.period.last:%B %Y}"
    if not scope.accounts and scope.providers:
        said.append(states.nothing_matches(f"/reconciliation?month={filters.period.last:%Y-%m}"))
    elif not scope.accounts:
        said.append(states.no_traffic(label, newest, now))
    elif not scope.has_invoice:
        said.append(_import(f"No invoice imported yet for {label}", scope))
    elif scope.without_invoice:
        said.append(_import("Some accounts have no invoice yet", scope))
    if len(scope.currencies) > 1:
        said.append(
            states.alert(
                "warning",
                "These accounts are invoiced in more than one currency",
                f"Sums of {' and '.join(scope.currencies)} mean nothing: choose one account.",
            )
        )
    if filters.tenant or filters.alias:
        said.append(
            states.alert(
                "info",
                "Tenant and alias do not apply here",
                "An invoice is not split by tenant. Your choice is kept for the Spend page.",
            )
        )
    return said


def steps(scope: Scope) -> pl.DataFrame:
    """The waterfall's rows: metered, each class that occurs (unexplained always), invoiced. None without an invoice."""
    rows: list[tuple[str, Decimal, str]] = []
    if scope.has_invoice:
        rows.append(("Metered", scope.metered, "total"))
        for each in VARIANCE_CLASSES:
            amount = scope.by_class[VarianceClass(each.code)]
            unexplained = each.code == VarianceClass.UNEXPLAINED
            if amount or unexplained:
                rows.append((each.name, amount, "unexplained" if unexplained else "step"))
        rows.append(("Invoiced", scope.invoiced, "total"))
    kinds = {"label": pl.String, "amount": pl.Object, "kind": pl.String}
    return pl.DataFrame({name: [row[n] for row in rows] for n, name in enumerate(kinds)}, schema=kinds)


def classes_table(scope: Scope) -> html.Table | html.P:
    """The waterfall as a table, with what each class means."""
    if not scope.has_invoice:
        return html.P("There is no invoice to compare with.")
    body = [
        html.Tr(
            [
                html.Th(each.name, scope="row"),
                html.Td(scope.style.signed(amount), className="figures", title=formats.exact(amount)),
                html.Td(each.meaning, className="wide"),
            ]
        )
        for each in VARIANCE_CLASSES
        for amount in (scope.by_class[VarianceClass(each.code)],)
    ]
    totals = [("Metered", scope.metered), ("Invoiced", scope.invoiced)]
    ends = [
        html.Tr(
            [
                html.Th(name, scope="row"),
                html.Td(scope.style.money(amount), className="figures", title=formats.exact(amount)),
                html.Td(""),
            ]
        )
        for name, amount in totals
    ]
    head = html.Tr(
        [
            html.Th("Class", scope="col"),
            html.Th("Amount", scope="col", className="figures"),
            html.Th("Meaning", scope="col"),
        ]
    )
    return html.Table(
        [
            html.Caption("From metered to invoiced, by class", className="unseen"),
            html.Thead(head),
            html.Tbody([ends[0], *body, ends[1]]),
        ],
        className="plain",
    )


def exceptions(found: Sequence[tuple[Line, Part]], scope: Scope) -> list[Any]:
    """The largest exceptions with their evidence in words, or why there are none."""
    if not scope.has_invoice:
        return [html.P("Exceptions appear once an invoice is imported.", className="quiet")]
    if not found:
        return [
            html.P(
                [html.Span(className="icon icon-check"), "Every line is explained. Nothing blocks the close."],
                className="settled",
            )
        ]
    rest = len(found) - EXCEPTIONS_SHOWN
    more = (
        [html.P(f"{formats.plural(rest, 'smaller one')} not shown here; the CSV has all.", className="quiet")]
        if rest > 0
        else []
    )
    return [
        html.Ul([_exception(line, part, scope) for line, part in found[:EXCEPTIONS_SHOWN]], className="exceptions"),
        *more,
    ]


def _exception(line: Line, part: Part, scope: Scope) -> html.Li:
    named = variance_class(part.variance_class)
    where = (
        f"{line.provider} / {line.account}",
        line.model or "no model named",
        f"{token_class(line.token_class)} tokens",
        days_label(line.day, line.day),
    )
    return html.Li(
        [
            html.Div(
                [
                    html.Span(
                        named.name,
                        className="exception-class",
                        title=named.meaning,
                        **attributes.extra(data_class=named.code),
                    ),
                    html.Span(" · ".join(where), className="exception-where"),
                ],
                className="exception-head",
            ),
            html.Div(
                scope.style.signed(part.amount), className="exception-amount figures", title=formats.exact(part.amount)
            ),
            html.Div(in_words(part.evidence), className="exception-words"),
        ]
    )


def _invoiced(scope: Scope) -> Kpi:
    known = scope.has_invoice
    rows = sum(each.billed_rows for each in scope.accounts)
    files = sum(len(each.import_ids) for each in scope.accounts)
    return Kpi(
        "recon-kpi-invoiced",
        LABELS[0],
        scope.style.money(scope.invoiced if known else None),
        formats.exact(scope.invoiced) if known else "",
        note=f"{formats.plural(rows, 'row')} from {formats.plural(files, 'imported file')}"
        if known
        else "No file has been imported",
    )


def _metered(scope: Scope) -> Kpi:
    unmeasured, unpriced = (sum(getattr(each, name) for each in scope.accounts) for name in ("unmeasured", "unpriced"))
    left = [formats.plural(unmeasured, "attempt") + " without final usage"] if unmeasured else []
    left += [formats.plural(unpriced, "attempt") + " without a price"] if unpriced else []
    return Kpi(
        "recon-kpi-metered",
        LABELS[1],
        scope.style.money(scope.metered),
        formats.exact(scope.metered),
        note=f"Leaves out {' and '.join(left)}" if left else "Every attempt is measured and priced",
        floor=bool(left),
    )


def _variance(scope: Scope) -> Kpi:
    known = scope.has_invoice
    part = formats.share(scope.variance, scope.invoiced)
    return Kpi(
        "recon-kpi-variance",
        LABELS[2],
        scope.style.signed(scope.variance) if known else formats.UNKNOWN,
        formats.exact(scope.variance) if known else "",
        note=f"{part} of what was invoiced" if known else "Needs an invoice",
    )


def _unexplained(scope: Scope) -> Kpi:
    if not scope.has_invoice:
        return Kpi("recon-kpi-unexplained", LABELS[3], formats.UNKNOWN, "", note="Needs an invoice")
    amount, tolerance = scope.unexplained, formats.Style(scope.style.currency).money(scope.tolerance)
    if not scope.unexplained_gross:
        tone, note = "good", "Nothing blocks the close"
    elif beyond := [each.account for each in scope.accounts if each.status == "unexplained"]:
        tone, note = "bad", f"Blocks the close: beyond the tolerance of {' and '.join(beyond)}"
    else:
        tone, note = "warn", f"Within the tolerance of {tolerance}"
    return Kpi(
        "recon-kpi-unexplained", LABELS[3], scope.style.signed(amount), formats.exact(amount), note=note, tone=tone
    )


def _import(title: str, scope: Scope) -> Any:
    """How to bring the invoice in, with the very command for each account that lacks one."""
    commands = [
        html.Div(html.Code(f"tollway invoices import FILE --provider {each.provider} --account {each.account}"))
        for each in scope.without_invoice[:8]
    ]
    return states.alert(
        "warning",
        title,
        "Until it is, what was invoiced is unknown and usage stands as not billed. ",
        "Download the vendor's cost export and run:",
        *commands,
        element_id="state-no-invoice",
    )
