"""Invoice files are read strictly: what is right is kept exactly, what is wrong says where, and nothing is dropped."""

import codecs
import json
import re
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from analytics.invoices.entries import Entry, survey
from analytics.invoices.errors import InvoiceInvalid
from analytics.invoices.sniff import kind_of
from tests.analytics.invoice_files import (
    HEADER,
    bucket,
    csv_file,
    empty_bucket,
    json_file,
    page,
    result,
    row,
    seconds,
)
from tests.analytics.recon_builders import DAY


def entries(path: Path) -> list[Entry]:
    read = kind_of(path).read
    survey(path, read)
    return [entry for _, entry in read(path) if entry is not None]


def refusal(path: Path) -> str:
    with pytest.raises(InvoiceInvalid) as caught:
        entries(path)
    assert path.name in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("line_item", "model", "token_class"),
    [
        ("gpt-4o-mini-2024-07-18, input", "gpt-4o-mini-2024-07-18", "input_uncached"),
        ("gpt-4o-mini, cached input", "gpt-4o-mini", "cache_read"),
        ("gpt-4o-mini, output", "gpt-4o-mini", "output"),
        ("gpt-4o-mini, Output", "gpt-4o-mini", "output"),
        ("gpt-5, cache write", "gpt-5", "cache_write_5m"),
        ("gpt-5, cache writes", "gpt-5", "cache_write_5m"),
        ("gpt-5, cache write 1h", "gpt-5", "cache_write_1h"),
        ("o3, reasoning", "o3", "reasoning"),
        ("gpt-realtime video, input", "gpt-realtime", "other"),
        ("scale | gpt-5.6-sol, output", "gpt-5.6-sol", "other"),
        ("whisper-1, audio", "whisper-1", "other"),
        ("web search tool calls", "", "other"),
        ("assistants api | file search", "", "other"),
        ("", "", "other"),
    ],
)
def test_a_line_item_is_a_model_and_a_token_class_or_is_kept_as_other_with_a_reason(
    tmp_path, line_item, model, token_class
):
    (entry,) = entries(csv_file(tmp_path, row(line_item=line_item)))
    assert (entry.model, entry.token_class) == (model, token_class)
    assert bool(entry.reason) == (token_class == "other")
    assert entry.amount == Decimal("0.0006")


@pytest.mark.parametrize(
    ("line_item", "told"),
    [
        ("gpt-5, output", ("gpt-5", "output", "", "", "")),
        ("priority | gpt-5.6-sol, output", ("gpt-5.6-sol", "output", "priority", "", "")),
        ("Batch | gpt-5, cached input", ("gpt-5", "cache_read", "batch", "", "")),
        ("gpt-audio-mini audio, input", ("gpt-audio-mini", "input_uncached", "", "audio", "")),
        ("gpt-audio-mini text, output", ("gpt-audio-mini", "output", "", "", "")),
        ("flex | gpt-5.6-sol, input, long context", ("gpt-5.6-sol", "input_uncached", "flex", "", "long")),
    ],
)
def test_a_line_item_tells_tier_modality_and_a_long_context(tmp_path, line_item, told):
    (entry,) = entries(csv_file(tmp_path, row(line_item=line_item)))
    terms = entry.terms
    assert (entry.model, entry.token_class, terms.processing_tier, terms.modality, terms.context_tier) == told


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"amount": "-0.5"}, "a negative amount"),
        ({"unit": "images"}, "counted in images"),
        ({"quantity": "12.5"}, "not a whole number of tokens"),
    ],
)
def test_a_token_line_that_cannot_be_tokens_is_kept_as_other_with_a_reason(tmp_path, changes, reason):
    (entry,) = entries(csv_file(tmp_path, row(**changes)))
    assert (entry.token_class, entry.quantity) == ("other", None)
    assert reason in entry.reason


