"""What a tier promises, and which requests did not get it."""

from dataclasses import replace
from typing import Any

import pytest

from gateway.config.tiers import Sla
from gateway.domain.attempt import Outcome
from gateway.domain.reasons import Reason
from gateway.sla import missed
from tests.gateway import facts

ALL = Sla(max_queue_seconds=0.5, error_budget=0.01, p95_first_token_s=2)
OK: dict[str, Any] = {"outcome": Outcome.OK, "error_type": "", "queue_seconds": 0.5, "first_token_seconds": 2.0}


def missed_by(sla: Sla = ALL, **changes: Any) -> list[str]:
    return list(missed(sla, replace(facts.operation(facts.intent()), **{**OK, **changes})))


@pytest.mark.parametrize(
    ("changes", "promises"),
    [
        ({}, []),
        ({"queue_seconds": 0.51}, ["max_queue_seconds"]),
        ({"first_token_seconds": 2.01}, ["p95_first_token_s"]),
        ({"first_token_seconds": None}, []),
        ({"outcome": Outcome.ERROR, "error_type": Reason.SERVER_ERROR}, ["error_budget"]),
        ({"outcome": Outcome.TIMEOUT, "error_type": Reason.TIMEOUT}, ["error_budget"]),
        ({"outcome": Outcome.REFUSED, "error_type": Reason.QUEUE_OVERFLOW}, ["error_budget"]),
        (
            {"outcome": Outcome.REFUSED, "error_type": Reason.QUEUE_TIMEOUT, "queue_seconds": 3.0},
            ["max_queue_seconds", "error_budget"],
        ),
        ({"outcome": Outcome.CANCELLED, "error_type": Reason.GATEWAY_SHUTDOWN}, []),
        ({"outcome": Outcome.ERROR, "error_type": Reason.CALLER_ERROR}, []),
        ({"outcome": Outcome.REFUSED, "error_type": Reason.QUOTA_EXHAUSTED}, []),
    ],
)
def test_a_promise_is_missed_beyond_its_bound_and_never_by_the_callers_own_fault(
    changes: dict[str, Any], promises: list[str]
) -> None:
    assert missed_by(**changes) == promises


def test_what_is_not_promised_is_not_missed() -> None:
    worst = {"outcome": Outcome.ERROR, "error_type": Reason.SERVER_ERROR, "queue_seconds": 9.0}
    assert missed_by(Sla(), first_token_seconds=9.0, **worst) == []
