"""What a client is told when no rung is left to try, where no vendor's own answer can be given to it.

A pure function of what was tried. It never names a rung, and never says 429: that the gateway has nobody left to ask is
not the client's pace.
"""

from collections.abc import Sequence

from gateway.domain.reasons import Reason
from gateway.errors import BreakerOpen, ContextTooLong, GatewayError, LadderExhausted, NotServed, UpstreamBusy
from gateway.ladder.ladder import Rung, Tried

LASTING = frozenset({Reason.NOT_AUTHORIZED, Reason.RESIDENCY, Reason.NOT_SERVED})
"""What no waiting and no other request changes."""

PASSED_OVER = LASTING | {Reason.BUDGET_EXHAUSTED}
"""What says nothing of how the others fared."""

RESTING = frozenset({Reason.BREAKER_OPEN, Reason.REGION_BROWNOUT})
NO_ROOM = RESTING | {Reason.UPSTREAM_BUSY}
"""After only these nothing was called, and a while later something may be."""


def may_relay(status: int, tried: Sequence[Tried]) -> bool:
    """Whether a vendor's own error may be the answer: a 429 only where every upstream that was called said so."""
    return status != 429 or all(t.reason is Reason.RATE_LIMITED for t in tried if t.called)


def verdict(
    tried: Sequence[Tried], rungs: Sequence[Rung], *, prompt_tokens: int, route: str, reopen_in_s: int, room_in_s: int
) -> GatewayError:
    """The answer for those who tried all they could. `prompt_tokens` is a guess; `route` is the client's path."""
    reasons = {t.reason for t in tried}
    reasons = reasons - PASSED_OVER or reasons
    if reasons == {Reason.CONTEXT_TOO_LONG}:
        largest = max((rung.context_tokens or 0 for rung in rungs), default=0)
        most = f", which takes at most {largest}" if largest else ""
        message = f"The prompt is too long for this model{most}: it has about {prompt_tokens} tokens."
        return ContextTooLong(message, param="messages" if route.endswith("chat/completions") else None)
    if reasons <= LASTING and Reason.NOT_SERVED in reasons and not any(t.called for t in tried):
        return NotServed(f"This model is not served at {route}.", param="model")
    if reasons <= RESTING:
        message = "Every upstream of this model is resting after repeated failures."
        return BreakerOpen(message, retry_after_s=reopen_in_s)
    if reasons <= NO_ROOM:
        message = "Every upstream of this model carries as many calls as it may at present. Retry later."
        return UpstreamBusy(message, retry_after_s=room_in_s)
    return LadderExhausted("No upstream could answer this request.")
