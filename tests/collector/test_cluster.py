"""One shard's replicas: whichever answers, under one token; and what no shard can be asked."""

import pytest

from collector.batches import payload
from collector.cluster import ClusterStore, Shard
from collector.horizon import Horizon
from collector.ledger import OpenBatch
from collector.planning import plan_segment
from collector.store import ClickHouseStore, StoreDown
from collector.verdicts import Counted, Declined, Inserted, Uncertain
from sql import clients
from sql.credentials import WRITER
from sql.placement import SHARD_DATABASE
from tests.collector.emitting import keys
from tests.collector.spooled import content, kept
from tests.conftest import launch
from tests.sql.two_shards import keeperless

pytestmark = pytest.mark.slow
SHARDS = ("01", "02")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    running = launch(tmp_path_factory.mktemp("shard"), module="tests.sql.two_shards")
    for statement in keeperless():
        running.writer.command(statement)
    yield running
    running.kill()


def replica(server, url=None):
    def connect():
        return clients.writer(url or server.url, server.password(WRITER))

    return ClickHouseStore(connect, facts=SHARD_DATABASE)


def away(server):
    return replica(server, "http://127.0.0.1:9")


def begun(name):
    """A request's batches, one a shard, and the bytes of each."""
    held = content(kept(keys(12), sender="app", tenant="acme"))
    horizon = Horizon(horizon_s=1e6, keys_max=99)
    plan = plan_segment(1, held, horizon, spool_id=name, expected={}, shards=SHARDS)
    assert [batch.shard for batch in plan.batches] == list(SHARDS)
    return [(OpenBatch(batch), payload(batch, held)) for batch in plan.batches]


def test_what_one_replica_does_not_answer_for_lands_by_the_next_once(server):
    shard = Shard([away(server), replica(server)])
    (batch, otlp), *_ = begun("next")
    assert isinstance(shard.insert(batch, otlp), Uncertain)
    for _ in range(3):
        assert isinstance(shard.insert(batch, otlp), Inserted)
    assert shard.count(batch) == (Counted({"acme": batch.batch.rows}), False)


def test_a_count_goes_on_to_the_next_replica_and_names_each_that_did_not_answer(server):
    (batch, otlp), *_ = begun("count")
    Shard([replica(server)]).insert(batch, otlp)
    assert Shard([away(server), replica(server)]).count(batch) == (Counted({"acme": batch.batch.rows}), False)
    with pytest.raises(StoreDown, match=r"no replica of the shard answers: .*refused.*; .*refused"):
        Shard([away(server), away(server)]).count(batch)


def test_each_batch_goes_to_the_shard_that_its_ledger_names(server):
    store = ClusterStore(away(server), {"01": Shard([replica(server)]), "02": Shard([away(server)])})
    (first, otlp), (second, other) = begun("each")
    assert isinstance(store.insert(first, otlp), Inserted)
    assert store.count(first) == (Counted({"acme": first.batch.rows}), False)
    assert isinstance(store.insert(second, other), Uncertain)


def test_a_batch_of_a_shard_that_is_no_more_waits_and_says_what_to_do(server):
    store = ClusterStore(replica(server), {"02": Shard([replica(server)])})
    batch, otlp = next(one for one in begun("gone") if one[0].batch.shard == "01")
    said = store.insert(batch, otlp)
    assert isinstance(said, Declined)
    assert "was begun for shard 01; store.shards has no such: put it back until it landed" in said.reason
    with pytest.raises(StoreDown, match="shard 01"):
        store.count(batch)
