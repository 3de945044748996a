"""The journal by itself: what is on the disk after each call, when segments are sealed, and when it refuses."""

import asyncio
import errno
from decimal import Decimal
from pathlib import Path

import pytest

from gateway.domain.attempt import Intent, Outcome
from gateway.domain.reasons import Reason
from gateway.domain.segments import read_records
from gateway.flow.content import CONTENT_BYTES_MAX
from gateway.journal import records
from gateway.journal.journal import Journal
from gateway.journal.limits import JournalFull, Limits
from tests.gateway import facts
from tests.gateway.journal.reading import die, kinds, operations, outcomes, ship, written

TINY = Limits(segment_bytes=4096, max_bytes=1024**2)


def journal(root: Path, limits: Limits | None = None, worker: str = "worker-0") -> Journal:
    """One without a thread: nothing happens but what a test does."""
    return Journal(root, worker, limits=limits, keep=False)


def fill(books: Journal, **changes: str) -> list[Intent]:
    """Begin attempts until one is refused; those that were not."""
    admitted: list[Intent] = []
    while True:
        intent = facts.intent(**changes)
        try:
            books.intent(intent)
        except JournalFull:
            return admitted
        admitted.append(intent)


def test_an_intent_is_on_the_disk_when_the_call_returns(tmp_path: Path) -> None:
    books, intent = journal(tmp_path), facts.intent(estimated_cost_usd=Decimal("1E-9"))
    books.intent(intent)
    (record,) = written(tmp_path)
    assert (record.kind, record.payload[:16].hex()) == (records.INTENT, intent.attempt_id)
    assert records.decode_intent(record.payload).request_id == intent.request_id


def test_an_intent_survives_the_way_to_the_disk_and_back_field_by_field() -> None:
    intent = facts.intent(estimated_cost_usd=Decimal("0.000000000000000001"), fallback_reason=Reason.TIMEOUT)
    assert records.decode_intent(records.encode_intent(intent)) == intent


def test_an_intent_that_json_cannot_carry_is_kept_all_the_same() -> None:
    kept = records.decode_intent(records.encode_intent(facts.intent(request_id="a\ud800b")))
    assert kept.request_id == "a?b"


def test_spans_are_sealed_half_a_second_after_the_first_was_seen(tmp_path: Path) -> None:
    books, intent = journal(tmp_path), facts.intent()
    books.intent(intent)
    books.end(facts.attempt(intent))
    books.tick(10.0)
    books.tick(10.49)
    assert len(books.outbox) == 0
    books.tick(10.5)
    assert outcomes(ship(books.outbox)) == {intent.attempt_id: "ok"}


def test_a_segment_of_intents_alone_is_not_sealed_by_age(tmp_path: Path) -> None:
    books = journal(tmp_path)
    books.intent(facts.intent())
    for now in (10.0, 10.5, 100.0):
        books.tick(now)
    assert (len(books.outbox), kinds(tmp_path)) == (0, [records.INTENT])


def test_what_is_unfinished_is_carried_into_the_new_segment(tmp_path: Path) -> None:
    books = journal(tmp_path)
    running, answered, over = facts.intent(), facts.intent(), facts.intent()
    for intent in (running, answered, over):
        books.intent(intent)
    books.end(facts.attempt(answered))
    books.end(facts.attempt(over))
    books.operation(facts.operation(over))
    books.seal()
    ship(books.outbox)
    (carry,) = written(tmp_path)
    carried = {payload[:16].hex(): is_open for is_open, payload in records.decode_carry(carry.payload)}
    assert carried == {running.attempt_id: True, answered.attempt_id: False}


def test_a_segment_that_reaches_its_size_is_sealed_and_the_next_begins_small(tmp_path: Path) -> None:
    books = journal(tmp_path, TINY)
    finished = [facts.intent() for _ in range(20)]
    for intent in finished:
        books.intent(intent)
        books.end(facts.attempt(intent))
        books.operation(facts.operation(intent))
    books.tick(0.0)
    assert len(books.outbox) > 5
    assert set(outcomes(ship(books.outbox))) <= {intent.attempt_id for intent in finished}
    books.seal()
    assert books.stats().bytes < 4096


def test_many_open_intents_do_not_make_each_append_rotate(tmp_path: Path) -> None:
    books = journal(tmp_path, TINY)
    for _ in range(40):
        books.intent(facts.intent())
    books.tick(0.0)
    carried = [path for path in tmp_path.glob("*/*.seg") if read_records(path).records[0].kind == records.CARRY]
    assert 3 < len(carried) < 12


def test_a_sealed_segment_is_deleted_by_its_acknowledgement_alone(tmp_path: Path) -> None:
    books, intent = journal(tmp_path), facts.intent()
    books.intent(intent)
    books.end(facts.attempt(intent))
    books.seal()
    sealed = books.outbox.head(0)
    assert sealed is not None
    assert sealed.path.exists()
    books.outbox.done(sealed)
    assert not sealed.path.exists()
    assert books.outbox.bytes == 0


def test_a_full_journal_refuses_intents_and_keeps_room_for_what_is_under_way(tmp_path: Path) -> None:
    books = journal(tmp_path, Limits(max_bytes=64 * 1024))
    admitted = fill(books)
    with pytest.raises(OSError, match="nobody took yet") as refusal:
        books.intent(facts.intent())
    assert refusal.value.errno == errno.ENOSPC
    for intent in admitted:
        books.end(facts.attempt(intent))
        books.operation(facts.operation(intent))
    assert books.stats().bytes <= 64 * 1024
    books.seal()
    shipped = ship(books.outbox)
    assert set(outcomes(shipped)) == {intent.attempt_id for intent in admitted}
    assert set(operations(shipped)) == {intent.parent_span_id for intent in admitted}


