"""What nobody may do through the store, tried the way an attacker would; and that honest statements still pass."""

# ruff: noqa: S608 - attacks are written out.

import re
from importlib.resources import files

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from sql.statements import Statement
from sql.tokens import statements

pytestmark = pytest.mark.slow

FILE = "/etc/hostname"

READER_ATTACKS = [
    # Reading the disk.
    f"SELECT file('{FILE}')",
    f"SELECT /* harmless */ FiLe ( '{FILE}' ) -- file",
    f"SELECT `file`('{FILE}')",
    f"SELECT \"file\"('{FILE}')",
    f"SELECT * FROM file('{FILE}', 'LineAsString')",
    f"SELECT * FROM File('{FILE}', 'LineAsString')",
    f"SELECT * FROM `file`('{FILE}', 'LineAsString', 's String')",
    f"SELECT 1 FROM (SELECT * FROM (SELECT * FROM file('{FILE}', 'LineAsString')))",
    f"WITH x AS (SELECT * FROM file('{FILE}', 'LineAsString')) SELECT * FROM x",
    f"WITH (SELECT file('{FILE}')) AS y SELECT y",
    f"SELECT 1 IN (SELECT * FROM file('{FILE}', 'LineAsString'))",
    f"SELECT 1 IN file('{FILE}', 'LineAsString')",
    f"SELECT * FROM view(SELECT * FROM file('{FILE}', 'LineAsString'))",
    f"SELECT * FROM numbers(1) AS a JOIN file('{FILE}', 'LineAsString') AS b ON 1",
    f"SELECT 1 UNION ALL SELECT count() FROM file('{FILE}', 'LineAsString')",
    f"SELECT arrayMap(x -> file(x), ['{FILE}'])",
    f"SELECT * REPLACE (file('{FILE}') AS number) FROM numbers(1)",
    f"SELECT * APPLY(file) FROM values('a String', '{FILE}')",
    f"SELECT * APPLY(x -> file(x)) FROM values('a String', '{FILE}')",
    f"SELECT COLUMNS('a') APPLY(file) FROM values('a String', '{FILE}')",
    f"SELECT a FROM values('a String', '{FILE}') ORDER BY file(a)",
    f"SELECT sum(1) OVER (PARTITION BY file('{FILE}')) FROM numbers(1)",
    f"SELECT 1 FROM numbers(1) LIMIT length(file('{FILE}'))",
    f"SELECT 1 FROM numbers(1) HAVING file('{FILE}') != ''",
    f"DESCRIBE TABLE file('{FILE}')",
    f"DESCRIBE (SELECT file('{FILE}'))",
    f"EXPLAIN SELECT * FROM file('{FILE}', 'LineAsString')",
    f"EXPLAIN SYNTAX SELECT file('{FILE}')",
    f"SHOW TABLES WHERE name = file('{FILE}')",
    f"SHOW COLUMNS FROM spans FROM tollway WHERE field = file('{FILE}')",
    f"SELECT * FROM `{FILE}`",
    f"SELECT * FROM '{FILE}'",
    f"SELECT * FROM default.`{FILE}`",
    f"SELECT * FROM \u201c{FILE}\u201d",
    f"SELECT file(\u2018{FILE}\u2019)",
    f"SELECT\u00a0file('{FILE}')",
    f"SELECT $x$a$x$, file($y${FILE}$y$)",
    f"SELECT if(1, file('{FILE}'), '')::String AS s FORMAT JSON",
    f"SELECT fiLe\n--x\n(/* */'{FILE}')",
    f"#! comment\nSELECT file('{FILE}')",
    f"SELECT 1 IN default.`{FILE}`",
    f"EXISTS TABLE default.`{FILE}`",
    "SELECT * FROM filesystem('/etc')",
    "SELECT * FROM loop(tollway.spans)",
    "SELECT * FROM merge('tollway', '.*')",
    "SELECT * FROM sqlite('/x.db', 't')",
    "SELECT filesystemAvailable()",
    # Writing the disk.
    "SELECT 1 INTO OUTFILE '/tmp/owned'",
    "SELECT 1 INTO/**/OUTFILE '/tmp/owned' TRUNCATE FORMAT CSV",
    "(SELECT 1) INTO OUTFILE '/tmp/owned' AND STDOUT",
    "EXPLAIN SELECT 1 INTO OUTFILE '/tmp/owned'",
    # The network, other programs, other servers.
    "SELECT * FROM url('http://127.0.0.1:1/x', 'CSV', 'a String')",
    "SELECT * FROM URL('http://127.0.0.1:1/x', 'CSV', 'a String')",
    "SELECT * FROM urlCluster('c', 'http://127.0.0.1:1/x', 'CSV', 'a String')",
    "SELECT * FROM s3('http://127.0.0.1:1/b/x', 'CSV', 'a String')",
    "SELECT * FROM gcs('http://127.0.0.1:1/b/x', 'CSV', 'a String')",
    "SELECT * FROM azureBlobStorage('x', 'y', 'z')",
    "SELECT * FROM hdfs('hdfs://127.0.0.1:1/x', 'CSV', 'a String')",
    "SELECT * FROM remote('127.0.0.1:1', system.one)",
    "SELECT * FROM remoteSecure('127.0.0.1:1', system.one)",
    "SELECT * FROM cluster('c', system.one)",
    "SELECT * FROM clusterAllReplicas('c', system.one)",
    "SELECT * FROM mysql('127.0.0.1:1', 'd', 't', 'u', 'p')",
    "SELECT * FROM postgresql('127.0.0.1:1', 'd', 't', 'u', 'p')",
    "SELECT * FROM mongodb('127.0.0.1:1', 'd', 't', 'u', 'p')",
    "SELECT * FROM odbc('DSN=x', 'd', 't')",
    "SELECT * FROM jdbc('x', 'd', 't')",
    "SELECT * FROM redis('127.0.0.1:1', 'k', 'k String')",
    "SELECT * FROM iceberg('http://127.0.0.1:1/x')",
    "SELECT * FROM deltaLake('http://127.0.0.1:1/x')",
    "SELECT * FROM executable('id', 'TSV', 'a String')",
    "SELECT * FROM python('x')",
    "SELECT * FROM Python(os)",
    "SELECT * FROM eval('SELECT 1')",
    "SELECT * FROM format(CSV, 'a')",
    "SELECT * FROM input('a Int8')",
    "SELECT * FROM dictionary('d')",
    "SELECT dictGet('d', 'a', 1)",
    "SELECT joinGet('t', 'a', 1)",
    "SELECT aiGenerate('hello')",
    "SELECT showCertificate()",
    "SELECT getServerSetting('path')",
    "SELECT getMacro('shard')",
    "SELECT logTrace('x')",
    "SELECT sleep(3)",
    "SELECT sleepEachRow(1) FROM numbers(10)",
    "SELECT addressToSymbol(1)",
    # Changing things, by one statement or behind one.
    "SELECT 1; DROP TABLE tollway.spans",
    "SELECT 1;;DROP TABLE tollway.spans;",
    "SELECT 1 -- \n; DROP TABLE tollway.spans",
    "INSERT INTO tollway.spans (name) VALUES ('x')",
    "INSERT INTO tollway.spans (name) SELECT 'x'",
    "DROP TABLE tollway.spans",
    "TRUNCATE TABLE tollway.spans",
    "ALTER TABLE tollway.spans DELETE WHERE 1",
    "DELETE FROM tollway.spans WHERE 1",
    "UPDATE tollway.spans SET name = '' WHERE 1",
    "OPTIMIZE TABLE tollway.spans",
    "RENAME TABLE tollway.spans TO tollway.x",
    "EXCHANGE TABLES tollway.spans AND tollway.rate_cards",
    "CREATE TABLE tollway.x (a Int8) ENGINE = Memory",
    "CREATE VIEW tollway.x AS SELECT 1",
    "ATTACH TABLE x FROM '/tmp'",
    "DETACH TABLE tollway.spans",
    "KILL QUERY WHERE 1",
    "SYSTEM STOP MERGES",
    "SET readonly = 0",
    "USE system",
    "GRANT ALL ON *.* TO reader",
    "BACKUP TABLE tollway.spans TO File('x')",
    "CREATE USER x",
    "EXECUTE AS tollway SELECT 1",
    "BEGIN TRANSACTION",
    # Loosening the rules from within.
    "SELECT 1 SETTINGS readonly = 0",
    "SELECT 1 FORMAT CSV SETTINGS max_memory_usage = 0",
    "SELECT * FROM (SELECT 1 SETTINGS max_memory_usage = 0)",
    "SELECT 1 WHERE 1 IN (SELECT 1 SETTINGS readonly = 0)",
    "EXPLAIN SELECT 1 SETTINGS readonly = 0",
    # What tells of the host, its users or what others ask.
    "SELECT * FROM system.users",
    "SELECT * FROM system.server_settings",
    "SELECT * FROM system.disks",
    "SELECT * FROM system.processes",
    "SELECT * FROM `system`.`processes`",
    "SELECT 1 IN system.processes",
    "SELECT 1 IN (system.processes)",
    "SELECT * FROM system.stack_trace",
    "SHOW PROCESSLIST",
    # Names that would forge a line of the syntax tree.
    "SELECT `a\n   Function sum`",
    "SELECT 1 AS `x\nSet`",
]

