"""What the end of a call shows of its upstream's health: a pure rule, from the reason it ended with.

A success is a whole answer, never a head. What the caller caused (a 4xx of its own, its hanging up, a stream it let run
into its tier's total timeout) shows nothing, nor does a call that the total timeout cut when it had hardly begun, the
time having gone in line or on another rung. A prompt too long for the context window is no failure either, but counts
among the token ceilings, as does an answer cut off at its length though nobody had set one.
"""

from gateway.breakers.breaker import Outcome
from gateway.breakers.health import ANSWERED, AT_CEILING, FAILED, TIMED_OUT
from gateway.breakers.keeper import Seen
from gateway.domain.reasons import Reason
from gateway.flow.booking import BLAMELESS

GONE = Seen(Outcome.ABANDONED, None, "reloaded")
"""Any end at an upstream whose entry a reload has changed: of what the entry names now it says nothing."""
TIMEOUTS = frozenset({Reason.TIMEOUT, Reason.FIRST_TOKEN_TIMEOUT, Reason.ANSWER_TIMEOUT})
FIRST_TOKEN = Seen(Outcome.FLOWING, None, "first_token")
"""A stream's first real token."""
WHOLE = Seen(Outcome.SUCCEEDED, ANSWERED, "answered")
CUT_SHORT = Seen(Outcome.SUCCEEDED, AT_CEILING, "answered")


def shown_by_answer(finish_reason: str, tokens_asked: int) -> Seen:
    """A whole answer; `tokens_asked` is the client's own bound on it, 0 = none."""
    return CUT_SHORT if finish_reason == "length" and not tokens_asked else WHOLE


def shown_by_end(reason: Reason, *, stale: bool, spared: bool, retry_after_s: float) -> Seen:
    """Any other end. `stale`: on a kept connection that had died while idle; `spared`: the request's total timeout is
    none of its own; `retry_after_s`: as the upstream asked, 0 = it did not."""
    if reason is Reason.CONTEXT_TOO_LONG:
        return Seen(Outcome.ABANDONED, AT_CEILING, reason)
    if stale or reason in BLAMELESS or (reason is Reason.TIMEOUT and spared):
        return Seen(Outcome.ABANDONED, None, reason)
    return Seen(Outcome.FAILED, TIMED_OUT if reason in TIMEOUTS else FAILED, reason, retry_after_s)
