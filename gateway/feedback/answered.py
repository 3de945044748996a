"""Requests that were answered, as feedback names them: the latest from memory, the others from where spans land.

A process remembers its latest REQUESTS_MAX; what is older, was answered by another gateway or before a restart, is
asked of the store. So a request is known from its end on, and its tenant's alone.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from gateway.domain.attempt import Attempt, Operation, Outcome

REQUESTS_MAX = 10_000


class Answered(NamedTuple):
    """One of a tenant's requests."""

    trace_id: str
    span_id: str
    """The operation's."""
    alias: str
    tier: str
    request_id: str


LookUp = Callable[[str, str, str], Answered | None]
"""By tenant, request id and response id (one of the two is ""): the latest such request; None = the tenant has none. It
may block, and is called on a thread of its own. Raises OSError when that is not known at present."""


class Recent:
    """The latest requests of this process, by what a client may call them."""

    __slots__ = ("_requests", "_responses")

    def __init__(self) -> None:
        self._requests: OrderedDict[tuple[str, str], Answered] = OrderedDict()
        self._responses: OrderedDict[tuple[str, str], Answered] = OrderedDict()

    def ended(self, operation: Operation) -> None:
        """A request has ended, however it did."""
        answered = Answered(
            operation.trace_id, operation.span_id, operation.alias, operation.tier, operation.request_id
        )
        _keep(self._requests, (operation.tenant, operation.request_id), answered)

    def attempted(self, attempt: Attempt) -> None:
        """An attempt of one has ended; an answer has a name of its own."""
        if attempt.outcome is Outcome.OK and attempt.response_id:
            intent = attempt.intent
            answered = Answered(intent.trace_id, intent.parent_span_id, intent.alias, intent.tier, intent.request_id)
            _keep(self._responses, (intent.tenant, attempt.response_id), answered)

    def find(self, tenant: str, request_id: str, response_id: str) -> Answered | None:
        """The latest of the tenant's requests that is called so; one of the two is ""."""
        if request_id:
            return self._requests.get((tenant, request_id))
        return self._responses.get((tenant, response_id))


def _keep(known: OrderedDict[tuple[str, str], Answered], key: tuple[str, str], answered: Answered) -> None:
    """An OrderedDict, whose first entry is found at once: a dict looks for it behind all that were ever deleted."""
    known[key] = answered
    known.move_to_end(key)
    if len(known) > REQUESTS_MAX:
        known.popitem(last=False)
