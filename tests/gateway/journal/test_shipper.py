"""The shipper against a real receiver that fails on demand: what was not acknowledged is never deleted."""

import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.domain import attributes as names
from gateway.domain import clock
from gateway.domain.attempt import Intent
from gateway.domain.segments import read_records
from gateway.journal.journal import Journal
from gateway.journal.parked import read_parked
from gateway.journal.records import ATTEMPT_ID, END
from gateway.journal.shipper import Backoff, Endpoint, Shipper
from tests.gateway import facts
from tests.gateway.journal.reading import outcomes, segments, value
from tests.gateway.otlp_receiver import Answer, Receiver, Sent, partial_success, receiver, spans_in

TOKEN = "a-token-that-no-log-may-hold"
QUICK = Backoff(first_s=0.005, max_s=0.02, draw=lambda: 1.0)


@pytest.fixture
def collector() -> Iterator[Receiver]:
    with receiver() as running:
        yield running


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Journal]:
    """A journal without a thread: `seal` alone hands over."""
    journal = Journal(tmp_path, "worker-0", keep=False)
    yield journal
    journal.close()


def shipper(books: Journal, collector: Receiver, *, gzip: bool = False) -> Shipper:
    started = Shipper(books, Endpoint(collector.url, TOKEN, gzip=gzip), backoff=QUICK)
    started.start()
    return started


def finish(books: Journal, count: int = 1) -> list[Intent]:
    """That many attempts begun and ended, sealed into one segment."""
    intents = [facts.intent() for _ in range(count)]
    for intent in intents:
        books.intent(intent)
        books.end(facts.attempt(intent))
        books.operation(facts.operation(intent))
    books.seal()
    return intents


def test_segments_arrive_in_order_each_as_one_body_and_are_deleted(books: Journal, collector: Receiver) -> None:
    begun = finish(books, 3) + finish(books, 2)
    sending = shipper(books, collector)
    assert sending.drain(10)
    assert [len(spans_in(sent.body)) for sent in collector.sent] == [6, 4]
    assert list(outcomes(collector.kept())) == [intent.attempt_id for intent in begun]
    assert len(segments(books._folder.path.parent)) == 1
    stats = sending.stats(clock.monotonic())
    assert (stats.shipped_spans, stats.shipped_segments, stats.retries) == (10, 2, 0)
    assert stats.seconds_since_ack is not None


def test_a_request_is_what_otlp_says(books: Journal, collector: Receiver) -> None:
    finish(books)
    shipper(books, collector).drain(10)
    (sent,) = collector.sent
    assert sent.path == "/v1/traces"
    assert sent.headers["content-type"] == "application/x-protobuf"
    assert sent.headers["authorization"] == f"Bearer {TOKEN}"


def test_a_compressed_body_inflates_to_the_same_spans(books: Journal, collector: Receiver) -> None:
    (intent,) = finish(books)
    shipper(books, collector, gzip=True).drain(10)
    (sent,) = collector.sent
    assert sent.headers["content-encoding"] == "gzip"
    assert outcomes(collector.kept()) == {intent.attempt_id: "ok"}


@pytest.mark.parametrize(
    "failure",
    [
        Answer(429, {"retry-after": "0.01"}),
        Answer(500),
        Answer(503),
        Answer(404),
        Answer(hang_up=True),
        Answer(hang_up=True, keep=True),
    ],
    ids=lambda answer: f"{answer.status}{'-lost' * answer.hang_up}{'-after-keeping' * answer.keep}",
)
def test_a_failure_is_answered_with_the_same_bytes_until_they_are_acknowledged(
    books: Journal, collector: Receiver, failure: Answer
) -> None:
    intents = finish(books, 2)
    collector.next.extend([failure] * 3)
    sending = shipper(books, collector)
    collector.until(lambda: len(collector.sent) == 4)
    assert sending.drain(10)
    assert len({sent.body for sent in collector.sent}) == 1
    assert outcomes(collector.kept()) == {intent.attempt_id: "ok" for intent in intents}
    assert sending.stats(0.0).retries == 3


