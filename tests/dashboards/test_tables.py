"""Tables: one set of rows for the screen and the CSV, exact below and readable above."""

import csv
import io
from datetime import date
from decimal import Decimal

from dashboards.components import grids
from dashboards.tables import Column, Kind, Row, Table, csv_bytes

COLUMNS = (
    Column("tenant", "Tenant", Kind.CODE),
    Column("day", "Day", Kind.DAY),
    Column("cost", "Cost", Kind.MONEY),
    Column("diff", "Difference", Kind.DIFFERENCE),
    Column("part", "Part", Kind.PART),
    Column("share", "Share", Kind.SHARE),
    Column("tokens", "Tokens", Kind.TOKENS),
)


def row(**changes: object) -> Row:
    given: dict[str, object] = {
        "tenant": "acme",
        "day": date(2026, 11, 3),
        "cost": Decimal("1234.500000000000000001"),
        "diff": Decimal("0.25"),
        "part": Decimal(0),
        "share": Decimal("0.314"),
        "tokens": 1_190_000,
    }
    return given | changes  # type: ignore[return-value]


def read(table: Table) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(csv_bytes(table).decode(), newline="")))


def test_a_csv_has_every_digit_and_the_rows_in_the_order_shown() -> None:
    table = Table("t", COLUMNS, [row(), row(tenant="globex")], total={"tenant": "Total", "cost": Decimal(2)})
    first, second = read(table)
    assert (first["tenant"], first["cost"], first["tokens"]) == ("acme", "1234.500000000000000001", "1190000")
    assert second["tenant"] == "globex"
    assert csv_bytes(table).splitlines(keepends=True)[0] == b"tenant,day,cost,diff,part,share,tokens\r\n"


def test_a_text_that_a_spreadsheet_would_run_is_guarded_and_a_number_is_not() -> None:
    (only,) = read(Table("t", COLUMNS, [row(tenant="=cmd()", cost=Decimal(-5))]))
    assert (only["tenant"], only["cost"]) == ("'=cmd()", "-5")


def test_the_screen_shows_the_rounded_form_of_the_same_value() -> None:
    cells = grids.cells(Table("t", COLUMNS, []), row())
    assert (cells["cost"], cells["cost_text"]) == ("1234.500000000000000001", "$1,234.50")
    assert (cells["diff_text"], cells["part_text"], cells["share_text"], cells["tokens_text"]) == (
        "+$0.25",
        "–",
        "31.4 %",
        "1,190,000",
    )


def test_unknown_is_a_word_on_the_screen_and_an_empty_cell_in_the_csv() -> None:
    table = Table("t", COLUMNS, [row(cost=None)])
    assert grids.cells(table, table.rows[0])["cost_text"] == "unknown"
    assert read(table)[0]["cost"] == ""


def test_a_column_is_wide_enough_for_its_longest_number() -> None:
    table = Table("t", COLUMNS, [row(tokens=1)], total={"tokens": 123_456_789_012})
    wide = {column["field"]: column["minWidth"] for column in grids.columns(table)}
    assert wide["tokens"] >= 8 * len("123,456,789,012")


def test_the_table_beside_a_chart_has_scoped_headings_and_a_caption() -> None:
    shown = str(grids.plain(Table("t", COLUMNS, [row()], total={"tenant": "Total"}), "What it is"))
    for wanted in ("What it is", "scope='col'", "scope='row'", "'$1,234.50'", "Tfoot"):
        assert wanted in shown
