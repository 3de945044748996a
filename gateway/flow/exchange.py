"""One client request from its arrival to its one operation record.

The loop is `_advance`: ask the pure ladder for the next move, act on it, and wait for what comes of it. All else here
is what may come: a slot, an answer, a failure, the client's hanging up, a deadline, the server's end. Whatever comes
first ends the request in `_finish`, once, and gives its slot back.
"""

from gateway.cache.store import Entry
from gateway.catalogue import Route, lot_of
from gateway.domain import clock
from gateway.domain.attempt import Attempt, Outcome
from gateway.domain.reasons import Reason
from gateway.errors import (
    AnswerTimeout,
    GatewayError,
    JournalUnavailable,
    QueueFull,
    QueueTimeout,
    ShuttingDown,
    StreamBroken,
)
from gateway.flow import heads
from gateway.flow.answer import VendorAnswer, forwarded, request_id_of
from gateway.flow.booking import book_operation
from gateway.flow.climb import Climb, Go
from gateway.flow.gates import REASONS, Gates
from gateway.flow.hedge import Hedge, may_be_hedged
from gateway.flow.outgoing import Outgoing, prepared
from gateway.flow.plane import Plane
from gateway.flow.record import RequestRecord
from gateway.flow.throttle import check_streams
from gateway.flow.trial import Trial
from gateway.ladder.ladder import NO_QUOTE, Tried
from gateway.relay.coalesce import Coalescer
from gateway.stored.gate import check as check_owners
from gateway.stored.keeping import Keeper
from gateway.wire.arrival import Arrival, Client
from gateway.wire.body import read
from gateway.wire.kinds import Kind


