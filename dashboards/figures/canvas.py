"""What all figures share: the empty canvas, the marks of a series, and the figure that says why there is nothing.

Bar lengths are floats, because that is what a screen draws; every amount that is read is text made from the Decimal.
"""

from __future__ import annotations

import math
from typing import Any

from dashboards import theme

Figure = dict[str, Any]


def layout(*, height: int, **more: Any) -> dict[str, Any]:
    """A transparent canvas without Plotly's template: 8 kB less in every answer, and right in the dark."""
    return {
        "template": {},
        "height": height,
        "margin": {"l": 8, "r": 8, "t": 8, "b": 8},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": theme.FONT, "size": 13},
        "hoverlabel": {"font": {"family": theme.FONT, "size": 13}, "align": "left"},
        "dragmode": False,
        "separators": ".,",
        **more,
    }


def money_axis(span: float, currency: str = "USD") -> dict[str, Any]:
    """Ticks of an axis over that much money: all with the same decimals, cents at least where there are cents."""
    step = span / 5
    decimals = 0 if step >= 1 or step <= 0 else max(2, -math.floor(math.log10(step)))
    return {
        "tickprefix": "$" if currency == "USD" else "",
        "tickformat": f",.{decimals}f",
        "nticks": 6,
        "fixedrange": True,
    }


def marker(series: theme.Series) -> dict[str, Any]:
    """Colour and pattern of a bar. The pattern lets the background through, so that it is seen in both themes."""
    drawn: dict[str, Any] = {"color": series.color, "line": {"width": 0}}
    if series.pattern:
        drawn["pattern"] = {
            "shape": series.pattern,
            "size": 7,
            "solidity": 0.25,
            "fgcolor": "#ffffff",
            "fgopacity": 0.85,
            "fillmode": "overlay",
        }
    return drawn


def words(text: str, *, height: int) -> Figure:
    """A figure that only says something: an empty one never looks like a zero."""
    note = {
        "text": text,
        "showarrow": False,
        "xref": "paper",
        "yref": "paper",
        "x": 0.5,
        "y": 0.5,
        "font": {"size": 15},
    }
    hidden = {"visible": False, "fixedrange": True}
    return {"data": [], "layout": layout(height=height, xaxis=hidden, yaxis=hidden, annotations=[note])}
