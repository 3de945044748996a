"""What a dead process left: its unfinished attempts, once each, under the ids they had; and nothing of a living one."""

import os
import shutil
import tempfile
from decimal import Decimal
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain import attributes as names
from gateway.domain.attempt import Intent
from gateway.domain.segments import SegmentWriter, read_records
from gateway.journal import records
from gateway.journal.journal import Journal
from gateway.journal.limits import Limits
from gateway.journal.outbox import Outbox
from gateway.journal.parked import Parked, read_parked
from gateway.journal.recovery import adopt_orphans
from tests.gateway import facts
from tests.gateway.journal.reading import CLIENT, SERVER, die, operations, outcomes, segments, ship, value


def journal(root: Path, worker: str = "worker-0", limits: Limits | None = None) -> Journal:
    return Journal(root, worker, limits=limits, keep=False)


def dead(root: Path, *intents: Intent) -> None:
    """A process that began these attempts and was killed."""
    books = journal(root)
    for intent in intents:
        books.intent(intent)
    die(books)


def test_an_attempt_under_way_becomes_a_lost_span_with_all_that_its_intent_knew(tmp_path: Path) -> None:
    intent = facts.intent(
        fallback_depth=2, attempt_index=2, fallback_reason="rate_limited", estimated_cost_usd=Decimal("0.00125")
    )
    dead(tmp_path, intent)
    (died_at,) = [path.stat().st_mtime_ns for path in segments(tmp_path)]
    successor = journal(tmp_path)
    (span,) = [span for span in ship(successor.outbox) if span.kind == CLIENT]
    assert (span.trace_id.hex(), span.span_id.hex()) == (intent.trace_id, intent.span_id)
    assert span.parent_span_id.hex() == intent.parent_span_id
    assert (span.start_time_unix_nano, span.end_time_unix_nano) == (intent.started_at, died_at)
    assert {name: value(span, name) for name in (
        names.ATTEMPT_ID, names.ATTEMPT_OUTCOME, names.ERROR_TYPE, names.USAGE_COMPLETENESS, names.USAGE_INPUT_TOKENS,
        names.TENANT, names.FALLBACK_REASON, names.FALLBACK_ESTIMATED_COST, names.REQUEST_BYTES, names.RATE_CARD,
    )} == {
        names.ATTEMPT_ID: intent.attempt_id, names.ATTEMPT_OUTCOME: "lost", names.ERROR_TYPE: "gateway_lost",
        names.USAGE_COMPLETENESS: "unknown", names.USAGE_INPUT_TOKENS: None, names.TENANT: "acme",
        names.FALLBACK_REASON: "rate_limited", names.FALLBACK_ESTIMATED_COST: "0.00125",
        names.REQUEST_BYTES: 4321, names.RATE_CARD: intent.rate_card,
    }  # fmt: skip
    assert successor.recovered.lost_attempts == 1


def test_an_operation_of_several_attempts_is_lost_once(tmp_path: Path) -> None:
    first = facts.intent(client_parent_span_id="e" * 16)
    second = facts.intent(trace_id=first.trace_id, parent_span_id=first.parent_span_id, attempt_index=1)
    dead(tmp_path, first, second)
    (span,) = [span for span in ship(journal(tmp_path).outbox) if span.kind == SERVER]
    assert span.span_id.hex() == first.parent_span_id
    assert span.start_time_unix_nano == first.operation_started_at
    assert (value(span, names.OPERATION_OUTCOME), value(span, names.ATTEMPTS)) == ("lost", 2)


def test_an_operation_is_lost_even_if_all_its_attempts_had_ended_and_were_shipped(tmp_path: Path) -> None:
    books, intent = journal(tmp_path), facts.intent()
    books.intent(intent)
    books.end(facts.attempt(intent))
    books.seal()
    assert outcomes(ship(books.outbox)) == {intent.attempt_id: "ok"}
    die(books)
    left = ship(journal(tmp_path).outbox)
    assert (outcomes(left), operations(left)) == ({}, {intent.parent_span_id: "lost"})


def test_what_had_ended_is_shipped_and_not_lost(tmp_path: Path) -> None:
    books, intent = journal(tmp_path), facts.intent()
    books.intent(intent)
    books.end(facts.attempt(intent))
    books.operation(facts.operation(intent))
    die(books)
    successor = journal(tmp_path)
    spans = ship(successor.outbox)
    assert (outcomes(spans), operations(spans)) == ({intent.attempt_id: "ok"}, {intent.parent_span_id: "ok"})
    assert (successor.recovered.lost_attempts, successor.recovered.folders) == (0, 1)


