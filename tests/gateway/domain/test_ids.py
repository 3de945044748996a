"""Fresh ids."""

import multiprocessing
from concurrent.futures import ThreadPoolExecutor

import pytest

from gateway.domain import ids

MANY = 2000


@pytest.mark.parametrize(
    ("make", "digits"),
    [(ids.new_trace_id, 32), (ids.new_span_id, 16), (ids.new_request_id, 24)],
)
def test_a_fresh_id_has_its_digits_and_comes_once(make, digits):
    made = [make().removeprefix("req_") for _ in range(MANY)]
    assert len(set(made)) == MANY
    assert all(len(bytes.fromhex(one)) == digits // 2 for one in made)


def test_the_ids_of_attempts_and_requests_are_told_by_their_spans_whatever_trace_a_client_names():
    trace, one, other = ids.TraceId("ab" * 16), ids.new_span_id(), ids.new_span_id()
    assert ids.attempt_id(trace, one) == "ab" * 8 + one
    assert ids.request_id(trace, one) == "req_" + "ab" * 4 + one
    assert ids.attempt_id(trace, one) != ids.attempt_id(trace, other)


def test_no_two_threads_get_the_same_id():
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda _: ids.new_span_id(), range(8 * MANY)))
    assert len(set(made)) == 8 * MANY


def _tell_five(into):
    into.put([ids.new_span_id() for _ in range(5)])


def test_a_fork_does_not_repeat_the_ids_of_its_parent():
    ids.new_span_id()  # Some are read ahead now.
    fork = multiprocessing.get_context("fork")
    told = fork.Queue()
    child = fork.Process(target=_tell_five, args=(told,))
    child.start()
    theirs = told.get(timeout=10)
    child.join()
    assert set(theirs).isdisjoint(ids.new_span_id() for _ in range(MANY))
