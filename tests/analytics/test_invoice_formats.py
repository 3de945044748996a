"""Each format's file in tests/analytics/invoices is read to the last digit; what is odd in it keeps its meaning."""

import shutil
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from analytics.invoices.entries import Document, Entry, LeftOut, survey
from analytics.invoices.errors import InvoiceInvalid
from analytics.invoices.sniff import kind_of

GOLDEN = Path(__file__).parent / "invoices"
THIRD = date(2026, 11, 3)
FIFTH = date(2026, 11, 5)


def entries(path: Path) -> list[Entry]:
    importer = kind_of(path)
    survey(path, importer.read)
    return [entry for _, entry in importer.read(path) if entry is not None and not isinstance(entry, LeftOut)]


def golden(name: str) -> list[Entry]:
    return entries(GOLDEN / name)


def refusal(path: Path) -> str:
    with pytest.raises(InvoiceInvalid) as caught:
        entries(path)
    return str(caught.value)


def altered(tmp_path: Path, name: str, old: str, new: str) -> Path:
    """The golden file with the first occurrence of a text replaced by another."""
    text = (GOLDEN / name).read_bytes().decode()
    assert old in text
    path = tmp_path / name
    path.write_bytes(text.replace(old, new, 1).encode())
    return path


@pytest.mark.parametrize(
    ("name", "document"),
    [
        ("anthropic_usage.csv", Document.USAGE),
        ("anthropic_costs.csv", Document.COST),
        ("anthropic_usage.json", Document.USAGE),
        ("anthropic_costs.json", Document.COST),
        ("openai_usage.json", Document.USAGE),
    ],
)
def test_each_format_is_told_from_its_content_whatever_its_name(tmp_path, name, document):
    found = kind_of(Path(shutil.copy(GOLDEN / name, tmp_path / "export.txt")))
    assert (found.name, found.document) == (name.replace(".", "_"), document)


def tokens(found: list[Entry]) -> list[tuple[str, str, str, str, int | None]]:
    return [(e.model, e.token_class, e.terms.processing_tier, e.terms.modality, e.quantity) for e in found]


def test_openais_input_takes_in_what_was_cached_so_the_classes_are_told_apart():
    found = golden("openai_usage.json")
    assert tokens(found) == [
        ("gpt-5-2025-08-07", "input_uncached", "priority", "", 120),
        ("gpt-5-2025-08-07", "input_uncached", "priority", "audio", 30),
        ("gpt-5-2025-08-07", "cache_read", "priority", "", 800),  # Its modalities overlap, so they are not told apart.
        ("gpt-5-2025-08-07", "cache_write_5m", "priority", "", 50),
        ("gpt-5-2025-08-07", "output", "priority", "", 400),
        ("gpt-5-2025-08-07", "output", "priority", "audio", 100),
        ("gpt-5-2025-08-07", "other", "priority", "", None),
        ("", "other", "batch", "", None),
        ("", "other", "batch", "", None),
        ("gpt-image-1", "other", "", "", None),
        ("gpt-image-1", "other", "", "", None),
    ]
    assert sum(e.quantity or 0 for e in found) == 1000 + 500
    assert [e.quantity_raw for e in found if e.quantity_unit == "requests"] == ["5", "1", "3"]
    assert found[0].start == datetime(2026, 11, 3, tzinfo=UTC)
    assert found[0].end == datetime(2026, 11, 3, 1, tzinfo=UTC)
    assert {e.currency for e in found} == {""}


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('"input_tokens": 1000', '"input_tokens": 1001', "1001 is not 150 uncached, 800 cached and 50 written"),
        ('"input_tokens": 10,', '"input_tokens": 10, "input_cached_tokens": 11,', "10 is less than 11 cached"),
        ('"output_tokens": 500', '"output_tokens": 0.5', "not a whole number"),
        ("usage.images", "usage.dreams", "'dreams' is no kind of usage that is known"),
        ('"end_time": 1793667600', '"end_time": 1793836800', "not within a UTC day"),
        ('"start_time": 1793667600', '"start_time": 1793664000', "is there twice"),
    ],
)
def test_usage_that_contradicts_itself_is_refused_with_its_place(tmp_path, old, new, problem):
    message = refusal(altered(tmp_path, "openai_usage.json", old, new))
    assert problem in message
    assert "page 1, data[" in message


