"""Spend per UTC day, stacked by fallback depth: what the fallbacks cost, day by day."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import polars as pl

from dashboards import formats, theme
from dashboards.figures import canvas

HEIGHT = 330
_DAY_MS = 86_400_000


def daily_stack(frame: pl.DataFrame, days: list[date], style: formats.Style = formats.CENTS) -> canvas.Figure:
    """A bar for each day of `days`, one layer for each fallback depth that occurs.

    `frame`: day Date, fallback_depth Int, cost_usd Decimal or null (null: nothing measured), attempts Int,
    unmeasured Int (attempts without a cost). Several rows of one day and drawn depth are added up.
    """
    if frame.is_empty():
        return canvas.words("No traffic in this period", height=HEIGHT)
    layers: dict[int, dict[date, list[Any]]] = {}
    for row in frame.iter_rows(named=True):
        drawn = min(row["fallback_depth"], len(theme.DEPTHS) - 1)
        sums = layers.setdefault(drawn, {}).setdefault(row["day"], [Decimal(0), 0, 0])
        for n, value in enumerate((row["cost_usd"] or Decimal(0), row["attempts"], row["unmeasured"])):
            sums[n] += value
    layout = canvas.layout(
        height=HEIGHT,
        barmode="stack",
        bargap=0.25,
        hovermode="closest",
        showlegend=True,
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "traceorder": "normal"},
        xaxis={
            "type": "date",
            "range": _range(days),
            "fixedrange": True,
            "showgrid": False,
            "tickformat": "%-d %b",
            "ticks": "outside",
            "ticklen": 5,
            "tickcolor": "rgba(0,0,0,0)",
            "automargin": True,
            "hoverformat": "%a %-d %b %Y",
        },
        yaxis=canvas.money_axis(_highest(layers)) | {"rangemode": "tozero", "automargin": True, "zeroline": True},
    )
    return {"data": [_layer(depth, layers[depth], style) for depth in sorted(layers)], "layout": layout}


def _layer(depth: int, by_day: dict[date, list[Any]], style: formats.Style) -> dict[str, Any]:
    series = theme.depth(depth)
    days = sorted(by_day)
    return {
        "type": "bar",
        "name": series.name,
        "x": [day.isoformat() for day in days],
        "y": [float(by_day[day][0]) for day in days],
        "width": _DAY_MS * 0.72,
        "marker": canvas.marker(series),
        "customdata": [[style.money(by_day[day][0]), _words(by_day[day])] for day in days],
        "hovertemplate": "%{x|%a %-d %b %Y}<br><b>"
        + series.name
        + ": %{customdata[0]}</b><br>%{customdata[1]}<extra></extra>",
    }


def _highest(layers: dict[int, dict[date, list[Any]]]) -> float:
    """The dearest day, all layers together."""
    sums: dict[date, Decimal] = {}
    for by_day in layers.values():
        for day, (cost, *_) in by_day.items():
            sums[day] = sums.get(day, Decimal(0)) + cost
    return float(max(sums.values()))


def _words(sums: list[Any]) -> str:
    text = formats.plural(sums[1], "attempt")
    return f"{text}, {formats.count(sums[2])} without a cost: at least this much" if sums[2] else text


def _range(days: list[date]) -> list[str]:
    """Half a day of room on both sides, so that the first and the last bar are whole."""
    edges = datetime.combine(days[0], time(12)) - timedelta(days=1), datetime.combine(days[-1], time(12))
    return [edge.isoformat(" ") for edge in edges]
