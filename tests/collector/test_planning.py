from dataclasses import replace

import pytest

from collector.batches import Batch, PayloadLost, SegmentContent, halves, join, payload, to_positions, to_ranges
from collector.horizon import Horizon
from collector.otlp import read_spans, split_keys
from collector.planning import SegmentPlan, plan_segment
from collector.records import SpoolRecord
from tests.collector.emitting import keys
from tests.collector.spooled import DAY_MS, NOON_MS, content, kept, resent


def plan(*records: SpoolRecord, seen: Horizon | None = None, expected: dict[str, int] | None = None) -> SegmentPlan:
    horizon = seen or Horizon(horizon_s=1e6, keys_max=1000)
    return plan_segment(7, content(*records), horizon, spool_id="ab", expected=expected or {})


def spans_of(batch: Batch, *records: SpoolRecord) -> list[bytes]:
    return split_keys(read_spans(payload(batch, content(*records))).keys)


def test_the_bodies_of_one_sender_are_one_batch_of_their_own_bytes_joined() -> None:
    records = kept(keys(2)), kept(keys(3))
    (batch,) = plan(*records).batches
    assert payload(batch, content(*records)) == records[0].body + records[1].body
    assert (batch.batch_id, batch.rows, batch.offsets, batch.dropped) == ("ab-7-0", 5, (0, 100), ())


def test_a_batch_has_one_sender_one_tenant_and_one_day() -> None:
    records = [
        kept(keys(1), sender="gateway", received_ms=NOON_MS + 5),
        kept(keys(1), sender="gateway", received_ms=NOON_MS + DAY_MS),
        kept(keys(1), sender="app", tenant="acme"),
        kept(keys(1), sender="app", tenant="globex"),
        kept(keys(1), sender="gateway", received_ms=NOON_MS),
    ]
    batches = plan(*records).batches
    assert [(b.sender, b.tenant, b.received_ms, b.offsets) for b in batches] == [
        ("gateway", None, NOON_MS, (0, 400)),
        ("gateway", None, NOON_MS + DAY_MS, (100,)),
        ("app", "acme", NOON_MS, (200,)),
        ("app", "globex", NOON_MS, (300,)),
    ]
    assert len({batch.batch_id for batch in batches}) == 4


def test_what_a_gateway_wrote_and_what_others_wrote_are_batches_of_their_own() -> None:
    one, other = kept(keys(1)), kept(keys(2))
    made = plan(replace(one, own=True), other, replace(kept(keys(3)), own=True))
    assert [(batch.own, batch.rows, batch.offsets) for batch in made.batches] == [
        (True, 4, (0, 200)),
        (False, 2, (100,)),
    ]
    assert all(Batch.from_json(batch.as_json()) == batch for batch in made.batches)


def test_days_part_at_midnight_in_utc() -> None:
    midnight = 20_000 * DAY_MS
    records = kept(keys(1), received_ms=midnight - 1), kept(keys(1), received_ms=midnight)
    assert [batch.received_ms for batch in plan(*records).batches] == [midnight - 1, midnight]


def test_spans_seen_before_are_left_out_and_counted() -> None:
    a, b, c, d = keys(4)
    seen = Horizon(horizon_s=1e6, keys_max=1000)
    seen.add("gateway", [b], NOON_MS)
    records = kept([a, b]), kept([c, a, d])
    made = plan(*records, seen=seen)
    (batch,) = made.batches
    assert spans_of(batch, *records) == [a, c, d]
    assert (batch.rows, to_positions(batch.dropped)) == (3, [1, 3])
    assert made.duplicates == {"gateway": 2}
    assert split_keys(made.keys["gateway"]) == [a, c, d]


def test_a_span_that_comes_again_on_the_next_day_of_the_same_segment_is_left_out() -> None:
    a, b = keys(2)
    records = kept([a]), kept([b, a], received_ms=NOON_MS + DAY_MS)
    made = plan(*records)
    assert [spans_of(batch, *records) for batch in made.batches] == [[a], [b]]
    assert made.duplicates == {"gateway": 1}


