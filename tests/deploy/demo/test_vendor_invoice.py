"""From ledger rows to lines, CSV and JSON: rounding, surcharge, days, pages."""

import csv
import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from deploy.demo.vendor import costs, invoice, ledger
from deploy.demo.vendor.settings import Billing, Model, Settings, SettingsInvalid, parse, read

MODEL = Model("m-2024", {"input": Decimal("0.15"), "cached input": Decimal("0.075"), "output": Decimal("0.60")})
START, END = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 4, tzinfo=UTC)


def row(tokens: tuple[int, int, int], at: str = "2026-11-02T10:00:00+00:00", key: str = "key_1") -> ledger.Row:
    by_class = dict(zip(("input", "cached input", "output"), tokens, strict=True))
    return ledger.Row(
        number=0,
        request_id="r",
        response_id="c",
        received_at=datetime.fromisoformat(at),
        project_id="p",
        api_key_id=key,
        model="m-2024",
        cause=ledger.Cause.COMPLETED,
        tokens=by_class,
        billed=ledger.charge(by_class, MODEL),
    )


def settings() -> Settings:
    return Settings(
        name="v", organization_id="org", project_id="p", keys={}, admin_key="a", models={}, ledger=Path("unused")
    )


def test_a_line_is_rounded_once_from_the_exact_sum_half_to_even() -> None:
    tie_down, tie_up = invoice.lines([row((10, 0, 0))], Billing()), invoice.lines([row((5, 0, 0))] * 6, Billing())
    assert (tie_down[0].exact, tie_down[0].amount) == (Decimal("0.0000015"), Decimal("0.000002"))
    assert (tie_up[0].exact, tie_up[0].amount) == (Decimal("0.0000045"), Decimal("0.000004"))


def test_a_day_begins_at_midnight_utc_and_keys_have_lines_of_their_own() -> None:
    rows = [
        row((1, 0, 0), "2026-11-01T23:59:59.999999+00:00"),
        row((2, 0, 0), "2026-11-02T00:00:00+00:00"),
        row((4, 0, 0), key="key_2"),
    ]
    assert [(line.day.day, line.api_key_id, line.tokens) for line in invoice.lines(rows, Billing())] == [
        (1, "key_1", 1),
        (2, "key_1", 2),
        (2, "key_2", 4),
    ]


def test_the_surcharge_is_on_output_lines_only_and_leaves_the_quantity() -> None:
    billing = Billing(surcharge_share=Decimal("0.1"), surcharge_least=Decimal("0.000100"))
    found = {line.line_item: line for line in invoice.lines([row((1000, 128, 5000))], billing)}
    assert found["m-2024, output"].amount == Decimal("0.003300")
    assert found["m-2024, output"].tokens == 5000
    assert found["m-2024, input"].surcharge == 0
    small = {line.line_item: line for line in invoice.lines([row((0, 0, 1))], billing)}
    assert small["m-2024, output"].surcharge == Decimal("0.000100")


def test_the_csv_has_the_dashboards_columns_and_a_day_without_charges_has_only_its_times() -> None:
    text = costs.csv_export(invoice.lines([row((1000, 0, 0))], Billing()), START, END, settings())
    rows = list(csv.DictReader(text.splitlines()))
    assert tuple(rows[0]) == costs.CSV_COLUMNS
    assert [r["amount_value"] for r in rows] == ["", "0.000150", ""]
    assert rows[1]["line_item"] == "m-2024, input"
    assert rows[1]["start_time_iso"] == "2026-11-02T00:00:00+00:00"
    assert int(rows[1]["end_time"]) - int(rows[1]["start_time"]) == 86_400


def test_costs_pages_join_to_the_whole_period_and_amounts_are_json_numbers() -> None:
    lines = invoice.lines([row((1000, 0, 100))], Billing())
    pages, page = [], ""
    while True:
        text = costs.costs_page(lines, START, END, group_by=["line_item"], limit=2, page=page, org="org")
        pages.append(json.loads(text, parse_float=Decimal))
        if not pages[-1]["has_more"]:
            break
        page = pages[-1]["next_page"]
    buckets = [bucket for found in pages for bucket in found["data"]]
    assert [len(found["data"]) for found in pages] == [2, 1]
    assert [bucket["start_time"] for bucket in buckets] == [1793491200 + 86_400 * i for i in range(3)]
    assert [result["amount"] for result in buckets[1]["results"]] == [
        {"value": Decimal("0.000150"), "currency": "usd"},
        {"value": Decimal("0.000060"), "currency": "usd"},
    ]
    assert "0.000150" in costs.costs_page(lines, START, END, group_by=["line_item"], limit=7, page="", org="org")


def test_without_groups_a_bucket_is_one_amount() -> None:
    lines = invoice.lines([row((1000, 0, 100))], Billing())
    page = json.loads(costs.costs_page(lines, START, END, group_by=[], limit=7, page="", org="org"))
    (result,) = page["data"][1]["results"]
    assert (result["amount"]["value"], result["line_item"], result["quantity"]) == (0.00021, None, None)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"group_by": ["model"]}, "group_by"),
        ({"limit": 0}, "limit"),
        ({"limit": 181}, "limit"),
        ({"page": "x"}, "page"),
    ],
)
def test_a_page_that_makes_no_sense_is_refused_by_name(given: dict[str, object], named: str) -> None:
    whole = {"group_by": [], "limit": 7, "page": "", "org": "org", **given}
    with pytest.raises(costs.PeriodInvalid, match=named):
        costs.costs_page([], START, END, **whole)  # type: ignore[arg-type]


def test_settings_say_what_they_do_not_know(tmp_path: Path) -> None:
    raw = {
        "name": "v",
        "organization_id": "o",
        "project_id": "p",
        "keys": {},
        "admin_key": "a",
        "ledger": "l",
        "models": {"m": {"snapshot": "m-1", "per_million": {"input": "1", "cached input": "1", "output": "1"}}},
    }
    assert parse(raw).models["m"].per_million["input"] == Decimal(1)
    path = tmp_path / "vendor.yaml"
    path.write_text(json.dumps({**raw, "colour": "blue"}))
    with pytest.raises(SettingsInvalid, match="colour"):
        read(path)