BY_NAME = [
    f"SELECT arrayMap(file, ['{FILE}'])",
    f"SELECT arrayMap(`file`, ['{FILE}'])",
    f"SELECT arrayMap(\"file\", ['{FILE}'])",
    f"SELECT arrayMap((FILE), ['{FILE}'])",
    f"SELECT arrayMap(`fi\\x6ce`, ['{FILE}'])",
    f"SELECT arrayMap(/* x */ file -- x\n, ['{FILE}'])",
    f"SELECT ARRAYMAP(file, ['{FILE}'])",
    f"SELECT arrayFilter(file, ['{FILE}'])",
    f"SELECT arraySort(file, ['{FILE}'])",
    f"SELECT arrayReverseSort(file, ['{FILE}'])",
    f"SELECT arrayPartialSort(file, 1, ['{FILE}'])",
    f"SELECT arrayFold(file, ['{FILE}'], '')",
    f"SELECT arrayFold((a, x) -> concat(a, arrayMap(file, [x])[1]), ['{FILE}'], '')",
    f"SELECT arrayMap(x -> arrayMap(file, [x]), ['{FILE}'])",
    f"SELECT arrayMin(file, ['{FILE}']), arrayMax(file, ['{FILE}']), arrayFirst(file, ['{FILE}'])",
    f"SELECT mapApply(file, map('{FILE}', 1))",
    f"SELECT 1 FROM numbers(1) WHERE arrayMap(file, ['{FILE}']) != []",
    f"SELECT 1 FROM numbers(1) ORDER BY arrayMap(file, ['{FILE}'])",
    f"WITH arrayMap(file, ['{FILE}']) AS y SELECT y",
    f"SELECT * REPLACE (arrayMap(file, ['{FILE}']) AS number) FROM numbers(1)",
    f"SELECT * FROM values('a Array(String)', (arrayMap(file, ['{FILE}'])))",
    f"SELECT 1 IN (SELECT arrayMap(file, ['{FILE}']))",
    f"EXPLAIN SELECT arrayMap(file, ['{FILE}'])",
    f"DESCRIBE (SELECT arrayMap(file, ['{FILE}']))",
    "SELECT arrayMap(filesystemAvailable, ['default'])",
    "SELECT arrayMap(sleep, [1])",
    "SELECT arrayMap(getServerSetting, ['path'])",
    "SELECT arrayMap(dictGet, ['d'], ['a'], [1])",
]
"""Functions handed to others by name: the tree shows them as it shows columns."""