def test_a_transition_is_shipped_and_one_of_a_dead_process_is_too(tmp_path: Path) -> None:
    books, first, second = journal(tmp_path), facts.transition(), facts.transition()
    books.transition(first)
    books.seal()
    assert [span.span_id.hex() for span in ship(books.outbox)] == [first.span_id]
    books.transition(second)
    die(books)
    successor = journal(tmp_path)
    assert [span.span_id.hex() for span in ship(successor.outbox)] == [second.span_id]
    assert (successor.recovered.lost_attempts, successor.recovered.damaged_records) == (0, 0)


def test_feedback_is_shipped_and_that_of_a_dead_process_is_too(tmp_path: Path) -> None:
    books, first, second = journal(tmp_path), facts.feedback(), facts.feedback()
    books.feedback(first)
    books.seal()
    assert [span.span_id.hex() for span in ship(books.outbox)] == [first.span_id]
    books.feedback(second)
    die(books)
    successor = journal(tmp_path)
    (span,) = ship(successor.outbox)
    assert (span.span_id.hex(), span.trace_id.hex(), span.parent_span_id.hex()) == (
        second.span_id, second.trace_id, second.parent_span_id,
    )  # fmt: skip
    assert (successor.recovered.lost_attempts, successor.recovered.damaged_records) == (0, 0)


def test_an_intent_is_read_as_it_was_written_decimals_included() -> None:
    intent = facts.intent(estimated_cost_usd=Decimal("0.000000000000000001"), batch_size=3, route="/v1/embeddings")
    assert records.decode_intent(records.encode_intent(intent)) == intent