def test_what_is_reserved_is_enough_for_prompts_and_answers_where_they_are_kept(tmp_path: Path) -> None:
    """Prompts that JSON makes twice as long, answers as long as they may be, and segments' turns while all are open."""
    bound = 4 * 1024**2
    books = journal(tmp_path, Limits(max_bytes=bound))
    admitted = fill(books, request_content='"' * CONTENT_BYTES_MAX)
    assert len(admitted) >= 12
    for intent in admitted[:8]:
        books.end(facts.attempt(intent, response_content="x" * CONTENT_BYTES_MAX))
        books.seal()
    for intent in admitted[8:]:
        books.end(facts.attempt(intent, response_content="x" * CONTENT_BYTES_MAX))
    for intent in admitted:
        books.operation(facts.operation(intent))
    assert books.stats().bytes <= bound


def test_what_was_reserved_for_content_is_free_again_when_its_attempt_has_ended(tmp_path: Path) -> None:
    books = journal(tmp_path, Limits(max_bytes=1024**2))
    first = fill(books, request_content="x" * CONTENT_BYTES_MAX)
    for intent in first:
        books.end(facts.attempt(intent))
        books.operation(facts.operation(intent))
    books.seal()
    ship(books.outbox)
    assert len(fill(books, request_content="x" * CONTENT_BYTES_MAX)) == len(first)


def test_the_reserve_knows_the_longest_content_that_is_kept() -> None:
    assert Limits().content_bytes == CONTENT_BYTES_MAX


def test_a_journal_admits_again_once_something_was_acknowledged(tmp_path: Path) -> None:
    books = journal(tmp_path, Limits(max_bytes=64 * 1024))
    for intent in fill(books):
        books.end(facts.attempt(intent))
        books.operation(facts.operation(intent))
    fill(books)
    books.seal()
    ship(books.outbox)
    books.intent(facts.intent())
    assert books.stats().refused_intents == 2


def test_what_never_held_an_intent_is_counted_when_there_is_no_room_and_recorded_when_there_is(tmp_path: Path) -> None:
    books = journal(tmp_path, Limits(max_bytes=64 * 1024))
    refused = facts.attempt(outcome=Outcome.REFUSED, error_type=Reason.BREAKER_OPEN)
    books.end(refused)
    books.operation(facts.operation())
    assert kinds(tmp_path) == [records.END, records.OPERATION]
    fill(books)
    before = len(written(tmp_path))
    books.end(facts.attempt(outcome=Outcome.REFUSED))
    books.operation(facts.operation())
    assert len(written(tmp_path)) == before
    assert books.stats().uncounted_operations == 2


async def test_a_synced_intent_is_durable_when_it_returns_and_an_appended_one_after_the_next_tick(
    tmp_path: Path,
) -> None:
    books = journal(tmp_path)
    books.intent(facts.intent())
    assert books._log._durable < books._log.position
    await books.intent_synced(facts.intent())
    assert books._log._durable == books._log.position
    books.intent(facts.intent())
    books.tick(0.0)
    assert books._log._durable == books._log.position


async def test_an_intent_whose_caller_gave_up_while_it_was_synced_is_no_lost_attempt(tmp_path: Path) -> None:
    books, intent = journal(tmp_path), facts.intent()
    waiting = asyncio.get_running_loop().create_task(books.intent_synced(intent))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert books.stats().open_intents == 0
    die(books)
    assert journal(tmp_path).recovered.lost_attempts == 0


async def test_many_synced_intents_at_once_share_their_flushes_and_are_all_kept(tmp_path: Path) -> None:
    books = journal(tmp_path, TINY)
    intents = [facts.intent() for _ in range(50)]
    await asyncio.gather(*(books.intent_synced(intent) for intent in intents))
    die(books)
    assert journal(tmp_path).recovered.lost_attempts == 50


def test_a_clean_end_leaves_no_folder_behind(tmp_path: Path) -> None:
    books, intent = journal(tmp_path), facts.intent()
    books.intent(intent)
    books.end(facts.attempt(intent))
    books.operation(facts.operation(intent))
    books.seal()
    ship(books.outbox)
    books.close()
    books.close()
    assert [path.name for path in tmp_path.iterdir()] == ["parked"]


def test_an_end_before_all_was_shipped_leaves_it_to_the_next_start(tmp_path: Path) -> None:
    books, intent, running = journal(tmp_path), facts.intent(), facts.intent()
    books.intent(intent)
    books.intent(running)
    books.end(facts.attempt(intent))
    books.close()
    with pytest.raises(JournalFull, match="closed"):
        books.intent(facts.intent())
    successor = journal(tmp_path)
    assert outcomes(ship(successor.outbox)) == {intent.attempt_id: "ok", running.attempt_id: "lost"}


def test_the_journals_own_thread_seals_and_flushes(tmp_path: Path) -> None:
    books = Journal(tmp_path, "worker-0", limits=Limits(seal_after_s=0.01, sync_every_s=0.005))
    intent = facts.intent()
    books.intent(intent)
    books.end(facts.attempt(intent))
    assert books.outbox.head(timeout_s=10.0) is not None
    assert outcomes(ship(books.outbox)) == {intent.attempt_id: "ok"}
    books.close()


@pytest.mark.parametrize("worker", ["", "a/b", "..", "a b", "x" * 65])
def test_a_worker_name_that_is_no_folder_name_is_refused(tmp_path: Path, worker: str) -> None:
    with pytest.raises(ValueError, match="worker's name"):
        Journal(tmp_path, worker)