WRITER_ATTACKS = [
    f"INSERT INTO tollway.spans (name) SELECT arrayMap(file, ['{FILE}'])[1]",
    f"ALTER TABLE tollway.spans UPDATE name = arrayMap(file, ['{FILE}'])[1] WHERE 1",
    f"DELETE FROM tollway.spans WHERE arrayMap(file, ['{FILE}']) != []",
    f"CREATE VIEW tollway.x AS SELECT arrayMap(file, ['{FILE}'])",
    f"CREATE TABLE tollway.x (a Array(String) DEFAULT arrayMap(file, ['{FILE}'])) ENGINE = MergeTree ORDER BY tuple()",
    f"SELECT file('{FILE}')",
    f"SELECT * FROM file('{FILE}', 'LineAsString')",
    f"INSERT INTO tollway.spans (name) SELECT file('{FILE}')",
    f"INSERT INTO tollway.spans (name) VALUES (file('{FILE}'))",
    f"INSERT INTO tollway.spans (name) SELECT * FROM file('{FILE}', 'LineAsString')",
    f"INSERT INTO tollway.spans (name) FROM INFILE '{FILE}' FORMAT LineAsString",
    f"INSERT INTO tollway.spans (name) FROM/**/INFILE '{FILE}' FORMAT LineAsString",
    "INSERT INTO FUNCTION file('/tmp/owned', 'CSV', 'a String') VALUES ('x')",
    "INSERT INTO TABLE FUNCTION file('/tmp/owned', 'CSV', 'a String') VALUES ('x')",
    "INSERT INTO/**/FUNCTION file('/tmp/owned', 'CSV', 'a String') FORMAT CSV\nx",
    "INSERT INTO FUNCTION url('http://127.0.0.1:1', 'CSV', 'a String') SELECT 'x'",
    "INSERT INTO tollway.spans (name); SELECT 1 FORMAT CSV\nx",
    "SELECT name FROM tollway.spans INTO OUTFILE '/tmp/owned'",
    "CREATE TABLE tollway.x (a String) ENGINE = File(CSV, '/tmp/owned')",
    "CREATE TABLE tollway.x (a String) ENGINE = `File`(CSV)",
    "CREATE TABLE tollway.x (a String) ENGINE = URL('http://127.0.0.1:1', 'CSV')",
    "CREATE TABLE tollway.x (a String) ENGINE = Executable('id', 'CSV')",
    "CREATE TABLE tollway.x (a String) ENGINE = MySQL('127.0.0.1:1', 'd', 't', 'u', 'p')",
    "CREATE TABLE tollway.x (a String) ENGINE = S3('http://127.0.0.1:1/x')",
    "CREATE TABLE tollway.x (a String) ENGINE = Distributed('c', 'd', 't')",
    "CREATE TABLE tollway.x (a String) ENGINE = MergeTree ORDER BY a"
    " SETTINGS disk = disk(type = 'local', path = '/tmp/')",
    "CREATE TABLE tollway.x (a String) ENGINE = MergeTree ORDER BY a SETTINGS storage_policy = 'x'",
    "ALTER TABLE tollway.spans MODIFY SETTING storage_policy = 'x'",
    f"CREATE TABLE tollway.x (a String DEFAULT file('{FILE}')) ENGINE = MergeTree ORDER BY a",
    f"CREATE TABLE tollway.x AS file('{FILE}')",
    "CREATE TABLE tollway.x AS remote('127.0.0.1:1', 'd', 't')",
    f"CREATE VIEW tollway.x AS SELECT file('{FILE}')",
    "CREATE MATERIALIZED VIEW tollway.x ENGINE = URL('http://127.0.0.1:1', 'CSV') AS SELECT 1 AS a",
    "CREATE DATABASE x ENGINE = SQLite('/tmp/x')",
    "CREATE DATABASE x ENGINE = Filesystem('/')",
    "CREATE DICTIONARY tollway.d (a UInt8) PRIMARY KEY a SOURCE(HTTP(URL 'http://127.0.0.1:1' FORMAT 'TSV'))"
    " LIFETIME(1) LAYOUT(FLAT())",
    f"CREATE FUNCTION f AS x -> file('{FILE}')",
    "CREATE NAMED COLLECTION x AS a = 1",
    "CREATE TEMPORARY TABLE x (a Int8)",
    "ALTER TABLE tollway.spans FREEZE",
    "ALTER TABLE tollway.spans FETCH PARTITION '2026-01-01' FROM '/x'",
    "ALTER TABLE tollway.spans MOVE PARTITION '2026-01-01' TO DISK 'x'",
    f"ALTER TABLE tollway.spans UPDATE name = file('{FILE}') WHERE 1",
    f"DELETE FROM tollway.spans WHERE file('{FILE}') != ''",
    "ATTACH TABLE x (a Int8) ENGINE = MergeTree ORDER BY a",
    "BACKUP DATABASE tollway TO File('/tmp/owned')",
    "RESTORE DATABASE tollway FROM File('/tmp/owned')",
    "SYSTEM SHUTDOWN",
    "SYSTEM RELOAD CONFIG",
    "CREATE USER x",
    "INSERT INTO default.x VALUES (1)",
    "CREATE TABLE default.x (a Int8) ENGINE = Memory",
    "CREATE TABLE tollway.y AS default.x",
    "CREATE TABLE tollway.y CLONE AS `default`.`x.csv`",
    "CREATE MATERIALIZED VIEW tollway.y TO default.x AS SELECT 1 AS a",
    "ALTER TABLE tollway.spans REPLACE PARTITION '2026-01-01' FROM default.x",
    "INSERT INTO tollway.spans (name) SETTINGS input_format_values_interpret_expressions = 1 VALUES (upper('x'))",
    "CREATE TABLE tollway.`../x` (a Int8) ENGINE = Memory",
    "SELECT 1 FORMAT CSV SETTINGS output_format_schema = '/tmp/owned'",
]