class Exchange:
    """Made for each request; it is the pool's applicant, the trials' owner and what the client's side talks to."""

    def __init__(self, plane: Plane, client: Client, arrival: Arrival, record: RequestRecord | None = None) -> None:
        self._plane = plane
        self._client = client
        self._arrival = arrival
        self._record = record or RequestRecord(plane, arrival)
        self._granted_at: float | None = None
        self._gates = Gates(plane, self._record, arrival)
        self._climb = Climb(plane, self._record, arrival.tenant)
        self._trial: Trial | None = None
        self._hedge: Hedge | None = None
        """From its slot on, where a second call may be started beside its first."""
        self._vendor: tuple[Trial, VendorAnswer] | None = None
        self._status = 0
        self._finished = False
        self._stream: Coalescer | None = None
        """Set from a stream's first byte to the client on."""

    def start(self) -> None:
        """Read the request, find its route, and ask for a slot."""
        arrival, plane, record = self._arrival, self._plane, self._record
        try:
            record.request = read(arrival.body, arrival.kind)
            route = plane.catalogue.find(arrival.tenant, record.request.alias, arrival.tier())
            if route.canaries:
                session = record.session
                route = route.drawn(lot_of(session, route.alias.name) if session else plane.draw())
            self._route = record.route = route
            self._pool = plane.pools[route.tier.name]
            if route.tier.streaming_required:
                check_streams(record.request, self._pool)
        except GatewayError as error:
            self._finished = True
            plane.metrics.errors.add(error.code)
            self._client.answer(error.status, heads.refusal(record.request_id, error), error.envelope())
            return
        plane.exchanges.add(self)
        self._total_lane = plane.lanes.of(route.tier.total_timeout_s)
        self._total_lane.join(self._out_of_time, record.began)
        check_owners(plane, arrival.tenant, record.request, route, self._owned, self._refuse)

    def _owned(self, route: Route) -> None:
        """All that it names is its tenant's: by that route, to the other gates, and in line."""
        if self._finished:
            return
        self._route = self._record.route = route
        try:
            kept = self._gates.admit()
        except GatewayError as error:
            self._refuse(error)
            return
        if kept is not None:
            self._replay(kept)
            return
        self._ask()

    def _refuse(self, error: GatewayError) -> None:
        if not self._finished:
            self._pool.count_refusal(error.code)
            self._end(Outcome.REFUSED, REASONS[type(error)], error)

    def _ask(self) -> None:
        """Ask for a slot."""
        self._claim = self._record.claim()
        self._pool.arrive(self, self._claim, clock.monotonic())

    def _leave_line(self) -> bool:
        """Wait for a slot no longer; False if it did not."""
        return self._pool.withdraw(self)

    def _quit_line(self) -> bool:
        """The same, with the time that it waited for nothing."""
        left = self._leave_line()
        if left:
            self._record.queue_s = clock.monotonic() - self._record.began
        return left

    @property
    def has_slot(self) -> bool:
        """Whether it is past its tier's queue."""
        return self._granted_at is not None

    # The client's side

    def client_gone(self) -> None:
        """The client hung up."""
        if self._finished:
            return
        if self._quit_line():
            self._climb.book_refused(self._route.rungs[0], Reason.CLIENT_CANCELLED, None, NO_QUOTE)
        self._stop(Outcome.CANCELLED, Reason.CLIENT_CANCELLED)

    def pause(self) -> None:
        """The client's buffer is full."""
        if self._trial is not None:
            self._trial.pause()

    def resume(self) -> None:
        """The client's buffer has room again."""
        if self._trial is not None:
            self._trial.resume()

    def stop(self) -> None:
        """The gateway stops now."""
        if not self._finished:
            self._quit_line()
            self._stop(Outcome.CANCELLED, Reason.GATEWAY_SHUTDOWN, ShuttingDown("The gateway is stopping."))

    def _out_of_time(self) -> None:
        if not self._finished:
            self._quit_line()
            error = AnswerTimeout(f"No whole answer within {self._route.tier.total_timeout_s:g} s.")
            self._stop(Outcome.TIMEOUT, Reason.TIMEOUT, error)

    def _stop(self, outcome: Outcome, reason: Reason, error: GatewayError | None = None) -> None:
        complete = self._trial is not None and self._trial.stop(outcome, reason)
        if self._hedge is not None:
            self._hedge.stop(outcome, reason)
        if complete:
            self._finish(Outcome.OK, None)
        else:
            self._end(outcome, reason, error)

    # The pool's applicant

    def slot_granted(self, waited_s: float) -> None:
        """Go."""
        self._granted_at = clock.monotonic()
        self._record.queue_s = waited_s
        self._plane.metrics.queue.observe((self._route.tier.name,), waited_s)
        if self._route.limits.hedge_after_s is not None and may_be_hedged(self._record):
            self._hedge = Hedge(self._plane, self._route, self._climb, self._claim, self._send_beside)
        self._advance()

    def slot_denied(self, error: QueueFull | QueueTimeout, waited_s: float) -> None:
        """There is no slot."""
        self._record.queue_s = waited_s
        reason = Reason.QUEUE_OVERFLOW if isinstance(error, QueueFull) else Reason.QUEUE_TIMEOUT
        self._end(Outcome.REFUSED, reason, error)

    # The loop

    def _advance(self) -> None:
        planned = self._climb.next(self._advance)
        if isinstance(planned, Go):
            outgoing = self._outgoing(planned)
            self._trial = outgoing.trial
            self._send(outgoing)
        elif planned is not None:
            self._give_up()

    def _send_beside(self, go: Go) -> Trial:
        outgoing = self._outgoing(go)
        self._send(outgoing)
        return outgoing.trial

    def _outgoing(self, go: Go) -> Outgoing:
        responds = self._record.request.kind is Kind.RESPONSES
        owner = Keeper(self._plane, self, lambda: self._finished) if responds else self
        return prepared(self._plane, owner, self._arrival, self._record, go, self._climb.tried)

    def _send(self, outgoing: Outgoing) -> None:
        if outgoing.synced:
            self._plane.tasks.spawn(self._launch_synced(outgoing))
            return
        try:
            self._plane.books.intent(outgoing.trial.intent)
        except OSError:
            self._no_journal(outgoing.trial)
            return
        self._launch(outgoing)

    async def _launch_synced(self, outgoing: Outgoing) -> None:
        """A fallback's reason and estimate are on the disk before the alternate is called."""
        trial = outgoing.trial
        if trial.ended:
            return  # Before this had its turn: an intent written now would never have an end.
        try:
            await self._plane.books.intent_synced(trial.intent)
        except OSError:
            if not trial.ended:
                self._no_journal(trial)
            return
        if not trial.ended:
            self._launch(outgoing)

    def _launch(self, outgoing: Outgoing) -> None:
        outgoing.trial.launch(outgoing.body, outgoing.passed_on, fresh=outgoing.fresh)
        if self._hedge is not None:
            self._hedge.watch(outgoing.trial)

    def _no_journal(self, trial: Trial) -> None:
        trial.stop(Outcome.REFUSED, Reason.JOURNAL_FULL)
        if self._other_goes_on(trial):
            return
        error = JournalUnavailable(
            "Calls cannot be recorded at present, so none are made. Retry later.", retry_after_s=5
        )
        self._end(Outcome.REFUSED, Reason.JOURNAL_FULL, error)

    def _give_up(self) -> None:
        last = self._climb.tried[-1].reason
        if self._vendor is not None and self._climb.may_relay(self._vendor[1].status):
            trial, answer = self._vendor
            self._answer(answer.status, self._answer_head(trial, answer.head), answer.body)
            self._finish(Outcome.ERROR, last)
        else:
            outcome, error = self._climb.refusal()
            self._end(outcome, last, error)

    # The trials' owner

    def booked(self, attempt: Attempt) -> None:
        """A trial has ended."""
        self._gates.attempted(attempt)

    def flows(self, trial: Trial, piece: bytes) -> None:
        """A stream's bytes; the first of them commit us to it."""
        if self._stream is None:
            if self._hedge is not None:
                self._commit(trial, self._hedge)
            self._status = trial.status
            self._client.start(trial.status, self._answer_head(trial, forwarded(trial.headers)))
            size = self._plane.config.stream_chunk_bytes
            self._stream = Coalescer(self._client.write, size, self._plane.loop)
            if self._client.paused:
                trial.pause()
        self._gates.flows(piece)
        self._stream.add(piece)

    def answered(self, trial: Trial, answer: VendorAnswer) -> None:
        """The whole answer."""
        if self._hedge is not None:
            self._commit(trial, self._hedge)
        self._gates.answered(trial.attempt, trial.headers, answer.body)
        self._answer(answer.status, self._answer_head(trial, answer.head), answer.body)
        self._finish(Outcome.OK, None)

    def streamed(self, trial: Trial) -> None:
        """The stream ended as it should."""
        self._gates.answered(trial.attempt, trial.headers, None)
        self._finish(Outcome.OK, None)

    def failed(self, trial: Trial, tried: Tried, answer: VendorAnswer | None, *, told: bool) -> None:
        """The upstream failed: the next rung, or an error in band once the client has a token."""
        if self._stream is not None:
            message = "The stream was interrupted before its end. What came before this event is incomplete."
            self._end(Outcome.ERROR, tried.reason, None if told else StreamBroken(message))
            return
        self._climb.failed(tried)
        if answer is not None and self._climb.tried[-1] is tried and (answer.status != 429 or self._vendor is None):
            self._vendor = (trial, answer)
        if not self._other_goes_on(trial):
            self._advance()

    def unkept(self, trial: Trial, error: GatewayError) -> None:
        """The answer came, but whose it is could not be recorded."""
        trial.stop(Outcome.CANCELLED, Reason.JOURNAL_FULL)
        self._end(Outcome.ERROR, Reason.JOURNAL_FULL, error)

    def _commit(self, trial: Trial, hedge: Hedge) -> None:
        """It has something for the client: the request is its own from now on."""
        self._trial = trial
        hedge.won(trial)

    def _other_goes_on(self, failed: Trial) -> bool:
        """Whether another call runs beside the one that failed: the request is its own now."""
        other = self._hedge.failed(failed) if self._hedge is not None else None
        if other is not None:
            self._trial = other
        return other is not None

    # Ends

    def _replay(self, entry: Entry) -> None:
        """The answer that was kept, framed as it was; nobody is called for it."""
        head = self._common_head() + entry.head
        if entry.stream:
            self._status = entry.status
            self._client.start(entry.status, head)
            self._client.write(entry.body)
            self._client.finish()
        else:
            self._answer(entry.status, head, entry.body)
        self._gates.replayed(entry)
        self._finish(Outcome.OK, None)

    def _end(self, outcome: Outcome, reason: Reason, error: GatewayError | None) -> None:
        """End with an error of ours, in band if a stream has begun; without one, end quietly."""
        if error is not None:
            self._plane.metrics.errors.add(error.code)
        if self._stream is not None:
            if self._client.paused:
                self._stream.drop()
                self._client.cut()
            elif error is not None and self._trial is not None:
                self._stream.add(self._trial.broken(error))
        elif error is not None:
            head = self._common_head() + heads.of_error(error)
            self._answer(error.status, head, error.envelope())
        self._finish(outcome, reason)

    def _answer(self, status: int, head: bytes, body: bytes) -> None:
        self._status = status
        self._client.answer(status, head, body)

    def _finish(self, outcome: Outcome, reason: Reason | None) -> None:
        if self._finished:
            return
        self._finished = True
        now = clock.monotonic()
        if self._stream is not None:
            self._stream.flush()
            self._client.finish()
        self._plane.exchanges.discard(self)
        self._total_lane.leave(self._out_of_time)
        self._climb.leave()
        self._book(outcome, reason, now)
        # Trials know their exchange; parted from them, all of it is freed at once and not by the garbage collector.
        self._trial = self._vendor = self._stream = self._hedge = None
        self._gates.ended(now)
        if self._granted_at is not None:
            self._pool.release(self._claim, now - self._granted_at)

    def _book(self, outcome: Outcome, reason: Reason | None, now: float) -> None:
        operation = self._record.operation(outcome, reason, self._status, self._trial)
        book_operation(self._plane, operation, now - self._record.began)

    # What the moves need

    def _common_head(self, shown_id: bytes = b"") -> bytes:
        record = self._record
        return heads.common(record.request_id, self._route, record.queue_s, record.cache_status, shown_id)

    def _answer_head(self, trial: Trial, vendor: bytes) -> bytes:
        shown_id = b"" if self._arrival.names_itself() else request_id_of(trial.headers)
        return self._common_head(shown_id) + heads.of_intent(trial.intent) + vendor
