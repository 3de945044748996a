"""The audit finds what landed twice, in the hour it began, and nothing else."""

import pytest
from clickhouse_connect.driver.client import Client

from analytics import audit
from analytics.windows import month_window
from tests.analytics.landed import attempt, land
from tests.analytics.recon_builders import instant

pytestmark = pytest.mark.slow

NOVEMBER = month_window("2026-11")


def found(reader: Client) -> list[tuple[object, ...]]:
    return audit.duplicates(reader, NOVEMBER).rows()


def test_a_clean_store_has_no_rows(writer, reader):
    land(writer, attempt(), attempt(), attempt(response_id=""), attempt(response_id=""))
    assert found(reader) == []
    assert audit.duplicate_count(reader, NOVEMBER) == 0


def test_an_attempt_that_landed_twice_is_found_by_its_id_and_its_span(writer, reader):
    twice = attempt("2026-11-03T10:59:59")
    land(writer, attempt(), twice)
    land(writer, twice, twice)
    hour = instant("2026-11-03T10:00")
    assert found(reader) == [(hour, "attempt_id", 1, 2), (hour, "span_key", 1, 2)]
    assert audit.duplicate_count(reader, NOVEMBER) == 2


def test_one_attempt_under_two_spans_is_found(writer, reader):
    first = attempt()
    land(writer, first, attempt(attempt_id=first["attempt_id"]))
    assert [(kind, extra) for _, kind, _, extra in found(reader)] == [("attempt_id", 1)]
    assert audit.duplicate_count(reader, NOVEMBER) == 1


def test_two_attempts_with_one_answer_are_asked_about_and_are_no_duplicate_rows(writer, reader):
    land(writer, attempt(response_id="chatcmpl-1"), attempt(response_id="chatcmpl-1"))
    land(writer, attempt(response_id="chatcmpl-1", provider="another"))
    assert [(kind, keys, extra) for _, kind, keys, extra in found(reader)] == [("response_id", 1, 1)]
    assert audit.duplicate_count(reader, NOVEMBER) == 0


def test_spans_without_an_attempt_are_found_by_their_span_key(writer, reader):
    operation = attempt(attempt_id="", kind=2, response_id="")
    land(writer, operation, operation)
    assert [(kind, extra) for _, kind, _, extra in found(reader)] == [("span_key", 1)]


def test_a_call_that_two_emitters_report_is_found_and_neither_an_agent_nor_another_tenant_makes_it_two(writer, reader):
    call = {"attempt_id": "", "foreign_role": "call", "billable": False, "response_id": "chatcmpl-9"}
    land(writer, attempt(**call), attempt(**call | {"foreign_role": "parent"}), attempt(**call | {"tenant": "other"}))
    land(writer, attempt(**call | {"provider": "another"}), attempt(**call | {"response_id": ""}))
    assert found(reader) == []
    land(writer, attempt(**call))
    assert [(kind, keys, extra) for _, kind, keys, extra in found(reader)] == [("double_emitter", 1, 1)]
    assert audit.duplicate_count(reader, NOVEMBER) == 0


@pytest.mark.parametrize("at", ["2026-10-31T23:59:59", "2026-12-01"])
def test_only_the_window_is_looked_at(writer, reader, at):
    twice = attempt(at)
    land(writer, twice, twice)
    assert found(reader) == []
