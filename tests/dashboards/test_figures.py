"""Figures on small frames: what is drawn, what is printed, and what is said when there is nothing."""

from datetime import date
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from dashboards import theme
from dashboards.figures.daily_stack import daily_stack
from dashboards.figures.waterfall import waterfall

DAYS = [date(2026, 11, n) for n in (1, 2, 3)]


def days(*rows: tuple[int, int, str | None, int, int]) -> pl.DataFrame:
    """(day of November, depth, cost, attempts, unmeasured) each."""
    return pl.DataFrame(
        [
            (date(2026, 11, day), depth, None if cost is None else Decimal(cost), attempts, missing)
            for day, depth, cost, attempts, missing in rows
        ],
        schema={
            "day": pl.Date,
            "fallback_depth": pl.UInt8,
            "cost_usd": pl.Decimal(38, 18),
            "attempts": pl.UInt64,
            "unmeasured": pl.UInt64,
        },
        orient="row",
    )


def steps(*rows: tuple[str, str, str]) -> pl.DataFrame:
    """(label, amount, kind) each."""
    return pl.DataFrame(
        {"label": [r[0] for r in rows], "amount": [Decimal(r[1]) for r in rows], "kind": [r[2] for r in rows]},
        schema={"label": pl.String, "amount": pl.Object, "kind": pl.String},
    )


def bar(figure: dict[str, Any]) -> dict[str, Any]:
    only: dict[str, Any] = figure["data"][0]
    return only


def test_each_depth_is_a_layer_told_by_name_colour_and_pattern() -> None:
    first, second = daily_stack(days((1, 0, "2", 4, 0), (1, 1, "0.5", 1, 0), (3, 0, "1", 2, 0)), DAYS)["data"]
    assert (first["name"], first["x"], first["y"]) == ("First choice", ["2026-11-01", "2026-11-03"], [2.0, 1.0])
    assert (second["name"], second["y"]) == ("1st fallback", [0.5])
    assert first["marker"]["color"] != second["marker"]["color"]
    assert "pattern" not in first["marker"]
    assert second["marker"]["pattern"]["shape"] == "/"


def test_depths_beyond_the_last_colour_are_one_layer() -> None:
    drawn = daily_stack(days((1, 4, "1", 1, 0), (1, 7, "2", 1, 0)), DAYS)["data"]
    assert [(layer["name"], layer["y"]) for layer in drawn] == [(theme.DEPTHS[-1].name, [3.0])]


def test_the_printed_amount_is_made_from_the_decimal() -> None:
    layer = bar(daily_stack(days((1, 0, "0.000000000000000001", 1, 0)), DAYS))
    assert layer["customdata"] == [["$0.0000000000000000010", "1 attempt"]]


def test_a_bar_that_leaves_something_out_says_so() -> None:
    layer = bar(daily_stack(days((1, 0, None, 3, 3), (2, 0, "1", 9, 1)), DAYS))
    assert layer["customdata"][0] == ["$0.00", "3 attempts, 3 without a cost: at least this much"]
    assert layer["customdata"][1][1].endswith("1 without a cost: at least this much")


def test_the_axis_shows_the_whole_period() -> None:
    figure = daily_stack(days((2, 0, "1", 1, 0)), DAYS)
    assert figure["layout"]["xaxis"]["range"] == ["2026-10-31 12:00:00", "2026-11-03 12:00:00"]


def test_no_traffic_is_words_and_not_an_empty_axis() -> None:
    figure = daily_stack(days(), DAYS)
    assert figure["data"] == []
    assert figure["layout"]["annotations"][0]["text"] == "No traffic in this period"


def test_steps_hang_where_the_one_before_ended() -> None:
    drawn = bar(
        waterfall(
            steps(
                ("Metered", "10", "total"),
                ("Rate", "5", "step"),
                ("Unbilled", "-3", "step"),
                ("Invoiced", "12", "total"),
            )
        )
    )
    assert drawn["base"] == [0.0, 10.0, 15.0, 0.0]
    assert drawn["x"] == [10.0, 5.0, -3.0, 12.0]


def test_each_amount_is_written_at_the_right_beside_its_bar() -> None:
    layout = waterfall(steps(("Metered", "10", "total"), ("Rate", "5", "step"), ("Unbilled", "-3", "step")))["layout"]
    assert layout["yaxis2"]["tickvals"] == ["Metered", "Rate", "Unbilled"]
    assert layout["yaxis2"]["ticktext"] == ["$10.00", "+$5.00", "−$3.00"]
    assert layout["yaxis2"]["range"] == layout["yaxis"]["range"] == [2.5, -0.5]


@pytest.mark.parametrize(
    ("cost", "ticks"), [("150", ",.0f"), ("4.2", ",.2f"), ("0.2", ",.2f"), ("0.03", ",.3f"), ("0", ",.0f")]
)
def test_the_ticks_of_a_money_axis_have_the_same_decimals(cost: str, ticks: str) -> None:
    assert daily_stack(days((1, 0, cost, 1, 0)), DAYS)["layout"]["yaxis"]["tickformat"] == ticks


def test_a_long_name_takes_two_lines() -> None:
    drawn = bar(waterfall(steps(("Metered", "10", "total"), ("Retries and fallbacks", "5", "step"))))
    assert drawn["y"] == ["Metered", "Retries and<br>fallbacks"]


def test_small_steps_on_large_totals_cut_the_axis_and_say_so() -> None:
    figure = waterfall(steps(("Metered", "938.47", "total"), ("Rate", "4.14", "step"), ("Invoiced", "942.61", "total")))
    low = figure["layout"]["xaxis"]["range"][0]
    assert 0 < low < 938.47
    assert figure["layout"]["xaxis"]["title"]["text"] == "The axis starts at $936.40, not at 0"
    assert bar(figure)["base"][0] == pytest.approx(low)


def test_large_steps_keep_zero_on_the_axis_and_need_no_note() -> None:
    figure = waterfall(steps(("Metered", "10", "total"), ("Rate", "5", "step"), ("Invoiced", "15", "total")))
    assert figure["layout"]["xaxis"]["range"][0] == 0
    assert figure["layout"]["xaxis"]["title"]["text"] == ""


def test_what_is_unexplained_has_a_colour_and_a_pattern_of_its_own() -> None:
    marker = bar(waterfall(steps(("Rate", "1", "step"), ("Unexplained", "1", "unexplained"))))["marker"]
    assert marker["color"][1] == theme.UNEXPLAINED.color != marker["color"][0]
    assert marker["pattern"]["shape"] == ["", "x"]


def test_a_month_without_anything_is_words() -> None:
    assert waterfall(steps())["layout"]["annotations"][0]["text"] == "Nothing to compare in this month"


def test_zero_amounts_alone_can_be_drawn() -> None:
    assert bar(
        waterfall(steps(("Metered", "0", "total"), ("Unexplained", "0", "unexplained"), ("Invoiced", "0", "total")))
    )["x"] == [0, 0, 0]
