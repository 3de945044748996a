"""One request's hedge: a second call beside one that has not answered in time.

It is started once at most, on the rung that the pure ladder names, under a slot of its tier's that nobody else waits
for. The first of the two with something for the client is relayed; the other is hung up on at once and stays on the
books as cancelled. If one fails the other goes on.
"""

from collections.abc import Callable

from gateway.catalogue import Route
from gateway.domain import clock
from gateway.domain.attempt import Outcome
from gateway.domain.reasons import Reason
from gateway.flow.climb import Climb, Go
from gateway.flow.plane import Plane
from gateway.flow.record import RequestRecord
from gateway.flow.trial import Trial
from gateway.ladder.ladder import GiveUp
from gateway.pools.slots import Claim
from gateway.wire.kinds import Kind


class Hedge:
    """One request's, from its slot to its end."""

    __slots__ = ("_claim", "_climb", "_first", "_lane", "_metrics", "_pool", "_route", "_second", "_send", "_taken_at")

    def __init__(self, plane: Plane, route: Route, climb: Climb, claim: Claim, send: Callable[[Go], Trial]) -> None:
        """`claim` is what a second call takes of the tier's pool; `send` starts it."""
        self._metrics = plane.metrics
        self._route = route
        self._pool = plane.pools[route.tier.name]
        self._climb = climb
        self._claim = claim
        self._send = send
        self._lane = plane.lanes.of(route.limits.hedge_after_s or 0.0)
        self._first: Trial | None = None
        """The call that another may be started beside, or was and still runs."""
        self._second: Trial | None = None
        """The hedge, once it was started."""
        self._taken_at: float | None = None
        """Since when both run, and two slots are held."""

    def watch(self, trial: Trial) -> None:
        """That call has begun; no other runs."""
        if self._second is None and not trial.ended:
            self._first = trial
            self._lane.join(self._late, clock.monotonic())

    def won(self, trial: Trial) -> None:
        """That one has something for the client; the other is hung up on."""
        loser = self._first if trial is self._second else self._second
        if self._second is not None:
            self._count("won" if trial is self._second else "lost")
        if loser is not None:
            loser.stop(Outcome.CANCELLED, Reason.HEDGE_LOST)
        self.over()

    def failed(self, trial: Trial) -> Trial | None:
        """That one failed; returns the other, if it goes on."""
        other = self._second if trial is self._first else self._first
        self.over()
        return other

    def stop(self, outcome: Outcome, reason: Reason) -> None:
        """The request ends, and with it the hedge; the call beside it is its owner's to stop."""
        if self._second is not None:
            self._second.stop(outcome, reason)
        self.over()

    def over(self) -> None:
        """Start nothing any more beside the call that ran until now."""
        self._first = None
        self._lane.leave(self._late)
        if self._taken_at is not None:
            held_s, self._taken_at = clock.monotonic() - self._taken_at, None
            self._pool.release(self._claim, held_s)

    def _late(self) -> None:
        if self._first is not None:
            self._start(self._first)

    def _start(self, first: Trial) -> None:
        """Start the hedge beside that call, if it still is the one that runs."""
        if first is not self._first:
            return
        if not self._pool.spares(self._claim):
            self._count("refused")
            return
        running = self._route.rungs[first.intent.fallback_depth]
        planned = self._climb.beside(running, lambda: self._start(first))
        if isinstance(planned, Go):
            self._pool.take_spare(self._claim)
            self._taken_at = clock.monotonic()
            self._second = self._send(planned)
            self._count("started")
        elif isinstance(planned, GiveUp):
            self._count("refused")

    def _count(self, result: str) -> None:
        self._metrics.hedges.add(self._route.alias.name, self._route.tier.name, result)


def may_be_hedged(record: RequestRecord) -> bool:
    """Whether two answers to that request do no harm: nothing is to be stored, and it is nobody else's too."""
    request = record.request
    return request.kind is not Kind.RESPONSES and not request.fields.get("store") and not record.batch_window_ms
