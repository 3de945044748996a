"""What stands between a request and its tier's queue: its session's fuse, its tenant's quota, the answer cache. Those
it passed are told what becomes of it. A gate that the configuration leaves open costs a look.
"""

from gateway.budgets.spent import spent_usd
from gateway.cache.store import Entry
from gateway.domain import clock
from gateway.domain.attempt import Attempt
from gateway.domain.reasons import Reason
from gateway.errors import (
    FuseTripped,
    GatewayError,
    InvalidRequest,
    OwnersUnavailable,
    QuotaExhausted,
    StoredElsewhere,
    UnknownObject,
)
from gateway.flow.caching import Recording
from gateway.flow.plane import Plane
from gateway.flow.record import RequestRecord
from gateway.flow.templating import observe
from gateway.limits.quota import Quota
from gateway.limits.sessions import Watch
from gateway.upstream.sink import Headers
from gateway.wire.arrival import Arrival

REASONS: dict[type[GatewayError], Reason] = {
    FuseTripped: Reason.FUSE_TRIPPED,
    QuotaExhausted: Reason.QUOTA_EXHAUSTED,
    InvalidRequest: Reason.CALLER_ERROR,
    UnknownObject: Reason.CALLER_ERROR,
    StoredElsewhere: Reason.CALLER_ERROR,
    OwnersUnavailable: Reason.SERVER_ERROR,
}
"""Why a request that was refused at a gate has ended."""


class Gates:
    """One request's way through them."""

    __slots__ = ("_arrival", "_expected_tokens", "_plane", "_quota", "_record", "_recording", "_watch")

    def __init__(self, plane: Plane, record: RequestRecord, arrival: Arrival) -> None:
        self._plane = plane
        self._record = record
        self._arrival = arrival
        self._watch: Watch | None = None
        self._quota: Quota | None = None
        self._expected_tokens = 0
        self._recording: Recording | None = None
        """Where the answer is noted down, if it may be kept."""

    def admit(self) -> Entry | None:
        """Pass them all; returns the kept answer, where there is one. Raises the error of the gate that is shut: one of
        those in REASONS."""
        plane, record = self._plane, self._record
        if record.route.tier.fuse.armed:
            self._pass_fuse()
        quota = plane.throttle.quota_of(record.tenant)
        if quota is not None:
            self._expected_tokens = record.expected_tokens() if quota.counts_tokens else 0
            plane.throttle.admit(quota, self._expected_tokens, record.began)
            self._quota = quota
        if plane.prefixes is not None:
            observe(plane.prefixes, record)
        if plane.answers is None:
            return None
        consulted = plane.answers.consult(self._arrival, record.request, record.route, record.began)
        record.cache_status, record.hit, self._recording = consulted.status, consulted.entry, consulted.recording
        return consulted.entry

    def _pass_fuse(self) -> None:
        record, session = self._record, self._arrival.session()
        if not session:
            return
        self._watch = self._plane.fuses.watch(record.route.tier, record.tenant, session)
        error = self._watch.admit(record.request.fields, record.began)
        if error is not None:
            raise error

    # What becomes of it

    def attempted(self, attempt: Attempt) -> None:
        """An attempt of it has ended."""
        if self._watch is not None:
            usd = spent_usd(attempt, self._plane.config.rate_cards)
            self._watch.spent(attempt.usage, usd, clock.monotonic())

    def flows(self, piece: bytes) -> None:
        """A piece of the stream that it is answered with."""
        if self._recording is not None:
            self._recording.add(piece)
        if self._watch is not None:
            self._watch.flows(piece)

    def answered(self, attempt: Attempt | None, headers: Headers, body: bytes | None) -> None:
        """It was answered, and well, by that attempt or its share of one; `body` is None for a stream."""
        answers, recording = self._plane.answers, self._recording
        if answers is not None and recording is not None and attempt is not None:
            cards, now = self._plane.config.rate_cards, clock.monotonic()
            answers.keep(recording, attempt, headers, body, cards=cards, now=now)
        if self._watch is not None:
            self._watch.ended(body, clock.monotonic())

    def replayed(self, entry: Entry) -> None:
        """It was answered with what had been kept."""
        if self._watch is not None:
            self._watch.replayed(entry.body, self._record.began, stream=entry.stream)

    def ended(self, now: float) -> None:
        """It has ended, however it did."""
        if self._quota is not None:
            self._quota.tokens.settle(self._expected_tokens, 0, now)  # What its calls used was taken at their ends.
