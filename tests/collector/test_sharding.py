"""Batches of one shard each: a trace lies whole in one, a batch stays at its own whatever becomes of the others."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from collector.batches import Batch, halves, payload
from collector.horizon import Horizon
from collector.ledger import Ledger
from collector.otlp import KEY_BYTES, TRACE_ID_BYTES, read_spans, split_keys
from collector.planning import SegmentPlan, plan_segment
from collector.records import SpoolRecord
from collector.settings import Limits
from collector.sharding import shard_of
from tests.collector.emitting import keys
from tests.collector.house import House
from tests.collector.pretend_store import Fault
from tests.collector.spooled import NOON_MS, content, kept

SHARDS = ("01", "02", "03")


def key(trace: int, span: int = 1) -> bytes:
    return trace.to_bytes(TRACE_ID_BYTES, "big") + span.to_bytes(KEY_BYTES - TRACE_ID_BYTES, "big")


def plan(*records: SpoolRecord, shards: tuple[str, ...] = SHARDS, seen: Horizon | None = None) -> SegmentPlan:
    horizon = seen or Horizon(horizon_s=1e6, keys_max=1000)
    return plan_segment(7, content(*records), horizon, spool_id="ab", expected={}, shards=shards)


def spans_of(batch: Batch, *records: SpoolRecord) -> list[bytes]:
    return split_keys(read_spans(payload(batch, content(*records))).keys)


traces = st.lists(st.lists(st.integers(1, 40), min_size=1, max_size=6), min_size=1, max_size=5)


@given(traces, st.integers(2, 5))
def test_every_span_is_in_one_batch_and_a_trace_in_the_batches_of_one_shard(
    bodies: list[list[int]], count: int
) -> None:
    span = iter(range(1, 1000))
    records = [kept([key(trace, next(span)) for trace in body]) for body in bodies]
    shards = tuple(f"{number:02}" for number in range(count))
    batches = plan(*records, shards=shards).batches
    landed = [(one, batch.shard) for batch in batches for one in spans_of(batch, *records)]
    assert Counter(one for one, _ in landed) == Counter(split_keys(b"".join(record.keys for record in records)))
    assert all(shard == shard_of(one[:TRACE_ID_BYTES], shards) for one, shard in landed)
    assert [batch.rows for batch in batches] == [len(spans_of(batch, *records)) for batch in batches]
    assert len({batch.batch_id for batch in batches}) == len(batches)


def test_a_batch_names_only_the_records_that_have_spans_of_its_shard() -> None:
    by_shard: dict[str, int] = {}
    for trace in range(50):
        by_shard.setdefault(shard_of(key(trace)[:TRACE_ID_BYTES], SHARDS), trace)
    records = [kept([key(by_shard[shard], 1), key(by_shard[shard], 2)]) for shard in SHARDS]
    batches = plan(*records).batches
    assert [(b.shard, b.offsets) for b in batches] == [("01", (0,)), ("02", (100,)), ("03", (200,))]
    assert payload(batches[1], content(*records)) == records[1].body


def test_spans_that_are_known_are_in_no_shards_batch() -> None:
    record = kept([key(trace) for trace in range(30)])
    seen = Horizon(horizon_s=1e6, keys_max=1000)
    seen.add("gateway", [key(trace) for trace in range(0, 30, 2)], NOON_MS)
    planned = plan(record, seen=seen)
    assert planned.duplicates == {"gateway": 15}
    landed = {one for batch in planned.batches for one in spans_of(batch, record)}
    assert landed == {key(trace) for trace in range(1, 30, 2)}


def test_traces_spread_over_the_shards_alike_whatever_their_ids_look_like() -> None:
    for shift in (0, 64, 96):
        found = Counter(shard_of((number << shift).to_bytes(16, "big"), ("01", "02")) for number in range(10_000))
        assert min(found.values()) > 4_000


def test_both_halves_of_a_batch_stay_at_its_shard() -> None:
    record = kept([key(trace) for trace in range(30)])
    for batch in plan(record).batches:
        assert {half.shard for half in halves(batch, content(record))} == {batch.shard}


def test_a_batch_keeps_its_shard_over_a_restart_and_an_older_ledgers_batch_is_one_servers(tmp_path) -> None:
    record = kept([key(trace) for trace in range(30)])
    ledger = Ledger(tmp_path, lambda _: None, now_ms=NOON_MS)
    ledger.plan(plan(record))
    ledger.close()
    again = Ledger(tmp_path, lambda _: None, now_ms=NOON_MS)
    assert {one.batch.shard for one in again.state.open.values()} == set(SHARDS)
    again.close()
    (batch,) = plan(record, shards=("",)).batches
    old = {name: value for name, value in batch.as_json().items() if name != "shard"}
    assert Batch.from_json(old) == batch


def test_a_batch_that_was_begun_stays_at_its_shard_when_a_shard_is_added(tmp_path) -> None:
    house = House(tmp_path, shards=("01", "02"))
    house.receive(kept([key(trace) for trace in range(30)]))
    house.store.faults.extend([Fault.NO_ANSWER_LOST] * 2)
    house.turns(4)
    begun = {one.batch.batch_id: one.batch.shard for one in house.ledger.state.open.values()}
    assert set(begun.values()) == {"01", "02"}
    house.shards = ("01", "02", "03")
    house.restart()
    house.turns()
    assert house.store.shards == begun
    assert house.pending == 0


def test_while_one_shard_is_away_all_that_goes_to_others_lands_and_it_is_asked_now_and_then(
    tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr("collector.lander.TAKE_S", 0.0)
    asked = []
    house = House(tmp_path, shards=("01", "02"), limits=Limits(free_bytes_min=0, segment_rows_max=1, set_aside_max=2))
    insert = house.store.insert

    def noted(batch, otlp):
        asked.append(batch.batch.shard)
        return insert(batch, otlp)

    monkeypatch.setattr(house.store, "insert", noted)
    house.store.away = "01"
    for _ in range(20):
        house.receive(kept(keys(4)))
        house.turns(20)
    assert set(house.store.shards.values()) == {"02"}
    there = {one.batch.shard for one in house.ledger.state.open.values()}
    assert there == {"01"}, "all else has landed, though more than are set aside wait for the other shard"
    assert len(house.ledger.state.open) > 2
    assert asked.count("01") < asked.count("02"), "not once for each batch that waits"
    house.store.away = None
    house.time.s += house.limits.retry_s_max
    house.turns()
    assert set(house.store.shards.values()) == {"01", "02"}
    assert house.pending == 0