def test_a_wrong_token_is_retried_loudly_and_never_logged(
    books: Journal, collector: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    finish(books)
    collector.next.extend([Answer(401)] * 2)
    with caplog.at_level(logging.DEBUG):
        sending = shipper(books, collector)
        collector.until(lambda: len(collector.sent) == 3)
        assert sending.drain(10)
    assert [record.levelname for record in caplog.records if "HTTP 401" in record.getMessage()].count("ERROR") == 2
    assert TOKEN not in caplog.text
    assert TOKEN not in repr(Endpoint(collector.url, TOKEN))


def test_a_span_nobody_takes_is_parked_and_the_rest_goes_on(books: Journal, collector: Receiver) -> None:
    intents = finish(books, 9)
    poison = intents[4].attempt_id

    def refuse_poison(sent: Sent) -> Answer:
        return Answer(400, body=b"bad span") if poison.encode() in sent.body else Answer()

    collector.rule = refuse_poison
    sending = shipper(books, collector)
    assert sending.drain(10)
    assert set(outcomes(collector.kept())) == {intent.attempt_id for intent in intents} - {poison}
    assert sending.stats(0.0).shipped_spans == 17
    assert books.stats().parked_spans == 1
    (parked,) = (books._folder.path.parent / "parked").iterdir()
    ((reason, span),) = read_parked(parked)
    assert reason == "HTTP 400: bad span"
    assert [value(found, names.ATTEMPT_ID) for found in spans_in(span)] == [poison]


def test_a_body_too_large_goes_in_pieces(books: Journal, collector: Receiver) -> None:
    intents = finish(books, 8)
    collector.rule = lambda sent: Answer(413) if len(sent.body) > 5000 else Answer()
    assert shipper(books, collector).drain(10)
    assert set(outcomes(collector.kept())) == {intent.attempt_id for intent in intents}
    assert books.stats().parked_spans == 0


def test_what_a_collector_rejected_of_a_body_is_kept_here(books: Journal, collector: Receiver) -> None:
    finish(books, 2)
    collector.next.append(partial_success(1, "too old"))
    sending = shipper(books, collector)
    assert sending.drain(10)
    stats = sending.stats(0.0)
    assert (stats.shipped_spans, stats.rejected_spans, books.stats().parked_spans) == (3, 1, 4)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_bit_flipped_anywhere_in_a_segment_costs_one_record_and_the_segment_is_kept(
    tmp_path_factory: pytest.TempPathFactory, collector: Receiver, where: float, bit: int
) -> None:
    root = tmp_path_factory.mktemp("journal")
    books = Journal(root, "worker-0", keep=False)
    intents = finish(books, 3)
    (segment, _active) = segments(root)
    whole = read_records(segment).records
    flipped = bytearray(segment.read_bytes())
    at = int(where * len(flipped))
    flipped[at] ^= 1 << bit
    segment.write_bytes(flipped)
    hit = max((record for record in whole if record.offset <= at), key=lambda record: record.offset)
    spoilt = {hit.payload[ATTEMPT_ID].hex()} if hit.kind == END else set()
    before = len(collector.kept())
    assert shipper(books, collector).drain(10)
    assert set(outcomes(collector.kept()[before:])) == {intent.attempt_id for intent in intents} - spoilt
    (kept,) = (root / "parked").glob("*.damaged")
    assert kept.read_bytes() == flipped
    assert not segment.exists()
    assert books.stats().damaged_segments == 1
    books.close()


def test_draining_sends_what_was_recorded_a_moment_ago(books: Journal, collector: Receiver) -> None:
    sending = shipper(books, collector)
    intent = facts.intent()
    books.intent(intent)
    books.end(facts.attempt(intent))
    assert sending.drain(10)
    assert outcomes(collector.kept()) == {intent.attempt_id: "ok"}


def test_what_could_not_be_drained_is_shipped_by_the_next_start(tmp_path: Path, collector: Receiver) -> None:
    books = Journal(tmp_path, "worker-0", keep=False)
    (intent,) = finish(books)
    collector.rule = lambda _sent: Answer(503)
    assert not shipper(books, collector).drain(0.2)
    books.close()
    collector.rule = lambda _sent: Answer()
    successor = Journal(tmp_path, "worker-0", keep=False)
    assert shipper(successor, collector).drain(10)
    successor.close()
    assert outcomes(collector.kept()) == {intent.attempt_id: "ok"}
    assert [path.name for path in tmp_path.iterdir()] == ["parked"]


def test_it_stops_at_once_while_it_waits_to_try_again(books: Journal, collector: Receiver) -> None:
    finish(books)
    collector.rule = lambda _sent: Answer(503, {"retry-after": "200"})
    sending = shipper(books, collector)
    collector.until(lambda: len(collector.sent) == 1)
    sending.stop()
    assert not any(thread.name == "shipper" for thread in threading.enumerate())
    assert len(segments(books._folder.path.parent)) == 2


@pytest.mark.parametrize(
    ("failures", "asked_s", "drawn", "wait_s"),
    [(1, 0, 1.0, 0.1), (1, 0, 0.0, 0.05), (4, 0, 1.0, 0.8), (99, 0, 1.0, 30.0), (99, 0, 0.0, 15.0), (1, 7, 1.0, 7.0)],
)
def test_waits_double_to_their_bound_and_honour_what_was_asked(
    failures: int, asked_s: float, drawn: float, wait_s: float
) -> None:
    assert Backoff(draw=lambda: drawn).wait_s(failures, asked_s) == pytest.approx(wait_s)
