"""The same files on one server and over a cluster: what each becomes, and that the engine takes all of both."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import sql
from gateway.telemetry.spans import SpanEncoder
from sql import landing
from sql.migrations import available, views
from sql.placement import FACTS, Placement
from tests.conftest import launch
from tests.gateway import facts
from tests.sql.two_shards import CLUSTER, ON_CLUSTER, keeperless

QUERIES = sorted(path.stem for path in (Path(sql.__file__).parent / "queries").glob("*.sql"))
NAMED = re.compile(r"\s*(?:--[^\n]*\n\s*)*CREATE (?:OR REPLACE )?TABLE (?:IF NOT EXISTS )?(\w+)\.(\w+)")
VALUES = {
    "String": "acme",
    "Array(String)": [],
    "UInt64": 1000,
    "UInt32": 1,
    "UInt16": 1,
    "UInt8": 1,
    "Bool": False,
    "Identifier": "rollup_days",
}
DAY = facts.START // (86_400 * 10**9) * 86_400 * 10**9
NAMED_VALUES = {
    "batch_id": "b", "facts": "tollway", "grain": "day",
    "hosts": ["mac-1"], "sinces": [DAY], "untils": [DAY + 86_400 * 10**9],
}  # fmt: skip


def rendered(cluster: str) -> list[str]:
    placement = Placement(cluster)
    return [one for file in (*available(), *views()) for one in placement.statements(file.text)]


def tables(cluster: str) -> dict[str, str]:
    """Table to the text that makes it last, each table of both databases."""
    made = {}
    for one in rendered(cluster):
        if found := NAMED.match(one):
            made[f"{found[1]}.{found[2]}"] = one
    return made


def test_on_one_server_a_statement_is_the_files_own_with_a_plain_engine():
    assert Placement().statements("CREATE TABLE tollway.a {on_cluster} (x UInt8)\nENGINE = {engine}\nORDER BY x;") == [
        "CREATE TABLE tollway.a  (x UInt8)\nENGINE = MergeTree\nORDER BY x"
    ]
    assert not any("{" in re.sub(r"--[^\n]*", "", one) for one in rendered(""))


def test_on_a_cluster_every_table_with_rows_is_replicated_and_none_has_anothers_path():
    paths = []
    for name, text in tables(CLUSTER).items():
        engine = re.search(r"^ENGINE = (\w+)(?:\('([^']+)', '([^']+)'(?:, settled)?\))?", text, re.MULTILINE)
        assert engine is not None, name
        kind, path, replica = engine.groups()
        assert kind in ("Null", "Distributed") or re.fullmatch(r"Replicated\w*MergeTree", kind), name
        if kind.startswith("Replicated"):
            own_shard = name.startswith("tollway_shard.")
            assert ("/{shard}/" in path) == own_shard, "a path with the shard in it is that shard's alone"
            assert replica == ("{replica}" if own_shard else "{shard}-{replica}")
            paths.append(path)
    assert len(set(paths)) == len(paths) > 5


def test_facts_lie_in_shards_and_are_read_under_the_name_that_queries_know():
    made = tables(CLUSTER)
    for name in FACTS:
        assert f"Distributed('{CLUSTER}', 'tollway_shard', '{name}')" in made[f"tollway.{name}"]
        assert f"tollway_shard.{name}" in made
    changed = [one for one in rendered(CLUSTER) if "ALTER TABLE tollway_shard." in one]
    assert len(changed) == sum("CREATE OR REPLACE TABLE tollway." in one for one in rendered(CLUSTER)) - len(FACTS)


def test_a_spread_tables_change_goes_to_every_shard_and_a_small_tables_to_one_server_that_tells_the_others():
    column = "ALTER TABLE tollway.{} {{on_cluster}}\n    ADD COLUMN IF NOT EXISTS y UInt8;"
    spread = Placement("c").statements(column.format("spans"))
    assert [one.split("\n")[0] for one in spread] == [
        "ALTER TABLE tollway_shard.spans ON CLUSTER 'c'",
        "CREATE OR REPLACE TABLE tollway.spans ON CLUSTER 'c' AS tollway_shard.spans",
    ]
    (small,) = Placement("c").statements(column.format("rate_cards"))
    assert "ON CLUSTER" not in small
    assert small.startswith("ALTER TABLE tollway.rate_cards")


def test_a_table_made_like_another_gets_replicas_of_its_own():
    (made,) = Placement("c").statements("CREATE TABLE IF NOT EXISTS tollway.b {on_cluster} AS tollway.a;")
    assert made.endswith("ENGINE = ReplicatedMergeTree('/clickhouse/tables/c/tollway/every/b', '{shard}-{replica}')")


def test_an_engines_kind_stays_what_it_is():
    (made,) = Placement("c").statements("CREATE TABLE tollway.b {on_cluster} (x UInt8)\nENGINE = Aggregating{engine};")
    assert "ENGINE = ReplicatedAggregatingMergeTree('" in made


@pytest.mark.parametrize("name", ["a b", "a'b", "{x}"])
def test_a_clusters_name_that_is_no_name_is_refused(name):
    with pytest.raises(ValueError, match="letters, digits"):
        Placement(name)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    running = launch(tmp_path_factory.mktemp("cluster"), module="tests.sql.two_shards")
    yield running
    running.kill()  # A clean end waits a minute for replicas that were never up.


@pytest.mark.slow
@pytest.mark.parametrize("name", ["", CLUSTER])
def test_the_engine_parses_every_statement_of_schema_and_views(cluster, name):
    for one in rendered(name):
        assert cluster.writer.command("SELECT formatQuery({q:String})", parameters={"q": one})


@pytest.mark.slow
@pytest.mark.parametrize("name", QUERIES)
def test_the_engine_parses_every_query(cluster, name):
    assert cluster.writer.command("SELECT formatQuery({q:String})", parameters={"q": sql.load(name).text})


def remade(cluster, statements):
    there = cluster.writer.query("SELECT database, name FROM system.tables WHERE database LIKE 'tollway%'")
    for database, name in there.result_rows:
        cluster.writer.command(f"DROP TABLE {database}.{name} SYNC")
    for one in statements:
        cluster.writer.command(one)


def land(cluster, payload, token):
    landing.insert(
        cluster.writer, payload, batch_id="b", sender="gateway", tenant="", received_at_ms=1_793_000_123_456,
        token=token, query_id=token,
    )  # fmt: skip


def answers(cluster):
    """What each query that only asks says of all that is there."""
    since = datetime(2020, 1, 1, tzinfo=UTC)
    found = {}
    for name in QUERIES:
        statement = sql.load(name)
        of_server = name.startswith(("bench_", "fitness_", "schema_")) or "tollway_shard" in statement.text
        if of_server or re.search(r"^(INSERT|ALTER|TRUNCATE|DELETE|SYSTEM|OPTIMIZE)", statement.text, re.MULTILINE):
            continue
        given = dict(statement.params)
        for param, kind in given.items():
            instant = since + timedelta(days=20_000 if param == "until" else 0)
            given[param] = instant if kind.startswith("DateTime64") else VALUES.get(kind, [since.date()])
        given |= {name: value for name, value in NAMED_VALUES.items() if name in given}
        found[name] = sorted(map(repr, sql.fetch(cluster.writer, name, **given).to_dicts()))
    return found


@pytest.mark.slow
def test_every_query_over_two_shards_says_what_it_says_of_the_same_rows_on_one_server(cluster):
    """Each shard is the same server, so one landing is there twice; on one server it is landed twice."""
    encoder = SpanEncoder("w")
    intent = facts.intent(host="mac-1")
    payload = encoder.attempt(facts.attempt(intent)) + encoder.operation(facts.operation(intent))
    payload += encoder.attempt(facts.attempt()) + encoder.transition(facts.transition())
    remade(cluster, rendered(""))
    for token in ("one", "two"):
        land(cluster, payload, token)
    expected = answers(cluster)
    remade(cluster, keeperless())
    land(cluster, payload, "one")
    assert cluster.writer.command("SELECT count() FROM tollway_shard.spans") == 4
    found = answers(cluster)
    assert [] not in (expected["deploy_landed"], expected["host_busy"], expected["host_sent"])
    assert found == expected


@pytest.mark.slow
def test_an_engine_with_a_keeper_makes_every_table_of_a_cluster(cluster):
    """The last one here: replicas that were never up cannot be changed, nor dropped again."""
    making = [one.replace(ON_CLUSTER, "") for one in rendered(CLUSTER) if NAMED.match(one)]
    remade(cluster, ["CREATE DATABASE IF NOT EXISTS tollway_shard", *making, *making])
    made = cluster.writer.query(
        "SELECT database || '.' || name, engine FROM system.tables "
        "WHERE database LIKE 'tollway%' AND engine NOT LIKE '%View'"
    )
    assert dict(made.result_rows) == {
        name: "Null" if name == "tollway.landing" else kind
        for name, text in tables(CLUSTER).items()
        for kind in re.findall(r"^ENGINE = (\w+)", text, re.MULTILINE)
    }
