"""The ClickHouse HTTP protocol, spoken by those who will attach: clickhouse-connect, curl, and whatever else."""

# ruff: noqa: S608 - the tables named in these statements are the tests' own.

import contextlib
import gzip
import json
import subprocess
import threading
import uuid
import zlib
from datetime import UTC, datetime
from decimal import Decimal
from http.client import HTTPConnection

import httpx
import lz4.frame
import pyarrow as pa
import pytest
from backports import zstd
from clickhouse_connect.driver.exceptions import DatabaseError

import sql
from sql import clients
from sql.credentials import READER, WRITER
from sql.embedded.app import BODY_MAX, WORKERS

pytestmark = pytest.mark.slow


@pytest.fixture
def store(embedded_store):
    """What is told here is of the embedded store alone."""
    return embedded_store


@pytest.fixture
def http(store):
    with httpx.Client(base_url=store.url, auth=(WRITER, store.password(WRITER)), timeout=60) as client:
        yield client


@pytest.fixture
def table(store):
    name = f"t_{uuid.uuid4().hex}"
    store.writer.command(
        f"CREATE TABLE tollway.{name} (n UInt64, s String, d Nullable(Decimal(38, 18)), t DateTime64(6, 'UTC'),"
        " CONSTRAINT small CHECK n < 1000000) ENGINE = MergeTree ORDER BY n"
    )
    yield f"tollway.{name}"
    store.writer.command(f"DROP TABLE tollway.{name} SYNC")


