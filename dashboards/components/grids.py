"""Tables on the screen: an AG Grid (community) that sorts and filters, and a plain HTML table for what a chart shows.

A grid's row carries each number twice: exact, for sorting and the tooltip, and as text, made by the one place that
knows how money is written. So the browser formats nothing.
"""

from __future__ import annotations

from typing import Any

import dash_ag_grid as dag
from dash import Patch, html

from dashboards import tables
from dashboards.components import attributes
from dashboards.tables import Column, Kind, Table

_ROW_PX, _HEAD_PX, _HEIGHT_MAX_PX = 36, 52, 640
_DIGIT_PX, _LETTER_PX, _PADDING_PX, _FILTER_PX, _TEXT_PX_MAX = 8, 9, 28, 18, 260


def grid(element_id: str, label: str) -> dag.AgGrid:
    """An empty grid; `columns`, `rows`, `foot` and `height` fill it."""
    return dag.AgGrid(
        id=element_id,
        className="",
        columnDefs=[],
        defaultColDef={
            "sortable": True,
            "resizable": True,
            "wrapHeaderText": True,
            "autoHeaderHeight": True,
            "flex": 1,
            "suppressHeaderMenuButton": True,
        },
        rowData=[],
        dashGridOptions={
            "theme": {"function": "tollwayGridTheme(themeQuartz)"},
            "rowHeight": _ROW_PX,
            "headerHeight": _HEAD_PX,
            "enableCellTextSelection": True,
            "ensureDomOrder": True,
            "suppressDragLeaveHidesColumns": True,
            "animateRows": False,
            "tooltipShowDelay": 300,
            "ariaLabel": label,
        },
        style={"height": f"{_HEAD_PX + 3 * _ROW_PX}px", "width": "100%"},
    )


def columns(table: Table, filtered: frozenset[str] = frozenset()) -> list[dict[str, Any]]:
    """The table's columns, each as wide as its widest figure: a number is never cut short.

    `filtered` columns get a filter of their own in the heading.
    """
    return [_definition(table, column, column.key in filtered) for column in table.columns]


def foot(table: Table | None) -> Patch:
    """The change to the grid's options that pins the table's total at its foot, or takes it away."""
    options = Patch()
    options["pinnedBottomRowData"] = (
        [cells(table, table.total)] if table is not None and table.total is not None else []
    )
    return options


def rows(table: Table) -> list[dict[str, str]]:
    """The table's rows for `rowData`."""
    return [cells(table, row) for row in table.rows]


def height(table: Table) -> dict[str, str]:
    """Just enough for the rows there are, up to a bound: beyond it the grid scrolls."""
    shown = max(len(table.rows), 2) + (table.total is not None)
    return {"height": f"{min(_HEIGHT_MAX_PX, _HEAD_PX + _ROW_PX * shown + 18)}px", "width": "100%"}


def cells(table: Table, row: tables.Row) -> dict[str, str]:
    """One row: the exact value under its key, what is shown under `key_text`."""
    out: dict[str, str] = {}
    for column in table.columns:
        value = row.get(column.key)
        out[column.key] = tables.exact(value)
        out[f"{column.key}_text"] = table.text(column, value) if column.key in row else ""
    return out


def _definition(table: Table, column: Column, filtered: bool) -> dict[str, Any]:
    definition: dict[str, Any] = {
        "field": column.key,
        "headerName": column.heading,
        "valueFormatter": {"function": f"params.data ? params.data['{column.key}_text'] : ''"},
        "minWidth": _width(table, column) + _FILTER_PX * filtered,
        "tooltipField": column.key,
        "filter": filtered,
    }
    if column.meaning:
        definition["headerTooltip"] = column.meaning
    if column.numeric:
        definition |= {
            "type": "rightAligned",
            "comparator": {"function": "tollwayCompareNumbers"},
            "cellClass": "ag-right-aligned-cell figures",
        }
    return definition


def _width(table: Table, column: Column) -> int:
    """Pixels for the longest text of the column and the longest word of its heading."""
    shown = [*table.rows, *([table.total] if table.total is not None else [])]
    longest = max((len(table.text(column, row[column.key])) for row in shown if column.key in row), default=0)
    width = _PADDING_PX + max(_DIGIT_PX * longest, _LETTER_PX * max(map(len, column.heading.split())))
    return width if column.numeric else min(width, _TEXT_PX_MAX)


def plain(table: Table, caption: str) -> html.Table:
    """A semantic table: caption, scoped headings, the total as its foot."""
    head = html.Tr([html.Th(column.heading, scope="col", className=_side(column)) for column in table.columns])
    body = [html.Tr(_row(table, row)) for row in table.rows]
    parts = [html.Caption(caption, className="unseen"), html.Thead(head), html.Tbody(body)]
    if table.total is not None:
        parts.append(html.Tfoot(html.Tr(_row(table, table.total))))
    return html.Table(parts, className="plain")


def _row(table: Table, row: tables.Row) -> list[Any]:
    first, *rest = table.columns
    cells_of = [
        html.Td(
            table.text(column, row[column.key]) if column.key in row else "",
            className=_side(column),
            title=tables.exact(row.get(column.key)) if column.numeric else None,
            **attributes.extra(data_value=str(row.get(column.key))) if column.kind is Kind.STATUS else {},
        )
        for column in rest
    ]
    return [html.Th(table.text(first, row.get(first.key)), scope="row", className=_side(first)), *cells_of]


def _side(column: Column) -> str:
    return "figures" if column.numeric else "status" if column.kind is Kind.STATUS else ""
