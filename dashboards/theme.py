"""The one place for colours, shared by figures and pages, so that a thing looks the same wherever it is drawn.

The five series colours keep 3:1 against white and against the dark background and stay apart under the three common
colour deficiencies, pink and grey only just; so a series is told by its pattern and its name as well, never by colour
alone. Text and grid lines are not set here: the stylesheet maps them to the theme that the reader has on.
"""

from __future__ import annotations

from dataclasses import dataclass

BLUE, ORANGE, GREEN, PINK, GREY = "#1F77C4", "#D55E00", "#00916A", "#C46BA0", "#808080"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


@dataclass(frozen=True, slots=True)
class Series:
    """How one series is told apart: its name, its colour, and a Plotly pattern shape ("" is solid)."""

    name: str
    color: str
    pattern: str = ""


DEPTHS = (
    Series("First choice", BLUE),
    Series("1st fallback", ORANGE, "/"),
    Series("2nd fallback", GREEN, "x"),
    Series("3rd fallback", PINK, "."),
    Series("4th fallback and deeper", GREY, "-"),
)

TOTAL = Series("Total", BLUE)
BILLED_MORE = Series("Billed beyond metered", ORANGE)
BILLED_LESS = Series("Metered beyond billed", GREEN, "/")
UNEXPLAINED = Series("Unexplained", PINK, "x")


def depth(number: int) -> Series:
    """The series of a fallback depth; all depths from four on share one."""
    return DEPTHS[min(number, len(DEPTHS) - 1)]