def test_a_torn_tail_is_cut_and_the_rest_is_kept_wherever_the_write_was_cut(tmp_path: Path) -> None:
    whole, torn = facts.intent(), facts.intent()
    dead(tmp_path / "sample", whole, torn)
    (sample,) = segments(tmp_path / "sample")
    size = sample.stat().st_size
    last = size // 2 + size % 2
    for cut in (last, last + 1, last + 5, last + 9, (last + size) // 2, size - 1):
        root = tmp_path / str(cut)
        shutil.copytree(tmp_path / "sample", root)
        os.truncate(segments(root)[0], cut)
        assert outcomes(ship(journal(root).outbox)) == {whole.attempt_id: "lost"}


def test_an_end_that_rotted_on_the_disk_leaves_a_lost_attempt_not_none(tmp_path: Path) -> None:
    books, intent, other = journal(tmp_path), facts.intent(), facts.intent()
    books.intent(intent)
    books.intent(other)
    books.end(facts.attempt(intent))
    middle = books._log.position[1] - 100
    books.end(facts.attempt(other))
    die(books)
    (segment,) = segments(tmp_path)
    flipped = bytearray(segment.read_bytes())
    flipped[middle] ^= 0x10
    segment.write_bytes(flipped)
    successor = journal(tmp_path)
    assert successor.recovered.damaged_records == 1
    assert outcomes(ship(successor.outbox)) == {intent.attempt_id: "lost", other.attempt_id: "ok"}


def test_a_torn_tail_is_gone_when_its_segment_is_shipped_and_the_time_of_death_is_not(tmp_path: Path) -> None:
    dead(tmp_path, facts.intent(), facts.intent())
    (segment,) = segments(tmp_path)
    os.truncate(segment, segment.stat().st_size - 5)
    died_at = segment.stat().st_mtime_ns
    successor = journal(tmp_path)
    assert successor.recovered.torn_bytes > 0
    assert (read_records(segment).torn_bytes, segment.stat().st_mtime_ns) == (0, died_at)


@pytest.mark.parametrize("which", [0, 1, -1])
def test_a_length_that_rotted_in_a_dead_writers_last_segment_is_damage_and_not_a_tail(
    tmp_path: Path, which: int
) -> None:
    dead(tmp_path, *(facts.intent() for _ in range(3)))
    (segment,) = segments(tmp_path)
    flipped = bytearray(segment.read_bytes())
    flipped[read_records(segment).records[which].offset + 2] ^= 1
    segment.write_bytes(flipped)
    successor = journal(tmp_path)
    assert segment.read_bytes() == flipped
    assert (successor.recovered.damaged_records, successor.recovered.torn_bytes) == (1, 0)


def test_recovering_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    dead(tmp_path / "one", facts.intent(), facts.intent())
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    for root in (tmp_path / "one", tmp_path / "two"):
        adopt_orphans(root, Outbox(), Parked(root, "nobody"))
    one, two = ([path.read_bytes() for path in segments(tmp_path / name)] for name in ("one", "two"))
    assert one == two
    assert len(one) == 2


def test_a_recovery_that_died_before_it_was_whole_is_done_again(tmp_path: Path) -> None:
    intent = facts.intent()
    dead(tmp_path, intent)
    (folder,) = [path.parent for path in segments(tmp_path)]
    half = SegmentWriter(folder / "00000002.tmp")
    half.append(records.END, b"half of it")
    half.close()
    assert outcomes(ship(journal(tmp_path).outbox)) == {intent.attempt_id: "lost"}


def test_a_recovery_that_died_while_it_shipped_is_not_done_again(tmp_path: Path) -> None:
    intent = facts.intent()
    dead(tmp_path, intent)
    first = journal(tmp_path)
    shipped = ship(first.outbox, 1)
    die(first)
    second = journal(tmp_path)
    assert second.recovered.lost_attempts == 0
    assert outcomes(shipped + ship(second.outbox)) == {intent.attempt_id: "lost"}


def test_an_emptied_folder_is_removed(tmp_path: Path) -> None:
    dead(tmp_path, facts.intent())
    successor = journal(tmp_path)
    ship(successor.outbox)
    assert {path.name for path in tmp_path.iterdir()} == {"parked", successor._folder.path.name}


def test_a_living_siblings_attempts_are_never_declared_lost(tmp_path: Path) -> None:
    alive, intent = journal(tmp_path, "worker-0"), facts.intent()
    alive.intent(intent)
    sibling = journal(tmp_path, "worker-1")
    namesake = journal(tmp_path, "worker-0")
    assert (sibling.recovered.folders, namesake.recovered.folders) == (0, 0)
    alive.end(facts.attempt(intent))
    alive.seal()
    assert outcomes(ship(alive.outbox)) == {intent.attempt_id: "ok"}


def test_a_dead_folder_is_taken_by_one_of_two_that_start_at_once(tmp_path: Path) -> None:
    dead(tmp_path, facts.intent())
    first, second = journal(tmp_path, "worker-1"), journal(tmp_path, "worker-2")
    assert (first.recovered.lost_attempts, second.recovered.lost_attempts) == (1, 0)
    die(first)
    third = journal(tmp_path, "worker-1")
    assert len(outcomes(ship(third.outbox))) == 1


def test_an_intent_of_another_version_is_read_as_far_as_it_is_known(tmp_path: Path) -> None:
    intent = facts.intent()
    payload = records.encode_intent(intent)
    fields = orjson.loads(payload[24:])
    del fields["server_port"]
    newer = payload[:24] + orjson.dumps(fields | {"colour": "blue"})
    books = journal(tmp_path)
    books._log.append(records.INTENT, newer)
    die(books)
    assert outcomes(ship(journal(tmp_path).outbox)) == {intent.attempt_id: "lost"}


def test_an_intent_that_cannot_be_read_is_set_aside_with_the_reason(tmp_path: Path) -> None:
    intent, odd = facts.intent(), b"\x01" * 24 + b"{"
    books = journal(tmp_path)
    books.intent(intent)
    books._log.append(records.INTENT, odd)
    die(books)
    successor = journal(tmp_path)
    assert outcomes(ship(successor.outbox)) == {intent.attempt_id: "lost"}
    (parked,) = (tmp_path / "parked").iterdir()
    ((reason, payload),) = read_parked(parked)
    assert ("cannot be read" in reason, payload) == (True, odd)


MOVES = st.lists(st.sampled_from(["begin", "end", "answer", "seal", "ship", "die"]), max_size=40)


@settings(max_examples=60, deadline=None)
@given(MOVES)
def test_whatever_happens_in_whatever_order_each_attempt_and_each_operation_has_one_span(moves: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        live_through(Path(folder), moves)


def live_through(root: Path, moves: list[str]) -> None:
    """Make the moves on real files, die, recover, and compare with what was told to the journal."""
    books = journal(root, limits=Limits(segment_bytes=2048))
    begun: list[Intent] = []
    running: list[Intent] = []
    ended: list[Intent] = []
    answered: set[str] = set()
    truth: dict[str, str] = {}
    shipped = []
    for move in moves:
        if move == "begin":
            running.append(facts.intent())
            begun.append(running[-1])
            books.intent(running[-1])
        elif move == "end" and running:
            ended.append(running.pop(0))
            truth[ended[-1].attempt_id] = "ok"
            books.end(facts.attempt(ended[-1]))
        elif move == "answer" and ended:
            books.operation(facts.operation(ended[0]))
            answered.add(ended.pop(0).parent_span_id)
        elif move == "seal":
            books.seal()
        elif move == "ship":
            shipped += ship(books.outbox, 1)
        elif move == "die":
            die(books)
            truth |= {intent.attempt_id: "lost" for intent in running}
            running, ended = [], []
            books = journal(root, limits=Limits(segment_bytes=2048))
    die(books)
    truth |= {intent.attempt_id: "lost" for intent in running}
    shipped += ship(journal(root).outbox)
    assert outcomes(shipped) == truth
    assert operations(shipped) == {
        intent.parent_span_id: "ok" if intent.parent_span_id in answered else "lost" for intent in begun
    }
