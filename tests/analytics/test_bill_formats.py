"""Bills of clouds and aggregators, and FOCUS files: units, taxes, credits, corrections, currencies, other services."""

import gzip
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from analytics.invoices import meters
from analytics.invoices.entries import Document, Survey, survey
from analytics.invoices.importer import of_organization
from analytics.invoices.sniff import kind_of
from tests.analytics.test_invoice_formats import GOLDEN, altered, entries, golden, refusal

NOVEMBER = date(2026, 11, 1)


def surveyed(name: str) -> Survey:
    return survey(GOLDEN / name, kind_of(GOLDEN / name).read)


def standing_days(name: str) -> list[date]:
    return [day for day, entry in kind_of(GOLDEN / name).read(GOLDEN / name) if entry is not None]


def test_bedrocks_usage_types_tell_class_tier_and_reach_and_the_unit_how_many_tokens():
    found = [e for e in golden("aws_cur.csv") if e.token_class != "other"]
    assert [
        (e.model, e.token_class, e.quantity, f"{e.amount:f}", e.terms.processing_tier, e.terms.deployment_type)
        for e in found
    ] == [
        ("Claude4.6Sonnet", "input_uncached", 1_234_567, "3.703701", "", ""),
        ("Claude4.6Sonnet", "cache_read", 2_500_000, "0.75", "", ""),
        ("Claude4.6Sonnet", "cache_write_5m", 1000, "0.00375", "", ""),
        ("GPT-5.6", "output", 1000, "0.0000015", "flex", "global"),
        ("Claude 3.5 Sonnet", "output", None, "0.10", "", ""),  # "Units" does not say how many tokens.
    ]
    first = found[0]
    assert (first.start, first.end) == (datetime(2026, 11, 3, 10, tzinfo=UTC), datetime(2026, 11, 3, 11, tzinfo=UTC))
    assert (first.organization, first.project_id, first.billing.invoice_id) == (
        "111122223333",
        "444455556666",
        "2447000001",
    )
    assert ("tag:user_team", "search") in first.tags


def test_taxes_credits_refunds_fees_and_discounts_of_aws_are_told_apart_and_other_services_are_left_out():
    found = surveyed("aws_cur.csv")
    assert {kind: (one.lines, one.amount) for (kind, _), one in found.by_category.items()} == {
        "Usage": (5, Decimal("4.5574525")),
        "Tax": (1, Decimal("0.81")),
        "Credit": (2, Decimal("-1.37")),
        "Refund": (1, Decimal("-0.25")),
        "Fee": (1, Decimal(20)),
        "Adjustment": (1, Decimal("0.01")),
    }
    assert found.left_out == {"of other AWS services": 1}
    assert date(2026, 10, 12) not in found.days  # The refund of October stands by November's bill.


def test_a_report_is_the_same_as_csv_as_gzip_and_as_parquet(tmp_path):
    plain = GOLDEN / "aws_cur.csv"
    zipped, columnar = tmp_path / "cur.csv.gz", tmp_path / "cur.parquet"
    zipped.write_bytes(gzip.compress(plain.read_bytes()))
    frame = pl.read_csv(plain, infer_schema=False).with_columns(
        pl.col("line_item_unblended_cost").str.replace("E-6", "e-6").cast(pl.Float64)
    )
    frame.write_parquet(columnar)
    told = [[(e.line_item, e.quantity, e.amount) for e in entries(path)] for path in (plain, zipped, columnar)]
    assert told[0] == told[1] == told[2]


