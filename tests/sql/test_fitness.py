"""A server that would count spans twice is refused before it holds any, and told why."""

from dataclasses import replace

import pytest

from sql import fitness
from sql.fitness import FORMATS, Server, Unfit, faults
from sql.placement import Placement

ONE, MANY = Placement(), Placement("main")
MADE = "MergeTree ORDER BY x SETTINGS non_replicated_deduplication_window = 10000, replicated_deduplication_window = 0"
FIT = Server(lacks=frozenset(), formats=FORMATS, database_engine="Atomic", spans_engine=MADE)
NODE = replace(FIT, shard="01", replica="a", shards=2, spans_engine=MADE.replace("window = 0", "window = 5"))


@pytest.mark.parametrize(
    ("server", "said"),
    [
        (
            replace(FIT, lacks=frozenset({"insert_deduplicate"})),
            "does not let be set: insert_deduplicate; lift",
        ),
        (
            replace(FIT, formats=FORMATS - {"ProtobufSingle"}),
            "does not read the format ProtobufSingle: use",
        ),
        (replace(FIT, database_engine="Ordinary"), "database tollway has the engine Ordinary: make it anew"),
        (replace(FIT, spans_engine="MergeTree ORDER BY x"), "tollway.spans remembers no tokens: ALTER TABLE"),
        (replace(FIT, spans_engine=MADE.replace("10000", "0")), "MODIFY SETTING non_replicated_deduplication_window"),
    ],
)
def test_what_keeps_one_server_from_being_the_store_is_told_with_the_way_out(server, said):
    (found,) = faults(server, ONE)
    assert said in found
    assert faults(FIT, ONE) == faults(replace(FIT, spans_engine="", database_engine=""), ONE) == []


@pytest.mark.parametrize(
    ("server", "said"),
    [
        (replace(NODE, shards=0), "it knows no cluster 'main': name one of its remote_servers in store.cluster"),
        (replace(NODE, shards=3), "its cluster 'main' has 3 shards, store.shards names 2"),
        (replace(NODE, replica=""), "it has no macros shard and replica"),
        (replace(NODE, shard="02"), "its macro shard is '02', store.shards has it under '01'"),
        (replace(NODE, spans_engine=MADE), "tollway_shard.spans remembers no tokens: ALTER TABLE tollway_shard.spans "),
    ],
)
def test_what_keeps_a_server_from_being_a_shards_replica_is_told_with_the_way_out(server, said):
    (found,) = faults(server, MANY, shard="01", shards=2)
    assert said in found
    assert faults(NODE, MANY, shard="01", shards=2) == []


def test_all_that_is_wrong_is_said_at_once():
    assert len(faults(Server(lacks=frozenset({"x"}), formats=frozenset()), MANY)) == 4


class Older:
    """A server of that version, which would not even understand the question."""

    def __init__(self, version):
        self.server_version = version


@pytest.mark.parametrize("version", ["18.16.1", "25.7.9.1"])
def test_a_version_before_25_8_is_refused_by_its_name(version):
    with pytest.raises(Unfit, match=rf"it is ClickHouse {version}.*from 25.8 on: upgrade it"):
        fitness.require(Older(version), ONE)


@pytest.mark.slow
def test_a_server_that_deduplicates_passes_and_shows_it_through_a_view(store):
    fitness.require(store.writer, ONE)
    fitness.prove(store.writer, ONE)
    assert store.writer.command("SELECT count() >= 3 FROM tollway.probe")


@pytest.mark.slow
def test_a_server_that_does_not_deduplicate_is_refused_with_what_it_was_seen_to_do(store):
    setting = "ALTER TABLE tollway.probe MODIFY SETTING non_replicated_deduplication_window"
    store.writer.command(f"{setting} = 0")
    try:
        with pytest.raises(Unfit, match="does not deduplicate: of 3 rows sent twice under one token it has 6"):
            fitness.prove(store.writer, ONE)
    finally:
        store.writer.command(f"{setting} = 10000")