@pytest.mark.parametrize(
    ("quantity", "unit", "tokens"),
    [("1000", "tokens", 1000), ("1.5", "1000_tokens", 1500), ("1,234", "tokens", 1234), ("7", "", 7), ("", "", None)],
)
def test_quantities_become_tokens(tmp_path, quantity, unit, tokens):
    (entry,) = entries(csv_file(tmp_path, row(quantity=quantity, unit=unit)))
    assert (entry.token_class, entry.quantity) == ("output", tokens)


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("0.003835980000000000000000000000", "0.003835980000000000000000000000"),
        ("1,234,567.89", "1234567.89"),
        ("1.2E-7", "0.00000012"),
        ("5", "5"),
    ],
)
def test_amounts_are_kept_to_the_last_digit(tmp_path, text, amount):
    (entry,) = entries(csv_file(tmp_path, row(text)))
    assert f"{entry.amount:f}" == amount


@pytest.mark.parametrize("text", ["NaN", "inf", "12,34.5", "1.234,56", "$5", "0x10", "1_000", "1e999", "٣"])
def test_an_amount_that_is_no_number_names_its_line_and_column(tmp_path, text):
    problem = refusal(csv_file(tmp_path, row(), row(text)))
    assert "line 3, column amount_value" in problem
    assert repr(text) in problem


@pytest.mark.parametrize(
    ("amounts", "scale"),
    [
        (["0.10", "0.123456"], 6),
        (["5", "7"], 0),
        (["0.100000", "0.200000"], 6),  # Six are printed, so six are meant.
        (["0.003835980000000000000000000000", "0.100000000000000000000000000000"], 8),  # Thirty are padding.
    ],
)
def test_the_scale_of_a_file_is_the_most_decimals_it_prints_but_for_padding(tmp_path, amounts, scale):
    path = csv_file(tmp_path, *(row(amount) for amount in amounts))
    assert survey(path, kind_of(path).read).scale == scale


def test_a_days_bucket_without_charges_is_covered_and_has_no_line(tmp_path):
    path = csv_file(tmp_path, row(), empty_bucket(DAY + timedelta(days=1)))
    found = survey(path, kind_of(path).read)
    assert (found.lines, sorted(found.days)) == (1, [DAY, DAY + timedelta(days=1)])


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(tmp_path):
    path = tmp_path / "excel.csv"
    path.write_bytes(codecs.BOM_UTF8 + "\r\n".join([HEADER, row(), ""]).encode())
    assert [entry.quantity for entry in entries(path)] == [1000]
    assert len(entries(json_file(tmp_path, page(bucket(result()))))) == 1


@pytest.mark.parametrize(
    ("changes", "place", "problem"),
    [
        ({"currency": "eur"}, "line 2, column amount_currency", "only amounts in USD"),
        ({"currency": ""}, "line 2, column amount_currency", "only amounts in USD"),
        ({"amount": ""}, "line 2, column amount_value", "empty, in a row that is not an empty bucket"),
        ({"quantity": "-1"}, "line 2, column quantity", "negative"),
        ({"start": seconds(DAY) + 3600}, "line 2, column start_time", "not one whole UTC day"),
        ({"end": seconds(DAY) + 3600}, "line 2, column start_time", "not one whole UTC day"),
        ({"end": seconds(DAY) + 7 * 86_400}, "line 2, column start_time", "not one whole UTC day"),
        ({"start": seconds(DAY) * 1000}, "line 2, column start_time", "not a time in Unix seconds"),
    ],
)
def test_what_cannot_be_so_is_refused_with_its_place(tmp_path, changes, place, problem):
    message = refusal(csv_file(tmp_path, row(**changes)))
    assert place in message
    assert problem in message


def test_two_organizations_in_one_file_are_refused(tmp_path):
    message = refusal(csv_file(tmp_path, row(), row(organization=""), row(organization="org-y")))
    assert "line 4" in message
    assert "'org-y' beside 'org-x'" in message


