"""One call of one upstream: the sink of its answer, and the only writer of its end.

A trial relays a stream as it comes once a real token was seen, and takes any other answer whole. However it ends, by
its answer, by the upstream's failure, by a deadline or because its owner stops it, it ends once, in `_close`.
"""

from collections.abc import Mapping

from gateway.breakers.breaker import Ticket
from gateway.breakers.keeper import Key, Move, Seen
from gateway.domain import clock
from gateway.domain.attempt import Attempt, Intent, Outcome
from gateway.domain.reasons import Reason
from gateway.errors import GatewayError
from gateway.flow import answer as answers
from gateway.flow.answer import VendorAnswer
from gateway.flow.blame import blame, is_error, status_of
from gateway.flow.booking import book_attempt
from gateway.flow.content import keeps_content, kept, with_request
from gateway.flow.findings import identity_of, told_by, usage_of
from gateway.flow.mask import masked
from gateway.flow.owner import Owner
from gateway.flow.plane import Plane
from gateway.flow.seen import FIRST_TOKEN, GONE, shown_by_answer, shown_by_end
from gateway.flow.transitions import book_moves
from gateway.ladder.ladder import Tried
from gateway.limits.retry_after import retry_after_s
from gateway.relay.dialect import relay_of
from gateway.relay.relay import Relay
from gateway.relay.shape import shape_of
from gateway.relay.sse import EventTooLong
from gateway.relay.transcript import Transcript
from gateway.upstream.call import Call
from gateway.upstream.hosts import Lease
from gateway.upstream.sink import Failure, Headers
from gateway.wire.body import ModelRequest
from gateway.wire.kinds import Kind

OPERATORS = frozenset({Reason.UPSTREAM_AUTH, Reason.NOT_SERVED})
"""What a vendor says of our own credentials, or of a model name that is ours and not the alias, is not the client's to
read."""

DRAIN_S = 5.0
"""How long an upstream may take to end an answer that is complete, before the connection is given up."""