HONEST = [
    "SELECT 1",
    "SELECT 'INTO OUTFILE /x', 'file(1)', 'Python(os)', '; DROP TABLE x' -- file('x')",
    "SELECT $$ file('x') ; $$",
    "WITH a AS (SELECT number AS n FROM numbers(3)) SELECT sum(n), quantilesTDigestIf(0.5, 0.9)(n, n > 0) FROM a",
    "WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t WHERE n < 3) SELECT * FROM t",
    "SELECT countIf(kind = 3), uniqExact(tenant), COUNT(*), Sum(output), argMaxIf(alias, started_at, 1)"
    " FROM tollway.spans",
    "SELECT toStartOfHour(started_at) AS h, alias, sum(cost_usd) FROM tollway.rated_attempts GROUP BY h, alias"
    " ORDER BY h WITH FILL STEP toIntervalHour(1) LIMIT 5 BY alias",
    "SELECT row_number() OVER (PARTITION BY tenant ORDER BY started_at ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)"
    " FROM tollway.attempts",
    "SELECT arrayMap((x, y) -> x + y, [1], [2]), arrayReduce('max', [1, 2]), CAST(1 AS Decimal(38, 18)), 1::UInt8",
    "SELECT arrayMap(upper, ['a']), arraySort(negate, [1, 2]), arrayMap(length, [tenant]) FROM tollway.spans",
    "SELECT 1 AS region, 2 AS url, 3 AS input, 4 AS format ORDER BY region, url, input, format",
    "SELECT CASE WHEN 1 THEN 'a' ELSE 'b' END, INTERVAL 1 DAY + DATE '2026-01-01', EXTRACT(YEAR FROM now()), (1, 2).1",
    "SELECT * EXCEPT (usage_raw) FROM tollway.attempts WHERE tenant IN ('a', 'b') AND alias NOT IN (SELECT 'x')",
    "SELECT a.tenant FROM tollway.attempts AS a LEFT JOIN tollway.operations AS o USING (request_id) LIMIT 1",
    "SELECT tenant, alias, count() FROM tollway.spans GROUP BY GROUPING SETS ((tenant), (alias))",
    "SELECT * FROM values('a UInt8, b String', (1, 'x'))",
    "SELECT name FROM system.tables WHERE database = 'tollway'",
    "SELECT name, value FROM system.settings LIMIT 1",
    "SELECT table_name FROM information_schema.tables LIMIT 1",
    "SHOW TABLES FROM tollway", "SHOW DATABASES LIKE 'toll%'", "SHOW CREATE TABLE tollway.spans",
    "DESCRIBE tollway.rated_attempts", "DESCRIBE (SELECT 1 AS x)", "EXISTS TABLE tollway.spans",
    "EXPLAIN indexes = 1 SELECT count() FROM tollway.spans WHERE tenant = 'a'", "EXPLAIN AST SELECT 1",
    "SELECT 1 INTERSECT SELECT 1", "(SELECT 1) UNION DISTINCT (SELECT 2)", "FROM tollway.spans SELECT count()",
]  # fmt: skip


