"""Whatever happens to a file on its way, it is read or refused with its name: nothing else comes out of a reader."""

import json
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analytics.invoices import pages
from analytics.invoices.entries import survey
from analytics.invoices.errors import InvoiceInvalid
from analytics.invoices.sniff import kind_of
from tests.analytics.invoice_files import bucket, page, result
from tests.analytics.test_invoice_formats import GOLDEN, THIRD

NAMES = sorted(path.name for path in GOLDEN.iterdir())
SCRAPS = st.sampled_from(
    [
        b"",
        b"\0",
        b'"',
        b",",
        b"\n",
        b"\r",
        b"\xff",
        b"NULL",
        b"-",
        b"1e999",
        b"9" * 70,
        b"{",
        b"[[",
        b"\xef\xbb\xbf",
        b"NaN",
    ]
)


def outcome(path: Path) -> str:
    try:
        importer = kind_of(path)
        found = survey(path, importer.read)
        return f"{importer.name}, {found.lines} lines"
    except InvoiceInvalid as refused:
        return str(refused) if path.name in str(refused) else ""


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(NAMES), data=st.data())
def test_a_damaged_file_is_read_or_refused_with_its_name(tmp_path, name, data):
    content = (GOLDEN / name).read_bytes()
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(content)))
        end = data.draw(st.integers(start, min(len(content), start + 40)))
        content = content[:start] + data.draw(SCRAPS) + content[end:]
    path = tmp_path / name
    path.write_bytes(content)
    assert outcome(path)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    counts=st.lists(st.integers(0, 4), min_size=1, max_size=6),
    chunk=st.integers(1, 400),
    between=st.sampled_from(["", "\n", " \n\n"]),
)
def test_pages_are_the_same_however_the_file_is_cut_into_reads(tmp_path, monkeypatch, counts, chunk, between):
    told = [page(*(bucket(result(0.5), day=THIRD) for _ in range(count))) for count in counts]
    path = tmp_path / "pages.json"
    path.write_text(between.join(json.dumps(one) for one in told), "utf-8")
    monkeypatch.setattr(pages, "CHUNK", chunk)
    assert [len(list(one["data"])) for one in pages.pages(path)] == counts


def test_the_place_of_damage_is_counted_from_the_files_beginning(tmp_path, monkeypatch):
    path = tmp_path / "pages.json"
    path.write_text('{"data": []}\n{"data": []} {"data": [}\n', "utf-8")
    for chunk in (1, 5, 1000):
        monkeypatch.setattr(pages, "CHUNK", chunk)
        assert "line 2, column 24: damaged or cut off JSON" in outcome(path)
