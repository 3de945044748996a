"""Spend: what was metered in a period, on what and by whom, and how much of it went to fallbacks."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import dash_mantine_components as dmc
from dash import Dash, Input, Output, State, html, no_update

from dashboards import access, filters, metrics, questions
from dashboards.books import Books, Unanswered
from dashboards.components import cards, clientside, filterbar, grids, states
from dashboards.figures import canvas
from dashboards.figures.daily_stack import HEIGHT, daily_stack
from dashboards.filters import Filters
from dashboards.pages import spend_tables, spend_view
from dashboards.periods import Period

PATH = "/spend"
TITLE = "Spend"
ICON = "spend"

GRID_LABEL = "Spend by alias and tenant"
CHART_LABEL = "Spend per day by fallback depth"
NAMES = ("tenant", "alias", "provider")
_WAITING = canvas.words("Reading …", height=HEIGHT)


def layout(search: str, now: datetime) -> html.Div:
    """The page for an address, its figures still to come."""
    chosen = filters.parse(search, now)
    switch, chart = cards.chart_or_table("spend-days", CHART_LABEL, _WAITING)
    return html.Div(
        [
            cards.heading("spend", TITLE),
            filterbar.bar("spend", _picker(chosen, now), _days(filters.parse("", now).period), NAMES, chosen),
            html.Div(id="spend-notices", className="notices"),
            html.Div(cards.kpis_waiting(spend_view.LABELS), id="spend-kpis", className="kpis"),
            html.Div(
                [
                    cards.panel(CHART_LABEL, chart, links=(switch, cards.csv_link("spend-days-csv"))),
                    cards.panel(
                        GRID_LABEL, grids.grid("spend-grid", GRID_LABEL), links=(cards.csv_link("spend-grid-csv"),)
                    ),
                ],
                id="spend-figures",
                className="figures-shown",
            ),
        ],
        className="body",
        id="spend-body",
    )


def wire(app: Dash, books: Books, clock: Callable[[], datetime]) -> None:
    """The page's callbacks: the address and the filter bar follow each other; the figures follow the address."""
    widgets = [f"spend-{name}" for name in NAMES]
    clientside.wire(
        app,
        "followSpend",
        Output("spend-range", "value"),
        *[Output(widget, "value") for widget in widgets],
        Input("url", "search"),
        Input("spend-range", "value"),
        *[Input(widget, "value") for widget in widgets],
        State("spend-default", "data"),
        initial=False,
    )
    clientside.wire(app, "view", Output("spend-days-box", "className"), Input("spend-days-view", "value"))

    @app.callback(
        output={
            "notices": Output("spend-notices", "children"),
            "kpis": Output("spend-kpis", "children"),
            "figure": Output("spend-days-figure", "figure"),
            "table": Output("spend-days-table", "children"),
            "columns": Output("spend-grid", "columnDefs"),
            "rows": Output("spend-grid", "rowData"),
            "foot": Output("spend-grid", "dashGridOptions"),
            "height": Output("spend-grid", "style"),
            "empty": Output("spend-figures", "hidden"),
            "failed": Output("spend-kpis", "hidden"),
            "mark": Output("spend-mark", "children"),
            "period": Output("spend-period", "children"),
            "choices": [Output(widget, "data") for widget in widgets],
            "links": [
                Output(link, "href")
                for link in ("spend-before", "spend-after", "spend-reset", "spend-days-csv", "spend-grid-csv")
            ],
        },
        inputs=[Input("url", "search"), Input("spend-refresh", "n_clicks")],
        running=[(Output("spend-body", "className"), "body busy", "body")],
    )
    async def draw(search: str | None, _clicks: int | None) -> dict[str, Any]:
        now = clock()
        chosen = filters.parse(search or "", now)
        with metrics.ANSWER_SECONDS.labels(page="spend").time():
            try:
                answer = await questions.spend(books, chosen, now)
            except (Unanswered, access.NoAccess) as error:
                metrics.failed("spend", error)
                return _failed(chosen, error)
            return _drawn(chosen, answer, now)


def _drawn(chosen: Filters, answer: questions.Spend, now: datetime) -> dict[str, Any]:
    days, rows = (
        spend_tables.by_day(answer.by_day_depth),
        spend_tables.by_alias_tenant(answer.by_alias_tenant),
    )
    offered = (answer.choices.tenants, answer.choices.aliases, answer.choices.providers)
    return {
        "notices": spend_view.notices(answer, chosen, now),
        "kpis": spend_view.kpis(answer),
        "figure": daily_stack(answer.by_day_depth, chosen.period.days(), answer.style),
        "table": grids.plain(days, f"{CHART_LABEL}, {chosen.period.label}"),
        "columns": grids.columns(rows),
        "rows": grids.rows(rows),
        "foot": grids.foot(rows),
        "height": grids.height(rows),
        "empty": not rows.rows,
        "failed": False,
        "mark": states.freshness(answer.newest, now),
        "period": chosen.period.label,
        "choices": [sorted({*have, *getattr(chosen, name)}) for name, have in zip(NAMES, offered, strict=True)],
        "links": _links(chosen),
    }


def _failed(chosen: Filters, error: Exception) -> dict[str, Any]:
    """Nothing is shown as a figure: an old number beside an error would be taken for a new one."""
    return {
        "notices": [states.failing(error)],
        "kpis": [],
        "figure": _WAITING,
        "table": [],
        "columns": no_update,
        "rows": [],
        "foot": grids.foot(None),
        "height": no_update,
        "empty": True,
        "failed": True,
        "mark": "",
        "period": chosen.period.label,
        "choices": [list(getattr(chosen, name)) for name in NAMES],
        "links": _links(chosen),
    }


def _links(chosen: Filters) -> list[str]:
    """Addresses of the period before and after, of this page without filters, and of the two CSVs."""
    return [
        f"{PATH}?{chosen.moved(-1).query()}",
        f"{PATH}?{chosen.moved(1).query()}",
        f"{PATH}?{Filters(chosen.period).query()}",
        f"/csv/spend-by-day?{chosen.query()}",
        f"/csv/spend-by-alias-tenant?{chosen.query()}",
    ]


def _picker(chosen: Filters, now: datetime) -> dmc.DatePickerInput:
    today = now.astimezone(UTC).date()
    month = Period.month(today)
    presets = {
        "Today": Period.inclusive(today, today),
        "Last 7 days": Period.inclusive(today - timedelta(days=6), today),
        "This month": month,
        "Last month": month.shifted(-1),
    }
    return dmc.DatePickerInput(
        id="spend-range",
        type="range",
        label="Days (UTC)",
        value=_days(chosen.period),
        valueFormat="D MMM YYYY",
        size="sm",
        allowSingleDateInRange=True,
        firstDayOfWeek=1,
        weekendDays=[],
        presets=[{"value": _days(period), "label": label} for label, period in presets.items()],
        className="filter-range",
    )


def _days(period: Period) -> list[str]:
    return [period.since.isoformat(), period.last.isoformat()]