def test_where_all_is_known_there_is_no_batch() -> None:
    again = keys(2)
    seen = Horizon(horizon_s=1e6, keys_max=1000)
    seen.add("gateway", again, NOON_MS)
    made = plan(kept(again), resent(5), seen=seen)
    assert made.batches == ()
    assert made.duplicates == {"gateway": 7}


def test_spans_that_were_acknowledged_and_cannot_be_read_are_counted_as_damaged() -> None:
    made = plan(kept(keys(2)), expected={"gateway": 5, "app": 1})
    assert made.damaged == {"gateway": 3, "app": 1}


def test_the_same_segment_and_horizon_give_the_same_plan() -> None:
    records = kept(keys(2)), kept(keys(2), sender="app", tenant="x")
    assert plan(*records) == plan(*records)


def test_a_payload_is_made_again_or_not_at_all() -> None:
    records = kept(keys(2)), kept(keys(2))
    (batch,) = plan(*records).batches
    with pytest.raises(PayloadLost) as lost:
        payload(batch, SegmentContent({0: records[0]}))
    assert lost.value.rest == records[0].body
    with pytest.raises(PayloadLost):
        payload(batch, SegmentContent({0: records[0], 100: kept(keys(2))}))


@pytest.mark.parametrize("rows", [2, 3, 5])
def test_halves_are_the_whole_together_and_differ_in_size_by_one_at_most(rows: int) -> None:
    sent = keys(rows)
    records = (kept([sent[0], *sent]),)
    (batch,) = plan(*records).batches
    left, right = halves(batch, content(*records))
    assert spans_of(left, *records) + spans_of(right, *records) == sent
    assert abs(left.rows - right.rows) <= 1
    assert {left.batch_id, right.batch_id} == {f"{batch.batch_id}.a", f"{batch.batch_id}.b"}


@pytest.mark.parametrize(("sizes", "left"), [((1, 1), 1), ((9, 1), 9), ((2, 3, 4), 5), ((1, 1, 8), 2)])
def test_a_batch_of_several_bodies_is_parted_between_two_of_them(sizes: tuple[int, ...], left: int) -> None:
    records = [kept(keys(size)) for size in sizes]
    (batch,) = plan(*records).batches
    first, second = halves(batch, content(*records))
    assert (first.rows, second.rows) == (left, sum(sizes) - left)
    assert payload(first, content(*records)) + payload(second, content(*records)) == b"".join(r.body for r in records)


def test_halving_on_and_on_ends_with_every_span_alone() -> None:
    sent = keys(7)
    records = (kept(sent),)
    alone: list[bytes] = []
    open_batches = list(plan(*records).batches)
    while open_batches:
        batch = open_batches.pop(0)
        if batch.rows == 1:
            alone += spans_of(batch, *records)
        else:
            open_batches += halves(batch, content(*records))
    assert sorted(alone) == sorted(sent)


def test_a_batch_survives_the_ledger() -> None:
    records = kept([(twice := keys(1)[0]), twice, *keys(3)]), kept(keys(1), tenant="t")
    for batch in plan(*records).batches:
        assert Batch.from_json(batch.as_json()) == batch


@pytest.mark.parametrize(
    ("positions", "ranges"), [([], ()), ([3], ((3, 4),)), ([0, 1, 2, 5, 7, 8], ((0, 3), (5, 6), (7, 9)))]
)
def test_ranges_are_positions_in_short(positions: list[int], ranges: tuple[tuple[int, int], ...]) -> None:
    assert to_ranges(positions) == ranges
    assert to_positions(ranges) == positions


def test_a_body_that_cannot_be_taken_apart_is_told_as_such() -> None:
    group = b"\x1b\x1c"
    whole = kept(keys(2))
    strange = SpoolRecord(**{name: getattr(whole, name) for name in whole.__slots__} | {"body": whole.body + group})
    (batch,) = plan(strange).batches
    left, _ = halves(batch, content(strange))
    with pytest.raises(PayloadLost, match="taken apart"):
        payload(left, content(strange))


def test_joining_touches_only_the_bodies_that_lose_a_span() -> None:
    first, second = kept(keys(2)), kept(keys(2))
    assert join([first, second], ((0, 1),)).endswith(second.body)
