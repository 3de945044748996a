"""The loader: files, parameters, and frames whose types are exact."""

import os
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import polars as pl
import pytest

import sql
from sql import clients, credentials
from sql.statements import Statement, bind


def test_a_statement_lists_its_parameters_and_ignores_those_in_comments():
    one = Statement("x", "-- {not:String}\nSELECT {a:UInt8}, {b:DateTime64(3, 'UTC')}")
    assert one.params == {"a": "UInt8", "b": "DateTime64(3, 'UTC')"}


def test_a_missing_and_an_unknown_parameter_are_named_with_the_file():
    with pytest.raises(TypeError, match=r"collector_count_batch\.sql takes .*missing batch_id, facts; unknown batch"):
        sql.load("collector_count_batch").check({"batch": "x"})


def test_a_file_that_does_not_exist_is_a_file_not_found_error():
    with pytest.raises(FileNotFoundError):
        sql.load("no_such_query")


def test_a_naive_datetime_and_a_float_for_money_are_refused():
    one = Statement("x", "SELECT {t:DateTime64(6, 'UTC')}, {m:Decimal(38, 18)}, {f:Float64}")
    with pytest.raises(TypeError, match=r"x\.sql t: .* has no time zone"):
        bind(one, {"t": datetime(2026, 1, 1)})  # noqa: DTZ001
    with pytest.raises(TypeError, match="is a float"):
        bind(one, {"m": 0.1})
    assert bind(one, {"f": 0.1}) == {"f": "0.1"}


@pytest.mark.slow
def test_microseconds_survive_and_the_process_time_zone_does_not_matter(store):
    at = datetime(2026, 3, 29, 1, 30, 0, 123456, tzinfo=timezone(timedelta(hours=9)))
    code = (
        "import sys; from datetime import datetime; import sql; from sql import clients, statements\n"
        "client = clients.reader(sys.argv[1], sys.stdin.read())\n"
        "one = statements.Statement('x', \"SELECT {t:DateTime64(6, 'UTC')} AS t\")\n"
        "at = datetime.fromisoformat(sys.argv[2])\n"
        "frame = statements._frame(client.query_arrow(one.text, parameters=statements.bind(one, {'t': at}), "
        "settings=statements.FETCH_SETTINGS))\n"
        "assert frame['t'].dtype.time_zone == 'UTC', frame\n"
        "print(frame['t'][0].isoformat())\n"
    )
    for zone in ("UTC", "Asia/Tokyo", "America/New_York"):
        answer = subprocess.run(
            [sys.executable, "-c", code, store.url, at.isoformat()], input=store.password(credentials.READER),
            env=os.environ | {"TZ": zone}, capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert answer.stdout.strip() == at.astimezone(UTC).isoformat()


def test_values_are_never_text_of_the_statement(store, monkeypatch):
    one = Statement(
        "x", "SELECT {s:String} AS s, {n:Array(String)} AS n, {d:Decimal(38, 18)} AS d, {b:Bool} AS b, {t:Date} AS t"
    )
    monkeypatch.setattr("sql.statements.load", lambda name: one)
    nasty = "a'; DROP TABLE spans; --\n\t\\ {x:UInt8} \u00fc"
    frame = sql.fetch(
        store.reader,
        "x",
        s=nasty,
        n=[nasty, "b"],
        d=Decimal("-12345678901234567890.000000000000000001"),
        b=True,
        t=date(2026, 1, 2),
    )
    assert frame.row(0) == (
        nasty,
        [nasty, "b"],
        Decimal("-12345678901234567890.000000000000000001"),
        True,
        date(2026, 1, 2),
    )
    assert frame.schema["d"] == pl.Decimal(38, 18)


def test_low_cardinality_text_is_plain_string_and_an_empty_answer_keeps_its_columns(store, monkeypatch):
    one = Statement(
        "x", "SELECT toLowCardinality('a') AS a, toDateTime64('2026-01-01', 9, 'UTC') AS t WHERE {n:UInt8} = 1"
    )
    monkeypatch.setattr("sql.statements.load", lambda name: one)
    for n in (0, 1):
        frame = sql.fetch(store.reader, "x", n=n)
        assert frame.schema == {"a": pl.String, "t": pl.Datetime("ns", "UTC")}
        assert frame.height == n


async def test_the_async_client_gives_the_same_frame(store):
    client = await clients.async_reader(store.url, store.password(credentials.READER))
    try:
        assert (await sql.afetch(client, "collector_count_batch", facts="tollway", batch_id="none")).equals(
            sql.fetch(store.reader, "collector_count_batch", facts="tollway", batch_id="none")
        )
    finally:
        await client.close()


def test_the_columns_of_a_file_are_known_without_running_it(store):
    given = {"facts": "tollway", "batch_id": ""}
    promised = {"tenant": "LowCardinality(String)", "spans": "UInt64", "claimed": "UInt64"}
    assert sql.columns(store.reader, "collector_count_batch", **given) == promised
