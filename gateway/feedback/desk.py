"""Takes feedback: finds the tenant's own request, writes down what was said of it, and says so once it is on the disk.

Whose request it is decides the tenant's key: another's is as unknown as one that never was. The last that is said of an
answer counts, so saying it again changes nothing.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from gateway.domain import clock
from gateway.domain.attempt import Feedback
from gateway.domain.ids import Alias, RequestId, SpanId, TenantId, TierName, TraceId, new_span_id
from gateway.errors import FeedbackUnavailable, JournalUnavailable, UnknownRequest
from gateway.feedback.answered import Answered, LookUp, Recent
from gateway.feedback.said import Said

WAITING_MAX = 32
"""How many may wait for the store to be asked."""
LOOK_UP_S = 5.0


class Books(Protocol):
    """Where it is recorded: the journal, as far as the desk knows it."""

    def feedback(self, feedback: Feedback) -> None:
        """Append it. Raises OSError if it cannot be kept."""

    async def flushed(self) -> None:
        """Return once all that was recorded until now is on the disk. Raises OSError."""


class Desk:
    """One for a process, on its event loop."""

    def __init__(self, look_up: LookUp | None = None) -> None:
        """Without `look_up` only what `recent` remembers is known."""
        self.recent = Recent()
        self._look_up = look_up
        self._asking = ThreadPoolExecutor(max_workers=1, thread_name_prefix="feedback")
        self._waiting = 0

    def close(self) -> None:
        """Ask nobody any more."""
        self._asking.shutdown(wait=False, cancel_futures=True)

    async def take(self, books: Books, tenant: str, said: Said) -> Answered:
        """Write it down; the request that it is of. Raises UnknownRequest, FeedbackUnavailable, JournalUnavailable."""
        answered = self.recent.find(tenant, said.request_id, said.response_id)
        answered = answered or await self._asked(tenant, said)
        if answered is None:
            raise UnknownRequest(
                "There is no such request of yours; one that has just ended is known in a few seconds."
            )
        try:
            books.feedback(_feedback(tenant, said, answered))
            await books.flushed()
        except OSError:
            raise JournalUnavailable("Feedback cannot be recorded at present. Retry later.", retry_after_s=5) from None
        return answered

    async def _asked(self, tenant: str, said: Said) -> Answered | None:
        if self._look_up is None:
            return None
        if self._waiting >= WAITING_MAX:
            raise FeedbackUnavailable("Too much feedback at once. Retry later.", retry_after_s=1)
        self._waiting += 1
        loop = asyncio.get_running_loop()
        asking = loop.run_in_executor(self._asking, self._look_up, tenant, said.request_id, said.response_id)
        try:
            async with asyncio.timeout(LOOK_UP_S):
                return await asking
        except OSError:  # A TimeoutError is one.
            message = "Whose request it is cannot be found out at present. Retry later."
            raise FeedbackUnavailable(message, retry_after_s=5) from None
        finally:
            self._waiting -= 1


def _feedback(tenant: str, said: Said, answered: Answered) -> Feedback:
    return Feedback(
        span_id=new_span_id(),
        trace_id=TraceId(answered.trace_id),
        parent_span_id=SpanId(answered.span_id),
        at=clock.unix_nanos(),
        tenant=TenantId(tenant),
        alias=Alias(answered.alias),
        tier=TierName(answered.tier),
        request_id=RequestId(answered.request_id),
        response_id=said.response_id,
        verdict=said.verdict,
        reason=said.reason,
        score=said.score,
    )
