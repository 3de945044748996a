"""The pieces pages are made of: figures with their change and caveat, headings, panels, charts that are tables too.

A headline figure carries its exact decimal in `data-exact`, so that a test, or anyone with an inspector, can compare it
with SQL to the last digit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import dash_mantine_components as dmc
from dash import dcc, html

from dashboards.components import attributes


@dataclass(frozen=True, slots=True)
class Kpi:
    """A headline figure. `note` is its caveat, `floor` marks it as a lower bound."""

    element_id: str
    label: str
    text: str
    exact: str
    change: str = ""
    note: Any = ""
    floor: bool = False
    tone: str = ""


def kpi(card: Kpi) -> html.Section:
    """The figure as a card, readable in order: label, figure, change, caveat."""
    floor = [html.Span(", at least", className="kpi-floor")] if card.floor else []
    return html.Section(
        [
            html.H2([card.label, *floor], className="kpi-label"),
            html.Div(
                card.text,
                id=card.element_id,
                className="kpi-figure figures",
                title=card.exact,
                **attributes.extra(data_exact=card.exact),
            ),
            html.Div(card.change, className="kpi-change") if card.change else None,
            html.Div(card.note, className="kpi-note") if card.note else None,
        ],
        className=f"kpi {card.tone}".strip(),
    )


def kpis_waiting(labels: Sequence[str]) -> list[html.Section]:
    """The same cards before their figures have come."""
    waiting = dmc.Skeleton(height=32, width="60%", mt=6, mb=10)
    return [html.Section([html.H2(label, className="kpi-label"), waiting], className="kpi") for label in labels]


def heading(page_id: str, title: str) -> html.Div:
    """The page's title with the period it shows, and at its right how far the data goes and a way to read it again."""
    return html.Div(
        [
            html.Div(
                [html.H1(title), html.Span("", id=f"{page_id}-period", className="period")], className="heading-title"
            ),
            html.Div(
                [
                    html.Span("UTC", className="badge", title="Days and months are UTC, as on the vendors' invoices."),
                    html.Span("", id=f"{page_id}-mark", role="status"),
                    dmc.ActionIcon(
                        html.Span(className="icon icon-refresh"),
                        id=f"{page_id}-refresh",
                        variant="default",
                        size="lg",
                        attributes={"root": {"aria-label": "Read again", "title": "Read again"}},
                    ),
                ],
                className="heading-side",
            ),
        ],
        className="heading",
    )


def panel(title: str, *content: Any, links: Sequence[Any] = (), note: Any = "") -> html.Section:
    """A framed part of a page with its own heading and, at the right, what can be done with it."""
    head = html.Div([html.H2(title), html.Div(list(links), className="panel-links")], className="panel-head")
    return html.Section([head, html.P(note, className="panel-note") if note else None, *content], className="panel")


def csv_link(element_id: str, label: str = "CSV") -> html.A:
    """A plain link to a CSV route; the page fills in its address."""
    return html.A(
        [html.Span(className="icon icon-download"), label],
        id=element_id,
        href="",
        className="action",
        title="Download exactly what is shown, every digit kept",
    )


def chart_or_table(element_id: str, label: str, figure: dict[str, Any]) -> tuple[dmc.SegmentedControl, html.Div]:
    """A chart and the same numbers as a table, and the switch between them.

    Ids: `<id>-view` the switch, `<id>-figure` the graph, `<id>-table` where the table goes.
    """
    switch = dmc.SegmentedControl(
        id=f"{element_id}-view",
        value="chart",
        size="xs",
        data=[{"value": "chart", "label": "Chart"}, {"value": "table", "label": "Table"}],
        attributes={"root": {"aria-label": f"{label}: show as"}},
    )
    graph = dcc.Graph(
        id=f"{element_id}-figure",
        figure=figure,
        config={"displayModeBar": False, "responsive": True, "doubleClick": False},
    )
    shown = html.Div(
        [
            html.Div(
                graph,
                className="as-chart",
                role="img",
                **attributes.extra(
                    aria_label=f"{label}, as a chart. A table with the same numbers can be chosen above."
                ),
            ),
            html.Div(id=f"{element_id}-table", className="as-table"),
        ],
        id=f"{element_id}-box",
        className="chart-box chart",
    )
    return switch, shown