def test_a_compressed_or_columnar_file_cut_off_is_refused(tmp_path):
    whole = gzip.compress((GOLDEN / "aws_cur.csv").read_bytes())
    path = tmp_path / "cur.csv.gz"
    for end in (len(whole) - 1, len(whole) // 2, 30):
        path.write_bytes(whole[:end])
        assert refusal(path)
    pl.read_csv(GOLDEN / "aws_cur.csv", infer_schema=False).write_parquet(path)
    path.write_bytes(path.read_bytes()[:-9])
    assert "damaged or cut off Parquet" in refusal(path)


@pytest.mark.parametrize(
    ("words", "token_class"),
    [
        ("Claude Sonnet cache read input tokens", "cache_read"),
        ("gpt 4o mini 0718 cached Inp glbl", "cache_read"),
        ("Cached Input Write 1h", "cache_write_1h"),
        ("GPT 5.2 Cd Wr Gl", "cache_write_5m"),
        ("prompt-cache-creation-input-tokens", "cache_write_5m"),
        ("Output_Tokens", "output"),
        ("Input.Tokens", "input_uncached"),
        ("Inbound bytes", None),
    ],
)
def test_a_meters_words_tell_the_class_and_a_cached_input_is_no_uncached_one(words, token_class):
    assert meters.class_of(words) == token_class


@pytest.mark.parametrize(
    ("unit", "tokens"),
    [
        ("Tokens", 1),
        ("1K tokens", 1000),
        ("1M Tokens", 1_000_000),
        ("1,000 tokens", 1000),
        ("1000000 Tokens", 1_000_000),
        ("1K input tokens", 1000),
        ("Token-Hours", None),
        ("Units", None),
        ("1 Hour", None),
        ("", None),
    ],
)
def test_a_unit_says_how_many_tokens_it_has_or_that_it_has_none(unit, tokens):
    assert meters.tokens_per(unit) == tokens


def test_openrouter_bills_by_request():
    found = golden("openrouter.csv")
    assert [(e.request_id, e.model, f"{e.amount:f}") for e in found] == [
        ("gen-1", "anthropic/claude-4.5-sonnet-20250929", "0.00123456"),
        ("gen-2", "openai/gpt-5-mini", "0.00000012"),
    ]
    assert dict(found[0].tags)["tokens_prompt"] == "1200"
    assert dict(found[1].tags)["cancelled"] == "true"
    assert found[0].end == datetime(2026, 11, 4, 0, 0, 0, 150_000, tzinfo=UTC)
    assert standing_days("openrouter.csv") == [date(2026, 11, 3), date(2026, 11, 5)]


def test_focus_1_0_writes_null_as_a_word_times_without_z_and_a_column_of_its_own():
    found = golden("focus_1_0.csv")
    assert [(e.category, e.token_class, e.quantity, f"{e.amount:f}") for e in found] == [
        ("Usage", "other", None, "2.40"),  # No model: 1.0 has no place for it.
        ("Tax", "other", None, "0.96"),
        ("Credit", "other", None, "-5.00"),
    ]
    assert found[0].start == datetime(2026, 11, 3, tzinfo=UTC)
    assert found[0].reason == "SkuPriceDetails names no model"
    assert dict(found[1].tags)["tag:team"] == "search"
    assert "PublisherName" not in dict(found[1].tags)


def test_focus_1_4_tells_tokens_by_sku_price_details_and_unit():
    found = golden("focus_1_4.csv")
    assert [(e.model, e.token_class, e.quantity, e.terms.processing_tier) for e in found] == [
        ("claude-sonnet-4-5", "output", 1_500_000, "batch"),
        ("claude-4.5", "cache_write_1h", 2_500_000, ""),
        ("", "other", None, ""),
        ("claude-sonnet-4-5", "other", None, ""),
        ("claude-sonnet-4-5", "input_uncached", 3_333_333, ""),
    ]
    assert found[0].terms.unit_price == Decimal("0.000015")
    assert found[0].billing.invoice_detail_id == "d-1"
    assert found[2].reason == "counted in Token-Hours, not in tokens"


def test_a_correction_keeps_its_time_and_stands_by_the_bill_it_is_on():
    correction = golden("focus_1_4.csv")[3]
    assert correction.billing.correction
    assert correction.start == datetime(2026, 10, 20, tzinfo=UTC)
    assert standing_days("focus_1_4.csv")[3] == NOVEMBER


def test_of_two_currencies_in_a_file_what_is_billed_is_kept_beside_its_price_in_dollars():
    euros = golden("focus_1_4.csv")[4]
    assert (euros.amount, euros.currency) == (Decimal("10.00"), "USD")
    assert (euros.billing.amount, euros.billing.currency) == (Decimal("9.20"), "EUR")
    assert {currency for _, currency in surveyed("focus_1_4.csv").by_category} == {"USD", "EUR"}


@pytest.mark.parametrize(
    ("name", "old", "new", "problem"),
    [
        ("focus_1_4.csv", ",USD,10.00,", ",CHF,10.00,", "line 6, column BillingCurrency: the currency is 'EUR'"),
        ("focus_1_4.csv", ",9.20,Anth", ",9.00,Anth", "line 6, column BillingCurrency: the currency is 'EUR'"),
        ("focus_1_4.csv", ",Usage,Corr", ",Usage,Wrong", "line 5, column ChargeClass: 'Wrongection' is neither empty"),
        ("focus_1_0.csv", ",Tax,", ",Taxes,", "line 3, column ChargeCategory: 'Taxes' is not among Usage, Purchase"),
        (
            "focus_1_0.csv",
            "BillingCurrency",
            "Currency",
            "column BillingCurrency is missing; is it 'Currency', column 5",
        ),
        ("focus_1_0.csv", "2026-11-03 00", "03/11/2026 00", "line 2, column ChargePeriodStart"),
        ("focus_1_0.csv", "-5.00,acct-1", "-5.00,acct-2", "organization 'acct-2' beside 'acct-1'"),
        ("focus_invoice.csv", ",Voided,", ",Void,", "line 4, column InvoiceIssueStatus: 'Void' is not among Open"),
        ("focus_invoice.csv", ",d-2,INV-7", ",d-2,NULL", "line 3, column InvoiceId: empty"),
        ("aws_cur.csv", ",USD,0.75", ",EUR,0.75", "line 3, column line_item_currency_code: the currency is 'EUR'"),
        ("aws_cur.csv", "line_item_usage_type", "lineItem/UsageType", "column line_item_usage_type is missing"),
        ("openrouter.csv", "gen-2,", ",", "line 3, column generation_id: empty"),
        ("focus_1_4.csv", ",1500000.0,", ",15e18,", "line 2: 15000000000000000000 tokens in one row cannot be so"),
    ],
)
def test_what_cannot_be_so_in_a_bill_is_refused_with_its_line_and_column(tmp_path, name, old, new, problem):
    assert problem in refusal(altered(tmp_path, name, old, new))


def test_of_a_file_of_several_organizations_one_is_taken_and_the_others_are_counted(tmp_path):
    path = altered(tmp_path, "focus_1_0.csv", "-5.00,acct-1", "-5.00,acct-2")
    importer = of_organization(kind_of(path), "acct-1")
    found = survey(path, importer.read)
    assert (found.lines, found.left_out) == (2, {"not of organization acct-1": 1})
    assert importer.name == "focus_costs of acct-1"


def test_an_invoice_is_what_is_to_be_paid_and_a_voided_one_is_not():
    found = surveyed("focus_invoice.csv")
    assert kind_of(GOLDEN / "focus_invoice.csv").document is Document.INVOICE
    assert (found.total, found.invoice_ids) == (Decimal("1120.50"), {"INV-6", "INV-7"})
    assert found.by_category["Voided", "USD"].amount == 500


def test_a_zip_given_by_mistake_a_web_page_and_another_encoding_are_named(tmp_path):
    path = tmp_path / "bill.csv"
    text = (GOLDEN / "focus_1_0.csv").read_text("utf-8")
    for content, problem in (
        (b"PK\x03\x04" + text.encode(), "a zip file or a spreadsheet; unpack it"),
        (b"<!DOCTYPE html><html>Session expired</html>", "a web page"),
        (text.encode("utf-16"), "UTF-16 text"),
        (text.replace("VAT", "TVA à payer").encode("latin-1"), "not UTF-8 text"),
        (text.replace("Id,Billed", "Id,BilledCost,Billed").encode(), "column BilledCost is there twice"),
        (Path(GOLDEN / "focus_1_0.csv").read_bytes()[:-6], "cut off"),
    ):
        path.write_bytes(content)
        assert problem in refusal(path)
