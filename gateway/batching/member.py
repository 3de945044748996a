"""A request that may be gathered: it waits in its tier's batch before it asks for a slot, and is answered with its
slice of a shared call, or goes alone.

Until it asks for a slot it is like any other request, and every gate has let it pass. It has an operation of its own on
the books, linked to the shared attempt, with its share of the usage; the attempt is on the books once.
"""

from collections.abc import Sequence
from dataclasses import replace

import orjson

from gateway.batching.batches import Gathered
from gateway.batching.key import FIELDS, Inputs, inputs_of, joined, shared_key, telling
from gateway.batching.shared import Ended, SharedCall
from gateway.batching.slices import Part, Slice
from gateway.domain import clock
from gateway.domain.attempt import Attempt, Outcome
from gateway.domain.ids import UpstreamId
from gateway.domain.reasons import Reason
from gateway.domain.usage import NO_USAGE, Completeness, Usage
from gateway.errors import QueueFull, QueueTimeout
from gateway.flow.answer import request_id_of
from gateway.flow.booking import book_operation, normalised
from gateway.flow.exchange import Exchange
from gateway.flow.record import RequestRecord
from gateway.upstream.endpoint import pass_on


class Member(Exchange):
    """A request of a plane that has a tier which gathers; in another tier it is an exchange and no more."""

    inputs: Inputs | None = None
    """What it may join with others' inputs."""
    _waited_s = 0.0
    """Until its batch closed, or the call it shared had a slot."""
    _shared: SharedCall | None = None
    """The call that it has a part in, while it is there."""
    _led: SharedCall | None = None
    """The call that it leads, until its attempts are counted."""
    _part: Attempt | None = None
    """Its share of the shared attempt, once that has ended or it has left."""

    def _ask(self) -> None:
        tier, request = self._route.tier, self._record.request
        if not tier.micro_batch_ms:
            super()._ask()
            return
        forecast = self._plane.forecasts[self._route.alias.name]
        key = self._key()
        if key is None or self.inputs is None:
            tokens = forecast.prompt_tokens(len(request.body))
        else:
            tokens = self.inputs.size if self.inputs.tokens else forecast.prompt_tokens(self.inputs.size)
        inputs = 1 if key is None else request.finishes
        self._plane.batches.gather(self, tier, key, kind=request.kind, tokens=tokens, inputs=inputs)

    def _key(self) -> bytes | None:
        """What those it may share a call with have in common; None if it may share none."""
        request, route, upstreams = self._record.request, self._route, self._plane.config.upstreams
        if request.kind not in FIELDS or not all(upstreams[UpstreamId(r.upstream)].takes_arrays for r in route.rungs):
            return None
        self.inputs = inputs_of(request.fields.get(FIELDS[request.kind]))
        if self.inputs is None:
            return None
        return shared_key(
            tenant=self._record.tenant,
            alias=route.alias.name,
            tier=route.tier.name,
            kind=request.kind,
            fields=request.fields,
            headers=pass_on(telling(self._arrival.headers)),
            tokens=self.inputs.tokens,
        )

    # Gathered

    def go(self) -> None:
        """The wait is over: ask for a slot."""
        self._waited_s = clock.monotonic() - self._record.began
        super()._ask()

    def lead(self, members: Sequence[Gathered]) -> None:
        """Make one call for all of them."""
        sharing = [(who, who.inputs) for who in members if isinstance(who, Member) and who.inputs is not None]
        inputs = [own for _, own in sharing]
        request = self._record.request
        fields = joined(request.kind, request.fields, inputs)
        count = sum(len(own.items) for own in inputs)
        merged = replace(request, body=orjson.dumps(fields), fields=fields, inputs=count)
        records = [who.record for who, _ in sharing]
        record = self._record.for_batch(merged, records, self._route.tier.micro_batch_ms)
        parts = [Part(len(own.items), own.size) for own in inputs]
        shared = self._led = SharedCall(self._plane, self._arrival, record, [who for who, _ in sharing], parts)
        for who, _ in sharing:
            who.join(shared)
        shared.start()

    def join(self, shared: SharedCall) -> None:
        """Have a part in that call."""
        self._shared = shared

    @property
    def record(self) -> RequestRecord:
        """What is written down of it."""
        return self._record

    def slot_granted(self, waited_s: float) -> None:
        """Go; what it waited before it asked is waited too."""
        super().slot_granted(waited_s + self._waited_s)

    def slot_denied(self, error: QueueFull | QueueTimeout, waited_s: float) -> None:
        """There is no slot."""
        super().slot_denied(error, waited_s + self._waited_s)

    # Leaving

    def _leave_line(self) -> bool:
        if self._shared is None:
            return self._plane.batches.leave(self, self._route.tier.name) or super()._leave_line()
        self._leave(out_of_time=False)
        return False

    def _leave(self, *, out_of_time: bool) -> None:
        shared, self._shared = self._shared, None
        if shared is not None:
            trial = shared.trial
            shared.left(self, out_of_time=out_of_time)
            self._record.queue_s = self._since_arrival(shared.granted_at)
            if trial is not None:
                self._part = Attempt(intent=trial.intent, ended_at=0, outcome=Outcome.CANCELLED)

    @property
    def has_slot(self) -> bool:
        """Whether it, or the call it shares, is past the queue."""
        return super().has_slot or self._shared is not None

    def stop(self) -> None:
        """The gateway stops now; a shared call stops for all its members at once."""
        if self._shared is not None:
            self._shared.stop()
        else:
            super().stop()

    def _out_of_time(self) -> None:
        if not self._finished:
            self._leave(out_of_time=True)
        super()._out_of_time()

    # Sharer

    def sliced(self, ended: Ended, own: Slice) -> None:
        """It was answered with this slice."""
        try:
            body = orjson.dumps(own.fields)
        except orjson.JSONEncodeError:  # Nested deeper than can be written again.
            self.go_again(ended)
            return
        usage = normalised(own.usage)
        part = self._told(ended, usage)
        if part is not None:
            self._gates.attempted(part)
            self._gates.answered(part, ended.headers, body)
        lines = f"x-tollway-batch-size: {ended.size}\r\n"
        if usage is not None:
            lines += f"x-tollway-usage: {Completeness.ESTIMATED}\r\n"
        self._answer(ended.status, self._head(ended) + lines.encode("ascii"), body)
        self._finish(Outcome.OK, None)

    def failed_with(self, ended: Ended) -> None:
        """There was no answer for any member."""
        self._told(ended, None)
        if ended.status:
            self._answer(ended.status, self._head(ended), ended.body)
        self._finish(ended.outcome, ended.reason)

    def go_again(self, ended: Ended) -> None:
        """Another member's input may be at fault: go on alone."""
        self._shared = None
        self._waited_s = self._since_arrival(ended.granted_at)
        self._count_led()
        self._record.sent_again = Reason.BATCH_SPLIT
        super()._ask()

    def _head(self, ended: Ended) -> bytes:
        shown_id = b"" if self._arrival.names_itself() else request_id_of(ended.headers)
        return self._common_head(shown_id) + ended.head

    def _told(self, ended: Ended, usage: Usage | None) -> Attempt | None:
        """Take in how the shared call ended; returns this member's part in its attempt."""
        self._shared = None
        self._record.queue_s = self._since_arrival(ended.granted_at)
        if ended.attempt is not None:
            known = Completeness.UNKNOWN if usage is None else Completeness.ESTIMATED
            self._part = replace(ended.attempt, usage=usage or NO_USAGE, completeness=known)
        return self._part

    def _since_arrival(self, until: float | None) -> float:
        return max(0.0, (clock.monotonic() if until is None else until) - self._record.began)

    def _count_led(self) -> None:
        if self._led is not None:
            self._record.continues(self._led.record)
            self._led = None

    def _book(self, outcome: Outcome, reason: Reason | None, now: float) -> None:
        led = self._led
        self._count_led()
        operation, part = self._record.operation(outcome, reason, self._status, self._trial), self._part
        if part is not None:
            operation = replace(
                operation,
                fallback_depth=part.intent.fallback_depth,
                first_token_seconds=None,
                shared_attempt_id=part.intent.attempt_id,
                shared_trace_id=part.intent.trace_id,
                shared_span_id=part.intent.span_id,
                usage=part.usage,
                completeness=part.completeness,
            )
        plane, seconds = self._plane, now - self._record.began
        if led is None or led.over:
            book_operation(plane, operation, seconds)
        else:
            record = led.record  # The attempts of the call that goes on without its leader are below this operation.
            led.afterwards(lambda: book_operation(plane, replace(operation, attempts=record.attempts), seconds))
