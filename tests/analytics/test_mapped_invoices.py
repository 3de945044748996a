"""Any table is read by a small mapping: Azure's and Google's are shipped, and one that cannot be so is refused."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
import yaml

from analytics.invoices.entries import Entry, LeftOut, survey
from analytics.invoices.formats import mapped
from analytics.invoices.mapping import SHIPPED, MappingInvalid, load
from analytics.invoices.sniff import kind_of
from tests.analytics.test_invoice_formats import GOLDEN, altered, golden, refusal


def told(name: str) -> list[tuple[str, str, int | None, str, str, str]]:
    return [
        (e.model, e.token_class, e.quantity, f"{e.amount:f}", e.terms.processing_tier, e.terms.deployment_type)
        for e in golden(name)
    ]


def standing_days(name: str) -> list[date]:
    found = kind_of(GOLDEN / name).read(GOLDEN / name)
    return [day for day, entry in found if not isinstance(entry, LeftOut)]


def test_azures_meters_tell_model_class_tier_and_reach_and_the_unit_is_1k_or_1m():
    assert told("azure_cost_management.csv") == [
        ("gpt-4o-mini-0718", "input_uncached", 1_234_500, "0.185175", "", "global"),
        ("gpt-4o-mini-0718", "cache_read", 10_000, "0.00075", "", "global"),
        ("gpt-5.4-nano", "output", 500_000, "0.2", "", "global"),
        ("gpt-5.2", "cache_write_5m", 2_000_000, "2", "", "data_zone"),
        ("gpt-4o-0806", "output", 4000, "0.02", "batch", "regional"),
        ("", "other", None, "0.02", "", ""),
        ("", "other", None, "260", "", ""),
        ("gpt-4o-mini-0718", "other", None, "-0.5", "", "global"),
    ]


def test_azures_kinds_of_charge_currencies_and_other_services_are_told_apart():
    found = survey(GOLDEN / "azure_cost_management.csv", kind_of(GOLDEN / "azure_cost_management.csv").read)
    assert {key: one.amount for key, one in found.by_category.items()} == {
        ("Usage", "EUR"): Decimal("0.170361"),
        ("Usage", "USD"): Decimal("2.24075"),
        ("Purchase", "USD"): Decimal(260),
        ("Refund", "USD"): Decimal("-0.5"),
    }
    assert list(found.left_out.values()) == [1]
    euros = golden("azure_cost_management.csv")[0].billing
    assert (euros.amount, euros.currency, euros.fx_rate) == (Decimal("0.170361"), "EUR", Decimal("0.92"))
    assert standing_days("azure_cost_management.csv")[-1] == date(2026, 11, 1)  # The refund of October, on this bill.


def test_googles_days_are_pacific_and_its_bill_is_of_the_month_it_says():
    assert told("gcp_billing_export.csv") == [
        ("gemini-2.5-pro", "input_uncached", 1_000_000, "1.25", "", ""),
        ("gemini-2.5-pro", "other", None, "-0.25", "", ""),
        ("gemini-2.5-flash-lite", "output", 1_000_000, "0.4", "batch", ""),
        ("gemini-2.5-pro", "cache_read", 500_000, "0.125", "", ""),
        ("gemini-2.5-pro", "other", None, "4.5", "", ""),
        ("", "other", None, "0.5", "", ""),
        ("", "other", None, "-0.000001", "", ""),
    ]
    # 06:00Z of 1 November is the evening of 31 October there, and on November's bill; 07:30Z of 1 December is November.
    first, last, late = date(2026, 11, 1), date(2026, 11, 30), date(2026, 11, 30)
    assert standing_days("gcp_billing_export.csv") == [first, first, first, last, late, first, last]
    assert golden("gcp_billing_export.csv")[4].start == datetime(2026, 12, 1, 7, 30, tzinfo=UTC)
    assert golden("gcp_billing_export.csv")[3].terms.context_tier == "above-200k"


PACIFIC = {
    "name": "pacific_report",
    "title": "A report in Pacific time",
    "document": "cost",
    "time_zone": "America/Los_Angeles",
    "delimiter": ";",
    "start": {"column": "day", "format": "%d.%m.%Y"},
    "amount": {"column": "cents", "unit": "cents"},
    "quantity": "millions",
    "units": {"M": 1_000_000},
    "fields": {
        "currency": {"constant": "USD"},
        "unit": {"constant": "M"},
        "model": {"constant": "m-1"},
        "token_class": {"column": "class", "rules": [{"match": "^out", "value": "output"}]},
    },
}


def mapping_file(tmp_path, told):
    path = tmp_path / "mapping.yaml"
    path.write_text(told if isinstance(told, str) else yaml.safe_dump(told), "utf-8")
    return path


def read_by(mapping, path) -> list[Entry]:
    importer = mapped.importer_of(mapping)
    return [entry for _, entry in importer.read(path) if isinstance(entry, Entry)]


def test_a_day_of_a_zone_with_summer_time_has_23_24_or_25_hours(tmp_path):
    report = tmp_path / "report.csv"
    report.write_text("day;class;cents;millions\n08.03.2026;out;1,050;0.5\n01.11.2026;out;7;1\n02.11.2026;in;0.5;\n")
    found = read_by(load(mapping_file(tmp_path, PACIFIC)), report)
    assert [(e.start, (e.end - e.start).total_seconds() / 3600) for e in found] == [
        (datetime(2026, 3, 8, 8, tzinfo=UTC), 23),
        (datetime(2026, 11, 1, 7, tzinfo=UTC), 25),
        (datetime(2026, 11, 2, 8, tzinfo=UTC), 24),
    ]
    assert [(e.token_class, e.quantity, f"{e.amount:f}", e.amount_places) for e in found] == [
        ("output", 500_000, "10.50", 2),
        ("output", 1_000_000, "0.07", 2),
        ("other", None, "0.005", 3),
    ]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"time_zone": "Mars/Base"}, "time_zone: 'Mars/Base' is no time zone"),
        ({"strat": {"column": "day"}}, "strat: no such key; did you mean 'start'?"),
        ({"start": {"format": "%d"}}, "start.column: Field required"),
        ({"amount": {"column": "cents", "unit": "pence"}}, "amount.unit: Input should be 'dollars' or 'cents'"),
        ({"amount": None}, "amount: costs and invoices have one"),
        ({"document": "invoice"}, "fields.invoice_id: an invoice stands by its number"),
        ({"units": {"M": "many"}}, "units.M: Input should be a valid integer"),
        ({"fields": {"currancy": {"constant": "USD"}}}, "fields.currancy: no such field; did you mean 'currency'?"),
        ({"fields": {"currency": {"constant": "USD", "column": "c"}}}, "fields.currency: give a column or a constant"),
        ({"fields": {}}, "fields.currency: say which column"),
        (
            {"fields": PACIFIC["fields"] | {"model": {"column": "m", "rules": [{"match": "(", "value": "x"}]}}},
            "fields.model.rules[0].match: not a regular expression",
        ),
        (
            {"fields": PACIFIC["fields"] | {"model": {"column": "m", "rules": [{"match": "x", "value": "\\1"}]}}},
            "fields.model.rules[0]: value asks for group 1, and match has 0",
        ),
        (
            {"fields": PACIFIC["fields"] | {"token_class": {"constant": "outputs"}}},
            "fields.token_class.constant: 'outputs' is not among input_uncached",
        ),
        ({"category": {"column": "c", "values": {"x": "Gift"}}}, "category.values.x: Input should be 'Usage'"),
    ],
)
def test_a_mapping_that_cannot_be_so_is_refused_with_its_place(tmp_path, changes, problem):
    with pytest.raises(MappingInvalid) as caught:
        load(mapping_file(tmp_path, PACIFIC | changes))
    assert problem in str(caught.value)
    assert str(caught.value).startswith("mapping.yaml")


@pytest.mark.parametrize(
    ("text", "problem"), [("a: [1", "mapping.yaml, line 1, column 6: not YAML"), ("- a", "not a mapping with name")]
)
def test_a_mapping_that_is_no_yaml_is_refused_with_its_line(tmp_path, text, problem):
    with pytest.raises(MappingInvalid, match=problem):
        load(mapping_file(tmp_path, text))


@pytest.mark.parametrize(
    ("name", "old", "new", "problem"),
    [
        (
            "azure_cost_management.csv",
            ",EUR,USD,",
            ",EUR,SEK,",
            "line 2, column billingCurrency: the currency is 'EUR'",
        ),
        ("azure_cost_management.csv", ",Purchase,", ",Present,", "line 9, column chargeType: 'Present' is not among"),
        ("azure_cost_management.csv", "11/04/2026", "2026-11-04", "line 7, column date: '2026-11-04' is not a time"),
        ("azure_cost_management.csv", "meterName", "MeterName", "column meterName is missing; is it 'MeterName'"),
        ("gcp_billing_export.csv", "01A,202611,reg", "01A,2026-1,reg", "line 2, column invoice_month"),
    ],
)
def test_what_cannot_be_so_in_a_mapped_table_is_refused_with_its_line_and_column(tmp_path, name, old, new, problem):
    assert problem in refusal(altered(tmp_path, name, old, new))


def test_a_mapping_that_was_changed_reads_the_same_file_anew(tmp_path):
    names = {
        mapped.importer_of(load(mapping_file(tmp_path, one))).name for one in (PACIFIC, PACIFIC | {"quantity": ""})
    }
    assert len(names) == 2
    assert {name.partition("@")[0] for name in names} == {"pacific_report"}


def test_every_mapping_that_is_shipped_can_be_used():
    assert [load(path).name for path in sorted(SHIPPED.glob("*.yaml"))] == [
        "azure_cost_management",
        "gcp_billing_export",
    ]
