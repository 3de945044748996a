"""From what was metered to what was invoiced, one step per class of variance."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import polars as pl

from dashboards import formats, theme
from dashboards.figures import canvas

_ROW_HEIGHT = 38
_ROOM, _NOTE_ROOM = 48, 24


def waterfall(frame: pl.DataFrame, currency: str = "USD") -> canvas.Figure:
    """A horizontal bar per row: totals stand on the axis, steps hang where the one before ended.

    `frame`: label String, amount Decimal, kind String: `total`, `step` or `unexplained`, in the order drawn. When the
    steps are small beside the totals, the axis does not start at zero, and says so: otherwise nothing would be seen.
    """
    if frame.is_empty():
        return canvas.words("Nothing to compare in this month", height=200)
    bars = _bars(frame)
    low, high = _axis([edge for start, amount, _ in bars for edge in (start, start + amount)])
    height = _ROOM + _NOTE_ROOM * (low > 0) + _ROW_HEIGHT * len(bars)
    layout = canvas.layout(
        height=height,
        showlegend=False,
        hovermode="closest",
        bargap=0.35,
        xaxis=canvas.money_axis(float(high - low), currency)
        | {
            "range": [float(low), float(high)],
            "automargin": True,
            "zeroline": low <= 0,
            "title": {"text": _note(low, currency), "font": {"size": 12}, "standoff": 8},
        },
        yaxis={"autorange": "reversed", "fixedrange": True, "automargin": True, "ticksuffix": "  "},
    )
    labels = frame["label"].to_list()
    return {"data": [_bar(labels, bars, low, currency), _amounts(labels, bars, currency)], "layout": layout}


def _bars(frame: pl.DataFrame) -> list[tuple[Decimal, Decimal, str]]:
    """(start, amount, kind) per row; a step starts where the row before it ended."""
    bars, reached = [], Decimal(0)
    for amount, kind in frame.select("amount", "kind").iter_rows():
        start = Decimal(0) if kind == "total" else reached
        bars.append((start, amount, kind))
        reached = start + amount
    return bars


def _axis(edges: Sequence[Decimal]) -> tuple[Decimal, Decimal]:
    """The part of the axis to draw: with zero in it, unless all that moves would then be thinner than a tenth."""
    levels = [edge for edge in edges if edge]
    low, high = min(levels, default=Decimal(0)), max(levels, default=Decimal(1))
    if low > 0 and (high - low) * 10 < high:
        moved = high - low or high / 100
        return max(Decimal(0), low - moved / 2), high + moved * Decimal("0.45")
    low, high = min(low, Decimal(0)), max(high, Decimal(0))
    return low - (high - low) * Decimal("0.25") * (low < 0), high + (high - low) * Decimal("0.25")


def _bar(labels: list[str], bars: list[tuple[Decimal, Decimal, str]], low: Decimal, currency: str) -> dict[str, Any]:
    series = [_series(amount, kind) for _, amount, kind in bars]
    # A total starts at the drawn edge of the axis: a bar that begins off the canvas would lose its label.
    bases = [max(start, low) if kind == "total" else start for start, _, kind in bars]
    return {
        "type": "bar",
        "orientation": "h",
        "y": labels,
        "base": [float(base) for base in bases],
        "x": [float(start + amount - base) for (start, amount, _), base in zip(bars, bases, strict=True)],
        "marker": {
            "color": [each.color for each in series],
            "line": {"width": 0},
            "pattern": {
                "shape": [each.pattern for each in series],
                "size": 7,
                "solidity": 0.25,
                "fgcolor": "#ffffff",
                "fgopacity": 0.85,
                "fillmode": "overlay",
            },
        },
        "customdata": [formats.exact(amount) for _, amount, _ in bars],
        "hovertemplate": "<b>%{y}</b><br>%{customdata} " + currency + "<extra></extra>",
    }


def _amounts(labels: list[str], bars: list[tuple[Decimal, Decimal, str]], currency: str) -> dict[str, Any]:
    """Each amount in words to the right of its bar; Plotly's own labels of falling bars would cover their names."""
    return {
        "type": "scatter",
        "mode": "text",
        "y": labels,
        "x": [float(max(start, start + amount)) for start, amount, _ in bars],
        "text": [
            f" {formats.money(amount, currency) if kind == 'total' else formats.signed_money(amount, currency)}"
            for _, amount, kind in bars
        ],
        "textposition": "middle right",
        "cliponaxis": False,
        "hoverinfo": "skip",
    }


def _series(amount: Decimal, kind: str) -> theme.Series:
    if kind == "total":
        return theme.TOTAL
    if kind == "unexplained":
        return theme.UNEXPLAINED
    return theme.BILLED_MORE if amount > 0 else theme.BILLED_LESS


def _note(low: Decimal, currency: str) -> str:
    """Said under the axis whenever bars are cut off, for then their lengths are not to be compared."""
    return f"Axis starts at {formats.money(low, currency)}, not at 0" if low > 0 else ""