def test_curl_asks_and_is_answered(store):
    answer = subprocess.run(
        ["curl", "-sS", "--fail-with-body", "-K", "-", "--data-binary", "SELECT 1", f"{store.url}/?query_id=curl-1"],
        input=f'user = "{WRITER}:{store.password(WRITER)}"', capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert answer.stdout == "1\n"


def test_a_query_comes_by_url_by_body_by_both_and_by_form(http):
    assert http.get("/", params={"query": "SELECT 1"}).text == "1\n"
    assert http.post("/", content="SELECT 2").text == "2\n"
    assert http.post("/", params={"query": "SELECT 3"}, content="FORMAT JSONEachRow").text == '{"3":3}\n'
    form = {"query": (None, "SELECT {n:UInt8} + 1"), "param_n": (None, "3")}
    assert http.post("/", files=form).text == "4\n"
    assert http.post("/", params={"default_format": "CSV"}, content="SELECT 'a', 5").text == '"a",5\n'


def test_an_answer_says_its_format_its_query_id_and_what_was_read(http):
    answer = http.post("/", params={"query_id": "mine"}, content="SELECT 1 AS a FORMAT JSON")
    assert answer.json()["data"] == [{"a": 1}]
    assert answer.headers["x-clickhouse-query-id"] == "mine"
    assert answer.headers["x-clickhouse-format"] == "JSON"
    assert answer.headers["content-type"] == "application/json; charset=UTF-8"
    assert json.loads(answer.headers["x-clickhouse-summary"])["read_rows"] == "1"


@pytest.mark.parametrize(
    ("statement", "status", "code", "says"),
    [
        ("SELEC 1", 400, "62", "SYNTAX_ERROR"),
        ("SELECT nope", 404, "47", "nope"),
        ("SELECT * FROM tollway.nope", 404, "60", "UNKNOWN_TABLE"),
        ("SELECT 1; SELECT 2", 400, "62", "Multi-statements are not allowed"),
        ("SELECT throwIf(1, 'boom')", 500, "395", "boom"),
        ("SELECT toUInt8('x')", 400, "6", "CANNOT_PARSE_TEXT"),
        ("   ", 400, "62", "Empty query"),
        ("SET max_threads = 1", 403, "48", "no sessions"),
        ("USE system", 403, "48", "no sessions"),
        ("\ufeff\u2603", 400, "62", "SYNTAX_ERROR"),
    ],
)
def test_an_error_has_clickhouses_code_a_status_and_one_message(http, statement, status, code, says):
    answer = http.post("/", content=statement)
    assert (answer.status_code, answer.headers["x-clickhouse-exception-code"]) == (status, code)
    assert answer.text.startswith(f"Code: {code}. DB::Exception: ")
    assert says in answer.text
    assert "formatQuerySingleLine" not in answer.text


def test_a_get_may_only_read(http, table):
    answer = http.get("/", params={"query": f"TRUNCATE TABLE {table}"})
    assert (answer.status_code, answer.headers["x-clickhouse-exception-code"]) == (403, "164")


def test_who_asks_must_say_who_and_the_password_travels_in_a_header_only(store):
    right = store.password(READER)
    assert httpx.post(store.url, content="SELECT 1").status_code == 401
    assert httpx.post(store.url, content="SELECT 1", auth=(READER, "wrong")).status_code == 403
    assert httpx.post(store.url, content="SELECT 1", auth=(WRITER, right)).status_code == 403
    assert httpx.post(store.url, content="SELECT 1", auth=("default", right)).status_code == 403
    named = {"X-ClickHouse-User": READER, "X-ClickHouse-Key": right}
    assert httpx.post(store.url, content="SELECT 1", headers=named).text == "1\n"
    in_url = httpx.post(f"{store.url}/?user={READER}&password={right}", content="SELECT 1")
    assert (in_url.status_code, right in in_url.text) == (403, False)
    assert httpx.post(store.url, content="SELECT 1", headers={"Authorization": "Basic !!!"}).status_code == 401


def test_health_readiness_and_metrics_need_no_password_and_carry_no_statement(store, http):
    http.post("/", content="SELECT 'a secret value'")
    assert [httpx.get(store.url + path).status_code for path in ("/ping", "/healthz", "/readyz")] == [200] * 3
    assert httpx.get(store.url + "/ping").text == "Ok.\n"
    metrics = httpx.get(store.url + "/metrics").text
    assert 'tollway_store_queries_total{code="0",kind="read"}' in metrics
    assert "secret" not in metrics
    assert httpx.get(store.url + "/nowhere").status_code == 404


ENCODINGS = {
    "gzip": gzip.compress, "deflate": zlib.compress, "lz4": lz4.frame.compress, "zstd": zstd.compress,
}  # fmt: skip


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_compressed_body_is_inflated_and_garbage_in_its_place_is_a_clear_error(http, encoding):
    body = ENCODINGS[encoding](b"SELECT 7")
    assert http.post("/", content=body, headers={"Content-Encoding": encoding}).text == "7\n"
    wrong = http.post("/", content=b"not that", headers={"Content-Encoding": encoding})
    assert (wrong.status_code, encoding in wrong.text) == (400, True)


def test_a_body_over_the_limit_is_refused_before_and_after_inflating(http):
    announcing = HTTPConnection(http.base_url.host, http.base_url.port, timeout=10)
    announcing.putrequest("POST", "/")
    announcing.putheader("Authorization", http.auth._auth_header)
    announcing.putheader("Content-Length", str(BODY_MAX + 1))
    announcing.endheaders()
    assert announcing.getresponse().status == 413
    announcing.close()
    bomb = gzip.compress(b" " * (BODY_MAX + 1), 1)
    assert http.post("/", content=bomb, headers={"Content-Encoding": "gzip"}).status_code == 413


def test_compression_not_spoken_is_declined_and_answers_come_plain(http):
    assert http.post("/", params={"decompress": "1"}, content="SELECT 1").status_code == 501
    assert http.post("/", content=b"SELECT 1", headers={"Content-Encoding": "br"}).status_code == 415
    answer = http.post("/", params={"enable_http_compression": "1"}, content="SELECT 1")
    assert "content-encoding" not in answer.headers


ROWS = [[n, f"\u00fc\t'{n}", Decimal(n).scaleb(-18), datetime(2026, 1, 1, 0, 0, n, 5, UTC)] for n in range(3)]


def test_the_sync_client_inserts_and_reads_every_way(store, table):
    names = ["n", "s", "d", "t"]
    done = store.writer.insert(table, ROWS, column_names=names)
    assert done.written_rows == 3
    found = store.reader.query(f"SELECT * FROM {table} ORDER BY n", tz_mode="aware")
    assert [list(row) for row in found.result_rows] == ROWS
    arrow = store.reader.query_arrow(f"SELECT * FROM {table} ORDER BY n")
    assert arrow.column("d").to_pylist() == [row[2] for row in ROWS]
    store.writer.insert_arrow(table, pa.table({"n": pa.array([10, 11], pa.uint64()), "s": ["x", "y"]}))
    store.writer.raw_insert(table, ["n", "s"], b'{"n": 20, "s": "z"}', fmt="JSONEachRow")
    store.writer.raw_insert(table, ["n", "s"], gzip.compress(b"21,q\n22,r\n"), fmt="CSV", compression="gzip")
    store.writer.command(f"INSERT INTO {table} (n, s) VALUES (30, 'v'), (31, 'it''s; -- FORMAT')")
    store.writer.command(f"INSERT INTO {table} (n) SELECT number + 40 FROM numbers(2)")
    count = store.reader.command(f"SELECT count() FROM {table}")
    assert count == 12
    assert store.reader.query(f"SELECT n FROM {table} WHERE n < {{n:UInt64}} LIMIT 0", parameters={"n": 5}).column_names
    stream = store.reader.query_rows_stream(f"SELECT n FROM {table} ORDER BY n")
    with stream:
        assert [row[0] for row in stream][:3] == [0, 1, 2]


def test_a_binary_body_that_looks_like_sql_stays_data(store, table):
    nasty = "FORMAT CSV\n'; DROP TABLE x; -- \\ \x00 VALUES ("
    store.writer.raw_insert(table, ["n", "s"], json.dumps({"n": 1, "s": nasty}).encode(), fmt="JSONEachRow")
    store.writer.insert(table, [[2, nasty]], column_names=["n", "s"])
    assert store.reader.query(f"SELECT s FROM {table} ORDER BY n").result_rows == [(nasty,), (nasty,)]


def test_rows_that_break_a_constraint_or_a_type_are_refused_whole(store, table):
    with pytest.raises(DatabaseError, match="small"):
        store.writer.insert(table, [[1, "a"], [1_000_000, "b"]], column_names=["n", "s"])
    with pytest.raises(DatabaseError, match="CANNOT_PARSE"):
        store.writer.raw_insert(table, ["n"], b'{"n": 1}\n{"n": "x"}', fmt="JSONEachRow")
    assert store.reader.command(f"SELECT count() FROM {table}") == 0


def test_an_insert_is_the_same_wherever_its_address_ends_and_its_body_begins(http, table):
    """The url's end stands for a line's end, so only what reads the same without one is parted there."""
    whole = f"/* INSERT */ INSERT INTO {table} (n, s) SETTINGS max_threads = 1 FORMAT CSV\n1,a\n2,b\n"
    bare = whole.removeprefix("/* INSERT */ ")
    cuts = [
        (sent[:at].rstrip(), sent[at:]) for sent in (whole, bare) for at in range(len(sent)) if sent[at - 1] in " \n"
    ]
    for url, body in cuts:
        pieces = [body[at : at + 7].encode() for at in range(0, len(body), 7)]
        http.post("/", params={"query": url}, content=iter(pieces)).raise_for_status()
    found = http.post("/", content=f"SELECT s, count() FROM {table} GROUP BY s ORDER BY s").text
    assert found == f"a\t{len(cuts)}\nb\t{len(cuts)}\n"


def test_a_token_makes_an_insert_happen_once(store):
    name = f"tollway.t_{uuid.uuid4().hex}"
    store.writer.command(
        f"CREATE TABLE {name} (n UInt64) ENGINE = MergeTree ORDER BY n"
        " SETTINGS non_replicated_deduplication_window = 100"
    )
    for _ in range(3):
        store.writer.raw_insert(name, ["n"], b"1\n2\n", fmt="CSV", settings={"insert_deduplication_token": "one"})
    assert store.reader.command(f"SELECT count() FROM {name}") == 2
    store.writer.command(f"DROP TABLE {name} SYNC")


async def test_the_async_client_asks_many_things_at_once(store):
    client = await clients.async_reader(store.url, store.password(READER))
    try:
        answers = [await client.query("SELECT {n:UInt8} AS n", parameters={"n": n}) for n in range(5)]
        assert [a.result_rows for a in answers] == [[(n,)] for n in range(5)]
        frame = await sql.afetch(client, "collector_count_batch", facts="tollway", batch_id="x")
        assert frame["spans"].to_list() == []
    finally:
        await client.close()


def test_settings_ride_with_the_query_and_leave_nothing_behind(store):
    limited = store.reader.query("SELECT getSetting('max_threads')", settings={"max_threads": 1}).result_rows
    assert limited == [(1,)]
    assert store.reader.query("SELECT getSetting('max_threads')").result_rows != [(1,)]
    with pytest.raises(DatabaseError, match="UNKNOWN_SETTING"):
        store.writer.command("SELECT 1", settings={"no_such_setting_at_all": 1})


@pytest.mark.parametrize(
    "value", ["'; DROP TABLE tollway.spans; --", "\\' OR 1=1 --", "{x:String}", "\t\n\\N", "\u2028"]
)
def test_a_parameter_is_a_value_whatever_it_says(store, value):
    assert store.reader.query("SELECT {v:String}", parameters={"v": value}).result_rows == [(value,)]


def test_a_name_given_as_parameter_is_a_plain_name(store):
    asked = "SELECT count() FROM tollway.{t:Identifier}"
    assert store.reader.query(asked, parameters={"t": "schema_migrations"}).result_rows[0][0] > 0
    with pytest.raises(DatabaseError, match="Identifier"):
        store.reader.query(asked, parameters={"t": "x` UNION ALL SELECT 1 --"})


def test_one_query_id_runs_once_at_a_time_and_a_slow_query_blocks_nobody(store, http):
    slow = "SELECT sum(sipHash64(number)) FROM numbers(2000000000) SETTINGS max_threads = 1"
    ended = threading.Event()

    def ask():
        who = (WRITER, store.password(WRITER))
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(store.url, params={"query_id": "slow-1"}, content=slow, auth=who, timeout=1)
        ended.set()

    asking = threading.Thread(target=ask)
    asking.start()
    running = 0
    while not ended.is_set() and not running:
        running = sql.fetch(store.writer, "collector_running_queries", query_id="slow-1").item()
    assert running == 1
    again = http.post("/", params={"query_id": "slow-1"}, content="SELECT 1")
    assert (again.status_code, again.headers["x-clickhouse-exception-code"]) == (409, "216")
    assert httpx.get(store.url + "/healthz").status_code == 200
    assert http.post("/", content="SELECT 1").text == "1\n"
    asking.join()
    # The client has gone, so what it asked is stopped.
    while sql.fetch(store.writer, "collector_running_queries", query_id="slow-1").item():
        continue


def test_readers_who_fill_the_store_do_not_keep_an_insert_waiting(store, table):
    """Eight slow questions hold every thread readers have; a ninth waits, an insert does not."""
    slow = "SELECT sum(sipHash64(number)) FROM numbers(20000000000)"
    who = (READER, store.password(READER))
    names = [f"hog-{n}" for n in range(WORKERS[READER])]
    stop = threading.Event()

    def hog(name):
        with httpx.Client(auth=who, timeout=0.5) as client:
            while not stop.is_set():
                with contextlib.suppress(httpx.ReadTimeout):
                    client.post(store.url, params={"query_id": f"{name}-{uuid.uuid4()}"}, content=slow)

    hogs = [threading.Thread(target=hog, args=(name,)) for name in names]
    for thread in hogs:
        thread.start()
    try:
        for n in range(5):
            store.writer.insert(table, [[n, "a"]], column_names=["n", "s"])
        assert store.writer.command(f"SELECT count() FROM {table}") == 5
    finally:
        stop.set()
        for thread in hogs:
            thread.join()
