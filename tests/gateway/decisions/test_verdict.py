"""What the client is told when no rung is left: by table."""

from itertools import product

import pytest

from gateway.domain.ids import TierName
from gateway.domain.reasons import Reason
from gateway.flow.verdict import may_relay, verdict
from gateway.ladder.ladder import Rung, Tried

CONTEXT, BREAKER, BUDGET = Reason.CONTEXT_TOO_LONG, Reason.BREAKER_OPEN, Reason.BUDGET_EXHAUSTED
RUNGS = tuple(
    Rung(i, "secret-upstream", "secret-model", TierName("t"), context_tokens=size)
    for i, size in enumerate((8192, 4096))
)

TABLE = {
    "every window is too small": ([CONTEXT, CONTEXT], 400, "context_too_long"),
    "every window that may be used is too small": ([Reason.RESIDENCY, CONTEXT], 400, "context_too_long"),
    "the one that is large enough rests": ([CONTEXT, BREAKER], 502, "ladder_exhausted"),
    "nobody serves the route": ([Reason.NOT_SERVED, Reason.NOT_SERVED], 400, "not_served"),
    "who serves the route rests": ([Reason.NOT_SERVED, BREAKER], 503, "breaker_open"),
    "all rest": ([BREAKER, Reason.REGION_BROWNOUT], 503, "breaker_open"),
    "what does not rest is too dear": ([BREAKER, BUDGET], 503, "breaker_open"),
    "some rest and some are full": ([BREAKER, Reason.UPSTREAM_BUSY], 503, "upstream_busy"),
    "all are elsewhere": ([Reason.RESIDENCY, Reason.RESIDENCY], 502, "ladder_exhausted"),
    "all are overloaded": ([Reason.RATE_LIMITED, Reason.RATE_LIMITED], 502, "ladder_exhausted"),
    "one failed and one rests": ([Reason.SERVER_ERROR, BREAKER], 502, "ladder_exhausted"),
}


@pytest.mark.parametrize("case", TABLE)
def test_the_error_says_what_the_client_can_do_and_no_secret(case: str) -> None:
    reasons, status, code = TABLE[case]
    tried = [Tried(depth, reason, called=False) for depth, reason in enumerate(reasons)]
    error = verdict(tried, RUNGS, prompt_tokens=9000, route="/v1/chat/completions", reopen_in_s=7, room_in_s=3)
    assert (error.status, error.code) == (status, code)
    assert "secret" not in error.message
    if code == "context_too_long":
        assert "8192" in error.message
        assert "9000" in error.message
    assert error.retry_after_s == {"breaker_open": 7, "upstream_busy": 3}.get(code)


def test_a_vendor_that_does_not_know_the_model_is_not_the_clients_to_mend() -> None:
    called = [Tried(0, Reason.NOT_SERVED)]
    error = verdict(called, RUNGS, prompt_tokens=1, route="/v1/x", reopen_in_s=1, room_in_s=1)
    assert error.code == "ladder_exhausted"


def test_an_exhausted_ladder_never_says_429_whatever_came_of_its_rungs() -> None:
    for first, second in product(Reason, Reason):
        tried = [Tried(0, first), Tried(1, second)]
        assert verdict(tried, RUNGS, prompt_tokens=1, route="/v1/x", reopen_in_s=1, room_in_s=1).status != 429


@pytest.mark.parametrize(
    ("tried", "relayed"),
    [
        ([Tried(0, Reason.RATE_LIMITED)], True),
        ([Tried(0, Reason.RATE_LIMITED), Tried(1, Reason.BREAKER_OPEN, called=False)], True),
        ([Tried(0, Reason.RATE_LIMITED), Tried(1, Reason.RATE_LIMITED)], True),
        ([Tried(0, Reason.RATE_LIMITED), Tried(1, Reason.SERVER_ERROR)], False),
        ([Tried(0, Reason.CONNECT_ERROR), Tried(1, Reason.RATE_LIMITED)], False),
    ],
)
def test_a_vendors_429_is_the_answer_only_where_all_who_were_called_said_so(tried: list[Tried], relayed: bool) -> None:
    assert may_relay(429, tried) == relayed
    assert may_relay(500, tried)
