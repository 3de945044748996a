"""What ladders did is told by row: rungs that were refused, and why, and those that were taken."""

import pytest

from tests.analytics.landed import attempt, land

pytestmark = pytest.mark.slow


def test_a_rung_that_was_refused_and_the_one_that_was_taken_are_events_and_a_first_choice_is_none(store):
    store.empty()
    refused = {"outcome": "refused", "error_type": "breaker_open", "fallback_reason": "timeout", "billable": False}
    land(store.writer, attempt(upstream="one"))
    land(store.writer, attempt(upstream="two", outcome="error", error_type="timeout", attempt_index=1))
    land(store.writer, attempt(upstream="three", fallback_depth=1, attempt_index=2, **refused))
    land(store.writer, attempt(upstream="four", fallback_depth=2, attempt_index=2, fallback_reason="timeout"))
    asked = "SELECT upstream, event, reason, because, ended FROM tollway.ladder_events ORDER BY ALL DESC"
    assert store.reader.query(asked).result_rows == [
        ("two", "retried", "", "", "error"),
        ("three", "refused", "breaker_open", "timeout", ""),
        ("four", "taken", "timeout", "timeout", "ok"),
    ]
