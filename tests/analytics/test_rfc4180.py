"""CSV that finance can sum and a spreadsheet cannot be tricked with."""

import csv
import io
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from analytics.rfc4180 import render, write_whole


def cells(*values: object) -> bytes:
    return render([f"c{i}" for i in range(len(values))], [values]).split(b"\r\n", 1)[1]  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Decimal("1E+3"), b"1000"),
        (Decimal("1E-18"), b"0.000000000000000001"),
        (Decimal("-5.00"), b"-5"),
        (Decimal("-0.00"), b"0"),
        (-5, b"-5"),
        (None, b""),
        (True, b"true"),
        (date(2026, 11, 3), b"2026-11-03"),
        (datetime(2026, 11, 3, 1, tzinfo=timezone(timedelta(hours=1))), b"2026-11-03T00:00:00Z"),
        ("=1+1", b"'=1+1"),
        ("+1", b"'+1"),
        ("-1", b"'-1"),
        ("@SUM(A1)", b"'@SUM(A1)"),
        ("\tx", b"'\tx"),
        ("a=b", b"a=b"),
        ("Zürich", "Zürich".encode()),
        ('say "x", y', b'"say ""x"", y"'),
    ],
)
def test_a_cell_has_one_form(value, text):
    assert cells(value, "end") == text + b",end\r\n"


def test_lines_end_in_crlf_and_line_ends_in_text_are_quoted():
    content = render(["a", "b"], [["x\ny", "\rz"], ["1", "2"]])
    assert content == b'a,b\r\n"x\ny","\'\rz"\r\n1,2\r\n'
    assert list(csv.reader(io.StringIO(content.decode(), newline=""))) == [["a", "b"], ["x\ny", "'\rz"], ["1", "2"]]


@pytest.mark.parametrize("value", [0.1, [1], object()])
def test_what_has_no_one_form_is_refused(value):
    with pytest.raises(TypeError):
        render(["a"], [[value]])


def test_a_row_of_another_length_is_refused():
    with pytest.raises(ValueError, match="1 cells under 2 columns"):
        render(["a", "b"], [["x"]])


def test_a_file_is_replaced_whole_and_nothing_is_left_beside_it(tmp_path):
    path = tmp_path / "a.csv"
    write_whole(path, b"one")
    write_whole(path, b"two")
    assert path.read_bytes() == b"two"
    assert [each.name for each in tmp_path.iterdir()] == ["a.csv"]


def test_a_write_that_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "folder"
    path.mkdir()
    with pytest.raises(OSError, match="folder"):
        write_whole(path, b"new")
    assert [each.name for each in tmp_path.iterdir()] == ["folder"]


def test_naive_instants_never_reach_a_file():
    aware = datetime(2026, 11, 3, tzinfo=UTC)
    assert cells(aware) == b"2026-11-03T00:00:00Z\r\n"
