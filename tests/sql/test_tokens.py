"""Where a statement ends, and where the data of an INSERT begins."""

import pytest

from sql.embedded import text
from sql.embedded.errors import StoreError
from sql.tokens import statements, tokens


def test_statements_end_at_semicolons_that_are_not_in_strings_names_or_comments():
    assert statements("SELECT ';', `a;b`, $x$;$x$; -- c;d\nSELECT /* ; */ 2;\n;") == [
        "SELECT ';', `a;b`, $x$;$x$", "-- c;d\nSELECT /* ; */ 2",
    ]  # fmt: skip


def test_a_trailing_comment_is_no_statement():
    assert statements("SELECT 1;\n-- the end\n") == ["SELECT 1"]


def test_tokens_know_escapes_doubled_quotes_and_heredocs():
    kinds = [kind for kind, _, _ in tokens(rb"""'a\'b' 'it''s' "q\"" `x``y` $t$ ' $t$ word 12 --c""")]
    assert kinds == ["string", "string", "quoted", "quoted", "heredoc", "word", "other", "other"]


@pytest.mark.parametrize(
    ("sent", "head", "form", "data"),
    [
        (b"INSERT INTO t FORMAT CSV\n1,2\n", "INSERT INTO t ", "CSV", b"1,2\n"),
        (b"INSERT INTO t FORMAT CSV 1,2", "INSERT INTO t ", "CSV", b"1,2"),
        (b"insert into t (a, b) format Native\n\x01\x02", "insert into t (a, b) ", "Native", b"\x01\x02"),
        (b"INSERT INTO t FORMAT RowBinary\n\n\x00", "INSERT INTO t ", "RowBinary", b"\n\x00"),
        (b"INSERT INTO t VALUES (1, 'FORMAT')", "INSERT INTO t ", "Values", b" (1, 'FORMAT')"),
        (b"INSERT INTO `format` (`values`) VALUES (1)", "INSERT INTO `format` (`values`) ", "Values", b" (1)"),
        (b"INSERT INTO format FORMAT CSV\n1", "INSERT INTO format ", "CSV", b"1"),
        (b"INSERT INTO t SETTINGS a = 'FORMAT X' FORMAT CSV\n1", "INSERT INTO t SETTINGS a = 'FORMAT X' ", "CSV", b"1"),
        (b"INSERT /* FORMAT X */ INTO t FORMAT CSV\n1", "INSERT /* FORMAT X */ INTO t ", "CSV", b"1"),
        (b"INSERT INTO {t:Identifier} FORMAT CSV\n1", "INSERT INTO {t:Identifier} ", "CSV", b"1"),
        (b"INSERT INTO d.t FORMAT CSV;\n1", "INSERT INTO d.t ", "CSV", b"1"),
    ],
)
def test_an_insert_is_cut_where_its_data_begins(sent, head, form, data):
    assert text.insert(sent) == text.Insert(head, form, (data,))


@pytest.mark.parametrize(
    "sent", [b"INSERT INTO t SELECT 1", b"INSERT INTO t (a) WITH x AS (SELECT 1) SELECT * FROM x", b"SELECT 1"]
)
def test_an_insert_of_a_query_carries_no_data(sent):
    assert text.insert(sent) is None


def test_an_insert_from_a_file_or_without_a_format_name_is_refused():
    with pytest.raises(StoreError, match="INFILE"):
        text.insert(b"INSERT INTO t FROM INFILE '/etc/passwd' FORMAT CSV")
    with pytest.raises(StoreError, match="FORMAT"):
        text.insert(b"INSERT INTO t FORMAT")


def test_a_file_goes_before_the_settings_and_its_path_is_quoted():
    assert text.from_file("INSERT INTO t (a) SETTINGS b = 1", "CSV", "/it's\\x") == (
        "INSERT INTO t (a) FROM INFILE '/it\\'s\\\\x' COMPRESSION 'none' SETTINGS b = 1 FORMAT CSV"
    )


def test_the_first_word_is_found_behind_comments_and_the_last_format_wins():
    assert text.first_word(b"-- SELECT\n/* x */ insert into t") == "INSERT"
    assert text.first_word(b" ( SELECT 1)") == "("
    assert text.output_format("SELECT 'FORMAT X' FORMAT JSON", "TSV") == "JSON"
    assert text.output_format("SELECT (SELECT 1 FORMAT X)", "TSV") == "TSV"