@pytest.fixture
def store(embedded_store):
    """What is told here is of the embedded store alone."""
    return embedded_store


@pytest.mark.parametrize("statement", READER_ATTACKS)
def test_a_reader_is_refused_with_a_clear_word(store, statement):
    with pytest.raises(DatabaseError) as refusal:
        store.reader.command(statement)
    assert refusal.value.code in (497, 164, 62, 48, 60), str(refusal.value)
    if refusal.value.code == 497:
        assert re.search(r"the embedded store refuses \S", str(refusal.value))
    assert "/bin" not in str(refusal.value)


@pytest.mark.parametrize("user", ["reader", "writer"])
@pytest.mark.parametrize("statement", BY_NAME)
def test_a_refused_function_is_refused_by_its_name_alone(store, user, statement):
    with pytest.raises(DatabaseError, match=r"the embedded store refuses function \S") as refusal:
        getattr(store, user).raw_query(statement)
    assert refusal.value.code == 497


@pytest.mark.parametrize("user", ["reader", "writer"])
@pytest.mark.parametrize("function", ["arrayMap", "arrayFilter", "arraySort"])
def test_a_refused_function_is_refused_by_a_parameter_that_names_it(store, user, function):
    asker, asked = getattr(store, user), f"SELECT {function}({{f:Identifier}}, ['{FILE}'])"
    if function == "arrayMap":
        assert b"HOSTNAME" in asker.raw_query(asked, parameters={"f": "upper"})  # Remembered, for that name only.
    for name in ("file", "FILE", "filesystemAvailable"):
        with pytest.raises(DatabaseError, match="the embedded store refuses function"):
            asker.raw_query(asked, parameters={"f": name})