def test_a_csv_cut_off_in_the_middle_is_refused(tmp_path):
    path = csv_file(tmp_path, row(), row())
    whole = path.read_bytes()
    for missing in range(2, len(row()) + 1):
        path.write_bytes(whole[:-missing])
        assert re.search(r"line 3: .*cut off", refusal(path))


def test_two_csvs_in_one_file_are_refused(tmp_path):
    assert "line 3, column start_time" in refusal(csv_file(tmp_path, row(), HEADER, row()))


def test_text_that_is_not_utf8_is_refused(tmp_path):
    path = tmp_path / "latin.csv"
    path.write_bytes(f"{HEADER}\n{row()}\n".encode() + row().replace("Project", "Übung").encode("latin-1"))
    assert "not UTF-8" in refusal(path)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("start_time,end_time,num_model_requests,input_tokens\n", "OpenAI's usage export"),
        ("start_time,end_time,start_time_iso,end_time_iso\n", "an organization without usage"),
        (HEADER.replace(",", ";") + "\n", "not separated by commas"),
        ("hello world\n", "text that begins 'hello world'"),
        ("<html><body>Log in</body></html>", "a web page"),
        ("", "an empty file"),
        ("  \n", "an empty file"),
        ('{"error": {"message": "bad key"}}', 'an error answer ({"message": "bad key"})'),
        ('{"a": 1, "b": 2}', "JSON with a, b"),
        ("PK\x03\x04", "a zip file or a spreadsheet"),
        ("%PDF-1.7", "a PDF"),
        ("abc\0def", "a binary file"),
    ],
)
def test_a_file_of_another_kind_is_named_and_so_is_what_is_accepted(tmp_path, content, found):
    path = tmp_path / "some.file"
    path.write_text(content, encoding="utf-8")
    message = refusal(path)
    assert found in message
    assert "accepted: OpenAI's cost export" in message


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        (HEADER.replace("amount_value,", ""), "looks like OpenAI's cost export"),
        (HEADER.replace("line_item,", ""), "column line_item is missing"),
        (HEADER.replace("amount_value", "amountvalue"), "is it 'amountvalue', column 5, renamed?"),
        (
            "usage_date_utc,model,cost_usd",
            "looks like the cost export of Anthropic's console (CSV), but column token_type",
        ),
    ],
)
def test_a_missing_or_renamed_column_is_named_with_its_place_and_the_nearest_name(tmp_path, header, problem):
    message = refusal(csv_file(tmp_path, header=header))
    assert problem in message
    assert "line 1:" in message


def test_a_column_that_is_there_twice_is_refused(tmp_path):
    assert "column amount_value is there twice" in refusal(csv_file(tmp_path, header=HEADER + ",amount_value"))


def test_a_file_without_rows_is_refused(tmp_path):
    assert "nothing to import" in refusal(csv_file(tmp_path))
    assert "nothing to import" in refusal(json_file(tmp_path, page()))


NEXT = DAY + timedelta(days=1)


@pytest.mark.parametrize(
    "documents",
    [
        [page(bucket(result()), bucket(day=NEXT))],
        [page(bucket(result()), has_more=True), page(bucket(day=NEXT))],
        [[page(bucket(result()), has_more=True), page(bucket(day=NEXT))]],
    ],
    ids=["one page", "pages one after another", "a list of pages"],
)
def test_pages_of_the_costs_api_may_come_in_any_of_three_ways(tmp_path, documents):
    path = json_file(tmp_path, *documents)
    found = survey(path, kind_of(path).read)
    assert (found.lines, sorted(found.days), found.total) == (1, [DAY, NEXT], Decimal("0.0006"))


def test_json_amounts_never_pass_through_a_float(tmp_path):
    path = tmp_path / "costs.json"
    text = json.dumps(page(bucket(result("AMOUNT"))))
    path.write_text(text.replace('"AMOUNT"', "0.1000000000000000000000000001"), encoding="utf-8")
    (entry,) = entries(path)
    assert f"{entry.amount:f}" == "0.1000000000000000000000000001"


