"""One call for several requests: an exchange like any other, whose client are the members of a batch.

It takes one slot, and its attempts are on the books once, below the operation of the batch's first member. When it has
ended each member that is still there gets its slice of the answer, or the error. An error that blames the request
(400, 413, 422, or a prompt that is too long) may be one item's fault, so each member then goes again, alone.

A member that leaves gets no slice, but its share stays on the books; the first one's operation is written down when the
call has ended, since all attempts are below it. When all have left, the tier's cancel rule says
what becomes of the call: `cancel` hangs up, `finish` lets it end. One that has no slot yet is given up under both.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.batching.slices import Part, Slice, cut
from gateway.domain import clock
from gateway.domain.attempt import Attempt, Outcome
from gateway.domain.reasons import Reason
from gateway.errors import GatewayError
from gateway.flow.answer import parsed
from gateway.flow.exchange import Exchange
from gateway.flow.plane import Plane
from gateway.flow.record import RequestRecord
from gateway.flow.trial import Trial
from gateway.upstream.sink import Headers
from gateway.wire.arrival import Arrival

logger = logging.getLogger(__name__)

BLAMES_THE_REQUEST = frozenset({400, 413, 422})
REASONS = frozenset({Reason.CONTEXT_TOO_LONG, Reason.CONTENT_FILTER})


class Kept:
    """The client's side of a shared call: keeps the answer for the members."""

    paused = False

    def __init__(self) -> None:
        self.status = 0
        self.head = b""
        self.body = b""

    def answer(self, status: int, head: bytes, body: bytes) -> None:
        """The whole answer, or an error."""
        self.status, self.head, self.body = status, head, body

    def start(self, status: int, head: bytes) -> None:
        """No stream is shared."""

    def write(self, piece: bytes) -> None:
        """No stream is shared."""

    def finish(self) -> None:
        """No stream is shared."""

    def cut(self) -> None:
        """There is no connection to break off."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a shared call ended, as all its members are told."""

    outcome: Outcome
    reason: Reason | None
    status: int
    head: bytes
    """Header lines of who answered, and the vendor's; not those that every answer of ours has."""
    body: bytes
    attempt: Attempt | None
    """The last that was made."""
    headers: Headers
    """The vendor's."""
    granted_at: float
    """On the steady clock; its end, if it had no slot."""
    size: int
    """How many members the call was made for."""


class Sharer(Protocol):
    """A member of a batch. At most one of these is called, once, unless it left before."""

    def sliced(self, ended: Ended, own: Slice) -> None:
        """It was answered with this slice."""

    def failed_with(self, ended: Ended) -> None:
        """There was no answer for any member."""

    def go_again(self, ended: Ended) -> None:
        """Another member's input may be at fault: go on alone."""


class SharedCall(Exchange):
    """From the batch's closing to its answer's end."""

    def __init__(
        self, plane: Plane, arrival: Arrival, record: RequestRecord, members: Sequence[Sharer], parts: Sequence[Part]
    ) -> None:
        """`arrival` is the leader's, and `record` writes below its operation."""
        self._kept = Kept()
        super().__init__(plane, self._kept, arrival, record)
        self._route = record.route
        self._members = list(members)
        self._parts = parts
        self._present = set(members)
        self._gathered_s = clock.monotonic() - record.began
        self._afterwards: list[Callable[[], None]] = []

    def start(self) -> None:
        """Ask for a slot: every gate has let the members pass."""
        plane = self._plane
        plane.exchanges.add(self)
        self._pool = plane.pools[self._route.tier.name]
        self._total_lane = plane.lanes.of(self._route.tier.total_timeout_s)
        self._total_lane.join(self._out_of_time, clock.monotonic())
        self._ask()

    @property
    def trial(self) -> Trial | None:
        """The attempt that is under way, or was last."""
        return self._trial

    @property
    def granted_at(self) -> float | None:
        """When it had its slot, on the steady clock; None = not yet."""
        return self._granted_at

    @property
    def record(self) -> RequestRecord:
        """What its attempts have in common."""
        return self._record

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self._finished

    def afterwards(self, work: Callable[[], None]) -> None:
        """Do that once it has ended."""
        self._afterwards.append(work)

    def left(self, who: Sharer, *, out_of_time: bool = False) -> None:
        """A member has left; it is told nothing more."""
        self._present.discard(who)
        if self._present or self._finished:
            return
        if self._route.tier.cancel_rule == "finish" and self.has_slot:
            return
        if out_of_time:
            self._out_of_time()
        else:
            self.client_gone()

    def slot_granted(self, waited_s: float) -> None:
        """Go; the first member has waited in the batch as well."""
        super().slot_granted(waited_s + self._gathered_s)

    def _common_head(self, shown_id: bytes = b"") -> bytes:
        return b""  # Each member has its own.

    def _end(self, outcome: Outcome, reason: Reason, error: GatewayError | None) -> None:
        if error is not None and len(self._present) > 1:
            self._plane.metrics.errors.add(error.code, by=len(self._present) - 1)
        super()._end(outcome, reason, error)

    def _book(self, outcome: Outcome, reason: Reason | None, now: float) -> None:
        """No operation: each member has one of its own."""

    def _finish(self, outcome: Outcome, reason: Reason | None) -> None:
        if self._finished:
            return
        trial = self._trial
        super()._finish(outcome, reason)
        afterwards, self._afterwards = self._afterwards, []
        for work in afterwards:
            work()
        kept = self._kept
        ended = Ended(
            outcome,
            reason,
            kept.status,
            kept.head,
            kept.body,
            trial.attempt if trial is not None else None,
            trial.headers if trial is not None else [],
            self._granted_at if self._granted_at is not None else clock.monotonic(),
            len(self._members),
        )
        self._tell(ended)

    def _tell(self, ended: Ended) -> None:
        members = [who for who in self._members if who in self._present]
        self._present = set()
        if ended.outcome is Outcome.OK:
            self._share(ended, members)
        elif ended.status in BLAMES_THE_REQUEST or ended.reason in REASONS:
            for who in members:
                who.go_again(ended)
        else:
            for who in members:
                who.failed_with(ended)

    def _share(self, ended: Ended, members: Sequence[Sharer]) -> None:
        request = self._record.request
        slices = cut(request.kind, parsed(ended.body) or {}, self._parts, choices=request.choices)
        if slices is None:
            upstream = ended.attempt.intent.upstream if ended.attempt is not None else ""
            logger.warning("upstream %s did not answer each input of an array: set takes_arrays: false", upstream)
            for who in members:
                who.go_again(ended)
            return
        own = dict(zip(self._members, slices, strict=True))
        for who in members:
            who.sliced(ended, own[who])