def test_a_file_of_the_hosts_is_never_handed_out(store, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("a-password-nobody-may-see")
    files_known = [str(secret), "/etc/passwd"]
    for function in ("file", "`file`", '"file"', "FILE", "{f:Identifier}"):
        for call in (
            "arrayMap({}, {})", "arrayFilter({}, {})", "arraySort({}, {})", "arrayFold({}, {}, '')",
            "throwIf(1, arrayMap({}, {})[1])", "toUInt8(arrayMap({}, {})[1])",
        ):  # fmt: skip
            statement = "SELECT " + call.format(function, files_known)
            with pytest.raises(DatabaseError) as refusal:
                store.reader.raw_query(statement, parameters={"f": "file"})
            assert refusal.value.code == 497
            assert "a-password-nobody" not in str(refusal.value)
            assert "root:" not in str(refusal.value)


@pytest.mark.parametrize("statement", WRITER_ATTACKS)
def test_a_writer_may_not_reach_beyond_the_store_either(store, statement):
    before = store.reader.command("SELECT count() FROM tollway.spans")
    with pytest.raises(DatabaseError) as refusal:
        store.writer.command(statement)
    assert refusal.value.code in (497, 62, 48, 344), str(refusal.value)
    assert store.reader.command("SELECT count() FROM tollway.spans") == before


@pytest.mark.parametrize("statement", HONEST)
def test_an_honest_question_is_answered(store, statement):
    store.reader.raw_query(statement)


@pytest.mark.parametrize(
    "name",
    [
        "output_format_schema", "format_template_row", "format_avro_schema_registry_url", "dialect", "async_insert",
        "max_memory_usage", "allow_ddl", "implicit_select", "log_queries_probability", "format_schema",
        "max_execution_time; SET readonly",
    ],
)  # fmt: skip
def test_a_reader_may_not_send_a_setting_that_loosens_anything(store, name):
    with pytest.raises(DatabaseError, match=r"refuses setting|UNKNOWN_SETTING"):
        store.reader.raw_query("SELECT 1", settings={name: "1"})


def test_a_schema_in_a_file_is_refused_and_one_in_the_request_is_not(store):
    with pytest.raises(DatabaseError, match="names a file"):
        store.writer.raw_insert(
            "tollway.landing", insert_block=b"", fmt="ProtobufSingle", settings={"format_schema": FILE}
        )


def test_a_reader_may_name_only_the_stores_own_database(store):
    assert store.reader.raw_query("SELECT currentDatabase()", settings={"database": "default"}) == b"tollway\n"
    with pytest.raises(DatabaseError, match="database"):
        store.reader.raw_query("SELECT 1", settings={"database": "system"})


def test_every_schema_file_and_every_query_file_passes_the_guard(store):
    for file in sorted(files("sql").joinpath("queries").iterdir(), key=lambda f: f.name):
        statement = Statement(file.name, file.read_text("utf-8"))
        if "tollway_shard." in statement.text:
            continue  # Asked of a cluster's servers alone.
        given = {name: _some(kind) for name, kind in statement.params.items()}
        asker = store.reader if re.match(r"\s*(--[^\n]*\n\s*)*(SELECT|WITH)", statement.text) else store.writer
        if any(table in statement.text for table in ("system.processes", "system.macros")):
            asker = store.writer
        asker.raw_query(f"EXPLAIN AST {statement.text}", parameters=given)
    assert len(statements("SELECT ';'; -- a;b\nSELECT 2;")) == 2


def _some(kind):
    match kind:
        case _ if kind.startswith("Array"):
            return "[]"
        case _ if "Date" in kind:
            return "2026-01-01"
        case _ if "Int" in kind or "Decimal" in kind or "Float" in kind:
            return "1"
        case "Bool":
            return "true"
        case "Identifier":
            return "tollway"
        case _:
            return "x"


REVIEWED_ENGINE = "26.9.2.1"
REVIEWED_FUNCTIONS = 1885


def test_the_functions_of_this_engine_are_those_that_were_reviewed(store):
    """A newer engine brings functions nobody has looked at: judge them, then raise the numbers."""
    version, count = store.reader.query("SELECT version(), count() FROM system.functions").result_rows[0]
    assert (version, count) == (REVIEWED_ENGINE, REVIEWED_FUNCTIONS)