@pytest.mark.parametrize(
    ("value", "places"), [("0.06", 2), ("0.013080438340307526", 16), ("123.45678901234567", 12), ("7", 0)]
)
def test_a_doubles_print_counts_for_its_first_fifteen_digits(tmp_path, value, places):
    path = tmp_path / "costs.json"
    path.write_text(json.dumps(page(bucket(result("AMOUNT")))).replace('"AMOUNT"', value), encoding="utf-8")
    (entry,) = entries(path)
    found = survey(path, kind_of(path).read)
    assert (f"{entry.amount:f}", found.scale_of(entry)) == (value, places)


def test_a_large_doubles_print_is_coarser_than_its_file(tmp_path):
    path = tmp_path / "costs.json"
    text = json.dumps(page(bucket(result("ONE"), result("TWO"))))
    text = text.replace('"ONE"', "0.013080438340307526").replace('"TWO"', "123.45678901234567")
    path.write_text(text, encoding="utf-8")
    found = survey(path, kind_of(path).read)
    assert [found.scale_of(entry) for entry in entries(path)] == [16, 12]


def test_an_amount_written_as_text_is_taken_as_it_stands(tmp_path):
    (entry,) = entries(json_file(tmp_path, page(bucket(result("1.23450")))))
    assert (f"{entry.amount:f}", entry.amount_places) == ("1.23450", 5)


@pytest.mark.parametrize(
    ("document", "place", "problem"),
    [
        (page(bucket(result(None))), "page 1, data[0].results[0].amount.value", "missing"),
        (page(bucket(result("x"))), "page 1, data[0].results[0].amount.value", "'x' is not a number"),
        (page(bucket(result(True))), "page 1, data[0].results[0].amount.value", "a JSON boolean"),
        (page(bucket(result(amount=5))), "page 1, data[0].results[0].amount", "not an object"),
        (page(bucket(result(amount={"value": 1, "currency": "eur"}))), "amount.currency", "only amounts in USD"),
        (page(bucket(result(quantity=-1))), "results[0].quantity", "negative"),
        (page({"results": [result()]}), "data[0]", "not Unix seconds"),
        (page(bucket(result(), result(object="organization.other"))), "results[1]", "only 'organization.costs"),
        (page(bucket()), "", "nor to tell costs from usage by"),
        (page(bucket(result()), bucket(result())), "page 1, data[1]", "is there twice, first in page 1, data[0]"),
        (page(bucket(result()), has_more=True), "", "the last page says has_more"),
        ([page(bucket(result())), 5], "page 1", "a page is a JSON number"),
        (page(bucket(result())) | {"data": {}}, "page 1", "JSON with data, has_more"),
    ],
)
def test_costs_api_answers_that_cannot_be_so_are_refused_with_their_place(tmp_path, document, place, problem):
    message = refusal(json_file(tmp_path, document))
    assert place in message
    assert problem in message


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_json_constants_are_no_amounts(tmp_path, constant):
    path = tmp_path / "costs.json"
    path.write_text(json.dumps(page(bucket(result("AMOUNT")))).replace('"AMOUNT"', constant), encoding="utf-8")
    assert f"{constant} is not an amount" in refusal(path)


def test_json_cut_off_in_the_middle_is_refused_with_its_line(tmp_path):
    path = json_file(tmp_path, page(bucket(result())))
    text = path.read_text(encoding="utf-8")
    for cut in range(1, len(text)):
        path.write_text(text[:cut], encoding="utf-8")
        assert re.search(r"line 1, column \d+: damaged or cut off JSON", refusal(path))


def test_json_nested_beyond_reason_is_refused(tmp_path):
    path = tmp_path / "deep.json"
    path.write_text("[" * 200_000, encoding="utf-8")
    assert "deep.json" in refusal(path)


def test_a_day_is_the_start_of_its_bucket(tmp_path):
    path = csv_file(tmp_path, row(day=date(2024, 2, 29)))
    assert survey(path, kind_of(path).read).days == {date(2024, 2, 29)}