def test_anthropics_classes_add_up_and_none_is_within_another():
    found = golden("anthropic_usage.json")
    sonnet = "claude-sonnet-4-5-20250929"
    assert tokens(found) == [
        (sonnet, "input_uncached", "", "", 1500),
        (sonnet, "cache_read", "", "", 200),
        (sonnet, "cache_write_5m", "", "", 500),
        (sonnet, "cache_write_1h", "", "", 1000),
        (sonnet, "output", "", "", 700),
        (sonnet, "other", "", "", None),
        ("", "other", "flex", "", None),
        ("", "other", "flex", "", None),
    ]
    assert (found[0].terms.region, found[0].terms.context_tier, found[6].terms.region) == ("us", "0-200k", "")
    importer = kind_of(GOLDEN / "anthropic_usage.json")
    assert survey(GOLDEN / "anthropic_usage.json", importer.read).days == {THIRD, date(2026, 11, 4)}


def test_anthropics_report_writes_cents_as_text():
    found = golden("anthropic_costs.json")
    assert [(e.token_class, e.terms.processing_tier, f"{e.amount:f}", e.amount_places) for e in found] == [
        ("input_uncached", "batch", "1.2345", 4),
        ("cache_write_1h", "", "0.000075", 6),
        ("other", "", "0.05", 2),
    ]
    assert found[2].reason == "the cost of code_execution, not of tokens"


def test_a_json_number_in_the_place_of_cents_is_refused(tmp_path):
    message = refusal(altered(tmp_path, "anthropic_costs.json", '"0.0075"', "0.0075"))
    assert "page 1, data[0].results[1].amount: a JSON number; this report writes cents as a text" in message


def test_anthropics_console_has_commas_marks_and_windows_that_are_no_ascii():
    found = golden("anthropic_usage.csv")
    assert tokens(found) == [
        ("claude-sonnet-4-5-20250929", "input_uncached", "batch", "", 1_234_567),
        ("claude-sonnet-4-5-20250929", "cache_write_1h", "batch", "", 2000),
        ("claude-sonnet-4-5-20250929", "cache_read", "batch", "", 8_000_000),
        ("claude-sonnet-4-5-20250929", "output", "batch", "", 1500),
        ("claude-sonnet-4-5-20250929", "other", "batch", "", None),
        ("claude-opus-4-5", "input_uncached", "", "", 10),
        ("claude-opus-4-5", "cache_write_5m", "", "", 5),
        ("claude-opus-4-5", "output", "", "", 20),
    ]
    assert [found[0].terms.context_tier, found[5].terms.context_tier] == ["0-200k", "200k-1M"]
    assert found[5].tags == (("speed", "fast"),)


def test_anthropics_console_names_models_as_people_do():
    found = golden("anthropic_costs.csv")
    assert [(e.model, e.token_class, e.terms.processing_tier, f"{e.amount:f}", e.category) for e in found] == [
        ("claude-sonnet-4-5", "cache_write_1h", "", "1234.560001", "Usage"),
        ("claude-sonnet-4-5", "output", "batch", "0.75", "Usage"),
        ("", "other", "", "0.03", "Usage"),
        ("claude-opus-4-5", "other", "", "-0.10", "Credit"),
    ]
    assert found[0].line_item == "Claude Sonnet 4.5, input_cache_write_1h"


@pytest.mark.parametrize("name", sorted(path.name for path in GOLDEN.glob("*.csv")))
def test_a_table_cut_off_anywhere_in_its_last_line_is_refused_or_is_told_of(tmp_path, name):
    whole = (GOLDEN / name).read_bytes().rstrip(b"\r\n")
    last = whole.rfind(b"\n") + 1
    path = tmp_path / name
    last_comma = whole.rfind(b",")
    for end in range(last + 1, last_comma + 1):
        path.write_bytes(whole[:end])
        assert "cut off" in refusal(path), end


@pytest.mark.parametrize("name", sorted(path.name for path in GOLDEN.glob("*.json")))
def test_json_cut_off_anywhere_is_refused(tmp_path, name):
    whole = (GOLDEN / name).read_bytes().rstrip()
    path = tmp_path / name
    for end in range(1, len(whole), 7):
        path.write_bytes(whole[:end])
        assert "damaged or cut off JSON" in refusal(path)
