"""Reconciliation: a month's invoices against what was metered, and every cent between them under a name."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import dash_mantine_components as dmc
from dash import Dash, Input, Output, State, html, no_update

from dashboards import access, filters, metrics, questions
from dashboards.books import Books, Unanswered
from dashboards.components import cards, clientside, filterbar, grids, states
from dashboards.figures import canvas
from dashboards.figures.waterfall import waterfall
from dashboards.filters import Filters
from dashboards.pages import reconciliation_tables as tables
from dashboards.pages import reconciliation_view as view
from dashboards.pages.reconciliation_scope import narrow

PATH = "/reconciliation"
TITLE = "Reconciliation"
ICON = "reconciliation"

CHART_LABEL = "From metered to invoiced"
GRID_LABEL = "Invoice lines"
ACCOUNTS_LABEL = "Accounts"
NAMES = ("provider", "account")
_FILTERED = frozenset({"model", "token_class", "day"})
_CSVS = ("accounts", "lines", "exceptions")
_WAITING = canvas.words("Reading …", height=260)


def layout(search: str, now: datetime) -> html.Div:
    """The page for an address, its figures still to come."""
    chosen = filters.parse(search, now)
    switch, chart = cards.chart_or_table("recon-steps", CHART_LABEL, _WAITING)
    return html.Div(
        [
            cards.heading("recon", TITLE),
            filterbar.bar("recon", _picker(chosen), _first(filters.parse("", now)), NAMES, chosen),
            html.Div(id="recon-notices", className="notices"),
            html.Div(cards.kpis_waiting(view.LABELS), id="recon-kpis", className="kpis"),
            html.Div(_panels(switch, chart), id="recon-figures", className="figures-shown"),
        ],
        className="body",
        id="recon-body",
    )


def _panels(switch: Any, chart: Any) -> list[html.Section]:
    return [
        cards.panel(CHART_LABEL, chart, links=(switch,)),
        cards.panel(
            "Not settled",
            html.Div(id="recon-exceptions"),
            links=(cards.csv_link("recon-exceptions-csv"),),
            note="Charges and usage that nothing accounts for yet, the largest first.",
        ),
        cards.panel(
            ACCOUNTS_LABEL,
            html.Div(id="recon-accounts", className="scroll"),
            links=(cards.csv_link("recon-accounts-csv"),),
        ),
        cards.panel(GRID_LABEL, grids.grid("recon-grid", GRID_LABEL), links=(cards.csv_link("recon-lines-csv"),)),
    ]


def wire(app: Dash, books: Books, clock: Callable[[], datetime]) -> None:
    """The page's callbacks: the address and the filter bar follow each other; the figures follow the address."""
    widgets = [f"recon-{name}" for name in NAMES]
    clientside.wire(
        app,
        "followReconciliation",
        Output("recon-month", "value"),
        *[Output(widget, "value") for widget in widgets],
        Input("url", "search"),
        Input("recon-month", "value"),
        *[Input(widget, "value") for widget in widgets],
        State("recon-default", "data"),
        initial=False,
    )
    clientside.wire(
        app,
        "view",
        Output("recon-steps-box", "className"),
        Input("recon-steps-view", "value"),
    )

    @app.callback(
        output={
            "notices": Output("recon-notices", "children"),
            "kpis": Output("recon-kpis", "children"),
            "figure": Output("recon-steps-figure", "figure"),
            "table": Output("recon-steps-table", "children"),
            "exceptions": Output("recon-exceptions", "children"),
            "accounts": Output("recon-accounts", "children"),
            "columns": Output("recon-grid", "columnDefs"),
            "rows": Output("recon-grid", "rowData"),
            "foot": Output("recon-grid", "dashGridOptions"),
            "height": Output("recon-grid", "style"),
            "empty": Output("recon-figures", "hidden"),
            "failed": Output("recon-kpis", "hidden"),
            "mark": Output("recon-mark", "children"),
            "period": Output("recon-period", "children"),
            "choices": [Output(widget, "data") for widget in widgets],
            "links": [
                Output(f"recon-{name}", "href")
                for name in ("before", "after", "reset", *(f"{csv}-csv" for csv in _CSVS))
            ],
        },
        inputs=[Input("url", "search"), Input("recon-refresh", "n_clicks")],
        running=[(Output("recon-body", "className"), "body busy", "body")],
    )
    async def draw(search: str | None, _clicks: int | None) -> dict[str, Any]:
        now = clock()
        chosen = filters.parse(search or "", now)
        with metrics.ANSWER_SECONDS.labels(page="reconciliation").time():
            try:
                answer = await questions.month(books, chosen, now)
            except (Unanswered, access.NoAccess) as error:
                metrics.failed("reconciliation", error)
                return _failed(chosen, error)
            return _drawn(chosen, answer, now)


def _drawn(chosen: Filters, answer: questions.Month, now: datetime) -> dict[str, Any]:
    scope = narrow(answer.reconciliation, chosen)
    lines, accounts = tables.lines(scope), tables.accounts(scope)
    offered = (scope.providers, scope.account_names)
    return {
        "notices": view.notices(scope, chosen, answer.newest, now),
        "kpis": view.kpis(scope),
        "figure": waterfall(view.steps(scope), scope.style),
        "table": view.classes_table(scope),
        "exceptions": view.exceptions(tables.found(scope), scope),
        "accounts": grids.plain(accounts, f"{ACCOUNTS_LABEL}, {chosen.period.last:%B %Y}"),
        "columns": grids.columns(lines, _FILTERED),
        "rows": grids.rows(lines),
        "foot": grids.foot(lines),
        "height": grids.height(lines),
        "empty": not scope.accounts,
        "failed": False,
        "mark": states.freshness(answer.newest, now),
        "period": f"{chosen.period.last:%B %Y}",
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
        "exceptions": [],
        "accounts": [],
        "columns": no_update,
        "rows": [],
        "foot": grids.foot(None),
        "height": no_update,
        "empty": True,
        "failed": True,
        "mark": "",
        "period": f"{chosen.period.last:%B %Y}",
        "choices": [list(getattr(chosen, name)) for name in NAMES],
        "links": _links(chosen),
    }


def _links(chosen: Filters) -> list[str]:
    """Addresses of the month before and after, of this page without filters, and of the CSVs."""
    month = chosen.of_month()
    return [
        f"{PATH}?{month.moved(-1).query()}",
        f"{PATH}?{month.moved(1).query()}",
        f"{PATH}?{Filters(month.period).query()}",
        *[f"/csv/reconciliation-{csv}?{month.query()}" for csv in _CSVS],
    ]


def _picker(chosen: Filters) -> dmc.MonthPickerInput:
    return dmc.MonthPickerInput(
        id="recon-month",
        label="Month (UTC)",
        value=_first(chosen),
        valueFormat="MMMM YYYY",
        size="sm",
        className="filter-range",
    )


def _first(chosen: Filters) -> str:
    """The month's first day, which is how the picker knows a month."""
    return chosen.of_month().period.since.isoformat()
