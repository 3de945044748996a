"""The filter bar of a page: its period between two arrows, its choices, and the way back to everything.

It only shows what the address says and lets a reader change it; assets/tollway.js keeps the two the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dash_mantine_components as dmc
from dash import dcc, html

from dashboards.filters import Filters


def bar(page_id: str, period: Any, default: Any, names: Sequence[str], chosen: Filters) -> html.Div:
    """`period` is the picker, `default` its value for an address without a period, `names` the filters to choose from.

    Ids: `<page>-before`, `<page>-after`, `<page>-reset` are links that the page fills in, `<page>-<name>` the choices,
    `<page>-default` keeps the default.
    """
    return html.Div(
        [
            dcc.Store(id=f"{page_id}-default", data=default),
            html.Div(
                [_step(page_id, "before", "left"), period, _step(page_id, "after", "right")], className="filter-period"
            ),
            *[_choice(page_id, name, list(getattr(chosen, name))) for name in names],
            dcc.Link("Reset", id=f"{page_id}-reset", href="", className="action reset"),
        ],
        className="filters",
        role="search",
    )


def _choice(page_id: str, name: str, values: list[str]) -> dmc.MultiSelect:
    return dmc.MultiSelect(
        id=f"{page_id}-{name}",
        label=name.capitalize(),
        value=values,
        data=values,
        placeholder="All",
        searchable=True,
        size="sm",
        nothingFoundMessage="None in this period",
    )


def _step(page_id: str, side: str, icon: str) -> dcc.Link:
    """An arrow to the period before or after; its name is there for those who do not see the arrow."""
    label = f"The period {side}"
    name = html.Span(label, className="unseen")
    return dcc.Link(
        [html.Span(className=f"icon icon-{icon}"), name], id=f"{page_id}-{side}", href="", className="step", title=label
    )
