"""What a vendor did by itself and told afterwards: on the books without an intent, under ids that stay the same."""

from pathlib import Path

import pytest

from gateway.journal.limits import JournalFull
from tests.gateway import facts
from tests.gateway.journal.reading import CLIENT, die, outcomes, ship
from tests.gateway.journal.test_journal import TINY, fill, journal


def test_a_late_attempt_survives_a_kill_as_it_is_and_is_never_a_lost_one(tmp_path: Path) -> None:
    books, attempt = journal(tmp_path), facts.attempt()
    books.late(attempt)
    die(books)
    successor = journal(tmp_path)
    assert outcomes(ship(successor.outbox)) == {attempt.intent.attempt_id: "ok"}
    assert (successor.recovered.lost_attempts, successor.recovered.lost_operations) == (0, 0)


def test_a_late_attempt_written_twice_is_twice_the_same_span(tmp_path: Path) -> None:
    """The collector lands such a pair once."""
    books, attempt = journal(tmp_path), facts.attempt()
    books.late(attempt)
    books.late(attempt)
    books.seal()
    first, second = [span for span in ship(books.outbox) if span.kind == CLIENT]
    assert first.SerializeToString() == second.SerializeToString()


def test_a_full_journal_refuses_late_attempts_which_can_be_asked_for_again(tmp_path: Path) -> None:
    books = journal(tmp_path, TINY)
    fill(books)
    with pytest.raises(JournalFull):
        books.late(facts.attempt())


async def test_what_is_flushed_is_on_the_disk(tmp_path: Path) -> None:
    books = journal(tmp_path)
    books.late(facts.attempt())
    await books.flushed()
    assert books._log._durable == books._log.position
