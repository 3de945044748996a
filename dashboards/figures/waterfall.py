"""From what was metered to what was invoiced, one step per class of variance."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import polars as pl

from dashboards import formats, theme
from dashboards.figures import canvas

_ROW_HEIGHT = 38
_ROOM, _NOTE_ROOM = 24, 26
_LABEL_LENGTH_MAX = 12


def waterfall(frame: pl.DataFrame, style: formats.Style = formats.CENTS) -> canvas.Figure:
    """A horizontal bar per row: totals stand on the axis, steps hang where the one before ended.

    `frame`: label String, amount Decimal, kind String: `total`, `step` or `unexplained`, in the order drawn. When the
    steps are small beside the totals, the axis does not start at zero, and says so: otherwise nothing would be seen.
    """
    if frame.is_empty():
        return canvas.words("Nothing to compare in this month", height=200)
    labels, bars = [_wrapped(label) for label in frame["label"]], _bars(frame)
    low, high = _axis([edge for start, amount, _ in bars for edge in (start, start + amount)])
    height = _ROOM + _NOTE_ROOM * (low > 0) + _ROW_HEIGHT * len(bars)
    layout = canvas.layout(
        height=height,
        showlegend=False,
        hovermode="closest",
        bargap=0.35,
        # No tick labels: the amounts are printed at the right, and on a phone there is no room for both.
        xaxis={
            "range": [float(low), float(high)],
            "fixedrange": True,
            "automargin": True,
            "showticklabels": False,
            "nticks": 8,
            "zeroline": low <= 0,
            "title": {"text": _note(low, style), "font": {"size": 12}, "standoff": 8},
        },
        yaxis=_rows(len(bars)),
        yaxis2=_rows(len(bars))
        | {"side": "right", "overlaying": "y", "tickvals": labels, "ticktext": _texts(bars, style)},
    )
    return {"data": [_bar(labels, bars, low, style.currency), _amounts(labels)], "layout": layout}


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
        return max(Decimal(0), low - moved / 2), high + moved / 20
    low, high = min(low, Decimal(0)), max(high, Decimal(0))
    return low, high + (high - low) / 20


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


def _amounts(labels: list[str]) -> dict[str, Any]:
    """What holds up the axis at the right, which lists the amounts: a label at a bar would be cut or cover another."""
    return {"type": "scatter", "y": labels, "x": [None] * len(labels), "yaxis": "y2", "hoverinfo": "skip"}


def _texts(bars: list[tuple[Decimal, Decimal, str]], style: formats.Style) -> list[str]:
    return [style.money(amount) if kind == "total" else style.signed(amount) for _, amount, kind in bars]


def _rows(count: int) -> dict[str, Any]:
    """An axis of one row a bar, the first on top."""
    return {
        "type": "category",
        "range": [count - 0.5, -0.5],
        "fixedrange": True,
        "automargin": True,
        "ticklabelstandoff": 8,
        "showgrid": False,
        "zeroline": False,
    }


def _wrapped(label: str) -> str:
    """A long label on two lines, split near its middle: names must leave room for bars on a phone."""
    gaps = [n for n, letter in enumerate(label) if letter == " "]
    if len(label) <= _LABEL_LENGTH_MAX or not gaps:
        return label
    middle = min(gaps, key=lambda gap: abs(gap - len(label) // 2))
    return f"{label[:middle]}<br>{label[middle + 1 :]}"


def _series(amount: Decimal, kind: str) -> theme.Series:
    if kind == "total":
        return theme.TOTAL
    if kind == "unexplained":
        return theme.UNEXPLAINED
    return theme.BILLED_MORE if amount > 0 else theme.BILLED_LESS


def _note(low: Decimal, style: formats.Style) -> str:
    """Said under the axis whenever bars are cut off, for then their lengths are not to be compared."""
    return f"The axis starts at {style.money(low)}, not at 0" if low > 0 else ""