class Trial:
    """From the intent to the end."""

    def __init__(
        self,
        plane: Plane,
        owner: Owner,
        intent: Intent,
        request: ModelRequest,
        key: Key,
        ticket: Ticket,
        lease: Lease | None = None,
    ) -> None:
        """`key` is its breaker's, `lease` the attempt's place at one of several hosts."""
        self._transcript: Transcript | None = None
        """Set where the tier's logging policy keeps content."""
        tier = plane.config.tiers[intent.tier]
        if keeps_content(tier):
            intent = with_request(intent, request.body)
            self._transcript = Transcript()
        self._shape = shape_of(request)
        self.intent = intent
        self.ended = False
        self.sent = False
        self.status = 0
        self.headers: Headers = []
        self.first_token_s: float | None = None
        self.attempt: Attempt | None = None
        """What was booked of it, once it has ended."""
        self._plane = plane
        self._owner = owner
        self._request = request
        self._key = key
        self._ticket = ticket
        self._lease = lease
        self._elsewhere = False
        self._move: Move | None = None
        """Its breaker's, made by this call."""
        self._began = clock.monotonic()
        self._expected_tokens = plane.throttle.begin(intent, self._began)
        self._sent_at = 0.0
        self._call: Call | None = None
        patience_s = tier.first_token_timeout_s if request.stream else tier.answer_timeout_s
        self._lane = plane.lanes.of(patience_s) if patience_s is not None else None
        """Until a stream's first token, or the whole of any other answer."""
        self._due_s = min(tier.first_token_timeout_s, tier.total_timeout_s / 2)
        """Cut before this by its request's total timeout, it was not the one that was slow."""
        self._relay: Relay | None = None
        self._parts: list[bytes] = []
        self._size = 0
        self._fields: Mapping[str, object] | None = None
        """Of a whole answer under a good status, an error that came so among them: it may tell of usage."""
        self._answers = False
        """It is one, and no error."""
        if plane.breakers.moves:
            book_moves(plane, intent)  # This call is a probe: leave for it half opened the breaker.

    def launch(self, body: bytes, passed_on: bytes, *, fresh: bool) -> None:
        """Call the upstream. The intent is on the books."""
        intent = self.intent
        pool = self._lease.pool if self._lease is not None else self._plane.upstreams[intent.upstream]
        head = pool.endpoint.request_head(
            passed_on,
            content_length=len(body),
            attempt_id=intent.attempt_id,
            trace_id=intent.trace_id,
            span_id=intent.span_id,
            kind=self._request.kind,
        )
        if self._lane is not None:
            self._lane.join(self._too_late, clock.monotonic())
        self._call = pool.call(head, body, self, fresh=fresh)

    def stop(self, outcome: Outcome, reason: Reason) -> bool:
        """End it now; the owner hears no more of it. True if its stream was complete already, and so ended well."""
        if self.ended:
            return False
        whole = self._relay is not None and self._relay.done and self._relay.open
        self._hang_up()
        if whole:
            self._close(Outcome.OK, None)
        else:
            self._close(outcome, reason)
        return whole

    def broken(self, error: GatewayError) -> bytes:
        """The event that tells a client in band that its stream ended early."""
        return (self._relay or Relay()).broken(error)

    def pause(self) -> None:
        """The client is slower than the upstream."""
        if self._call is not None:
            self._call.pause()

    def resume(self) -> None:
        """The client has caught up."""
        if self._call is not None:
            self._call.resume()

    # Sink

    def sending(self) -> None:
        """The first byte goes out now."""
        self.sent = True
        self._sent_at = clock.monotonic()

    def head(self, status: int, headers: Headers) -> None:
        """The answer begins."""
        self.status = status
        self.headers = headers
        named = dict(headers)
        self._plane.throttle.heed(self.intent, named, clock.monotonic())
        if named.get(b"content-encoding", b"identity") != b"identity":
            self._fail(Reason.BAD_RESPONSE)  # We asked for identity, and could not read usage from anything else.
            return
        is_stream = named.get(b"content-type", b"").startswith(b"text/event-stream")
        if self._request.stream and 200 <= status < 300 and is_stream:
            running = self._plane.upstreams[self.intent.upstream].endpoint.upstream.running_usage
            self._relay = relay_of(self._request, running_usage=running)

    def data(self, piece: bytes) -> None:
        """More of the answer."""
        if self.ended:
            return
        relay = self._relay
        self._size += len(piece)
        if relay is None:
            self._parts.append(piece)
            if self._size > answers.ANSWER_BYTES_MAX:
                self._fail(Reason.BAD_RESPONSE)
            return
        try:
            shown = relay.feed(piece)
        except EventTooLong:
            self._fail(Reason.STREAM_BROKEN)
            return
        self._show(relay, shown)

    def end(self) -> None:
        """The answer's body is whole."""
        self._call = None
        if self.ended:
            self._plane.lanes.of(DRAIN_S).leave(self._hang_up)
            return
        relay = self._relay
        if relay is None:
            self._parts = [b"".join(self._parts)]
            self._take_whole(self._parts[0])
            return
        if not self._show(relay, relay.finish()):
            return
        if relay.complete and relay.open:
            self._settle()
        else:
            self._fail(Reason.BAD_RESPONSE if relay.done else Reason.STREAM_BROKEN)

    def failed(self, failure: Failure) -> None:
        """The connection brings no more."""
        self._call = None
        if self.ended:
            self._plane.lanes.of(DRAIN_S).leave(self._hang_up)
        elif self._relay is not None and self._relay.done and self._relay.open:
            self._settle()
        else:
            self._fail(failure.reason, stale=failure.stale)

    # What a stream brings

    def _show(self, relay: Relay, shown: bytes) -> bool:
        """Pass on what may be passed on; False if the trial has ended with it."""
        if self.first_token_s is None and relay.token_seen:
            now = clock.monotonic()
            self.first_token_s = now - self._sent_at
            self._patient()
            self._show_breaker(FIRST_TOKEN, now)
        if shown:
            self._owner.flows(self, shown)
            if self._transcript is not None:
                self._transcript.add(shown)
            if self._shape is not None:
                self._shape.add(shown)
        if relay.error is not None:
            self._fail_in_band(relay, relay.error)
            return False
        if relay.done:
            # The answer's end mostly comes in the same read; if it does not, the client need not wait for it.
            self._plane.loop.call_soon(self._settle)
        return True

    def _settle(self) -> None:
        if self.ended:
            return
        relay = self._relay
        if relay is not None and not relay.open:
            self._fail(Reason.BAD_RESPONSE)  # [DONE], and not one token before it.
            return
        self._close(Outcome.OK, None)
        self._owner.streamed(self)
        if self._call is not None and self._call.under_way:
            self._plane.lanes.of(DRAIN_S).join(self._hang_up, clock.monotonic())

    def _fail_in_band(self, relay: Relay, payload: bytes) -> None:
        fields = answers.parsed(payload)
        status = status_of(fields)
        reason = blame(status, fields)
        secret = reason in OPERATORS
        if relay.open or (status == 502 and not secret):
            reason = Reason.STREAM_BROKEN
        told = relay.open and not secret
        if told:
            self._owner.flows(self, masked(relay.error_event, self._our_key()))
        answer = VendorAnswer(status, b"content-type: application/json\r\n", masked(payload, self._our_key()))
        self._fail(reason, None if relay.open or secret else answer, told=told)

    # What a whole answer brings

    def _take_whole(self, body: bytes) -> None:
        fields = answers.outline(body) if self._request.kind is Kind.EMBEDDINGS else answers.parsed(body)
        status = self.status
        if status < 300:
            if fields is None:
                self._fail(Reason.BAD_RESPONSE)
                return
            self._fields = fields
            if not is_error(fields):
                self._answers = True
                self._close(Outcome.OK, None)
                self._owner.answered(self, VendorAnswer(status, answers.forwarded(self.headers), body))
                return
            status = status_of(fields)
        reason = blame(status, fields)
        if self.status < 300 and reason is Reason.SERVER_ERROR:
            reason = Reason.BAD_RESPONSE
        answer = VendorAnswer(status, answers.forwarded(self.headers), masked(body, self._our_key()))
        self._fail(reason, None if reason in OPERATORS or status < 400 else answer)

    def _content(self) -> str:
        """What was answered, as far as it is written down; "" for a failure's body."""
        stream = self._transcript.whole() if self._transcript is not None else b""
        return kept(stream or (self._parts[0] if self._answers else b""), self._our_key())

    def _our_key(self) -> bytes:
        return self._plane.upstreams[self.intent.upstream].endpoint.upstream.api_key.get_secret_value().encode()

    # Ends

    def _too_late(self) -> None:
        if not self.ended:
            reason = Reason.FIRST_TOKEN_TIMEOUT if self._request.stream else Reason.ANSWER_TIMEOUT
            self._fail(reason, outcome=Outcome.TIMEOUT)

    def _patient(self) -> None:
        if self._lane is not None:
            self._lane.leave(self._too_late)

    def _fail(
        self,
        reason: Reason,
        answer: VendorAnswer | None = None,
        *,
        outcome: Outcome = Outcome.ERROR,
        stale: bool = False,
        told: bool = False,
    ) -> None:
        self._hang_up()
        self._close(outcome, reason, stale=stale)
        self._owner.failed(self, self._tried(reason, stale=stale), answer, told=told)

    def _tried(self, reason: Reason, *, stale: bool) -> Tried:
        """What the ladder is to know of it."""
        return Tried(
            self.intent.fallback_depth,
            reason,
            replayable=stale,
            billable=self.sent and self.status < 400 and not stale,
            retry_after_s=retry_after_s(self.headers, clock.utc_now()),
            retryable=(b"x-should-retry", b"false") not in self.headers,
            host=self._lease.host if self._lease is not None else "",
            elsewhere=self._elsewhere,
        )

    def _hang_up(self) -> None:
        call, self._call = self._call, None
        if call is not None:
            call.cancel()

    def _close(self, outcome: Outcome, reason: Reason | None, *, stale: bool = False) -> None:
        self.ended = True
        self._patient()
        now = clock.monotonic()
        if self._lease is not None:
            self._elsewhere = self._lease.over(reason, stale=stale, now=now)
        # A host that cannot be reached says nothing of an upstream whose other hosts live.
        stale = stale or self._elsewhere
        body = self._parts[0] if self._fields is not None else b""
        usage, completeness, raw = usage_of(self._relay, self._fields, body)
        response_id, model, finish_reason, service_tier = identity_of(self._relay, self._fields)
        if reason is None:
            self._show_breaker(shown_by_answer(finish_reason, self._request.max_output_tokens), now)
        else:
            asked_s = retry_after_s(self.headers, clock.utc_now()) if self.status >= 400 else 0.0
            spared = self.first_token_s is not None or now - self._began < self._due_s
            self._show_breaker(shown_by_end(reason, stale=stale, spared=spared, retry_after_s=asked_s), now)
        looked_at = self._shape if outcome is Outcome.OK else None
        fault = looked_at.fault(self._fields) if looked_at is not None else None
        move = self._move
        attempt = self.attempt = Attempt(
            intent=told_by(self.intent, completeness, response_id),
            ended_at=self.intent.started_at + round((now - self._began) * 1e9),
            outcome=outcome if self.sent else Outcome.REFUSED,
            error_type=reason or "",
            http_status=self.status,
            usage=usage,
            completeness=completeness,
            usage_raw=raw,
            response_id=response_id,
            response_model=model,
            finish_reason=finish_reason,
            service_tier=service_tier,
            response_bytes=self._size if self.intent.host else 0,
            answer_fault=fault or "",
            first_token_seconds=self.first_token_s,
            breaker_transition=(move.before, move.after, move.cause) if move else None,
            response_content=self._content() if self._transcript is not None else "",
        )
        self._plane.throttle.end(attempt, self._expected_tokens, now - self._began, now)
        book_attempt(self._plane, attempt)
        self._owner.booked(attempt)

    def _show_breaker(self, seen: Seen, now: float) -> None:
        breakers = self._plane.breakers
        if self._plane.upstreams[self.intent.upstream].retired:
            seen = GONE
        self._move = breakers.record(self._key, self.intent.tier, self._ticket, seen, now) or self._move
        if breakers.moves:
            book_moves(self._plane, self.intent)
