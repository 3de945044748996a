"""One request's way down its ladder, up to each call: the thin loop around the pure ladder.

It asks for the next move, puts on the books what is passed over, sees to pauses, leases and breakers' tickets, and
comes back with a call to make, or with none left to make and what the client is to be told. A hedge is asked for in the
same way.
"""

import asyncio
from collections.abc import Callable

from gateway.breakers.breaker import Ticket
from gateway.breakers.keeper import Key
from gateway.budgets.keeper import Hold
from gateway.budgets.purse import Purse
from gateway.config import Tenant
from gateway.domain import clock
from gateway.domain.attempt import Attempt, Outcome
from gateway.domain.fact import fact
from gateway.domain.reasons import Reason
from gateway.errors import GatewayError
from gateway.flow.booking import book_attempt
from gateway.flow.hurdles import hurdle
from gateway.flow.plane import Plane
from gateway.flow.record import RequestRecord
from gateway.flow.throttle import soonest
from gateway.flow.verdict import may_relay, verdict
from gateway.ladder.ladder import (
    FINAL,
    NO_QUOTE,
    GiveUp,
    Known,
    Move,
    Quote,
    Rung,
    Send,
    Skip,
    Step,
    Tried,
    Wait,
    hedge_move,
    next_move,
)


@fact(frozen=True, slots=True)
class Go:
    """A call to make now."""

    move: Send
    key: Key
    """Of its breaker."""
    ticket: Ticket
    hold: Hold | None
    """What is reserved for it; None where no bound is on it."""


class Climb:
    """One request's."""

    __slots__ = (
        "_lost", "_not_beside", "_pause", "_paused", "_plane", "_purse", "_record", "_refused", "_tenant", "tried",
    )  # fmt: skip

    def __init__(self, plane: Plane, record: RequestRecord, tenant: Tenant) -> None:
        self._plane = plane
        self._record = record
        self._tenant = tenant
        self._purse = Purse(plane.budgets, tenant.name)
        self._pause: asyncio.TimerHandle | None = None
        self._paused = False
        self._lost = False
        self._refused = NO_QUOTE
        """What the last rung that was not covered would have cost."""
        self._not_beside: tuple[Tried, ...] = ()
        """What was passed over for a hedge, but not by the ladder."""
        self.tried: list[Tried] = []

    def next(self, again: Callable[[], None]) -> Go | GiveUp | None:
        """The call to make; or None, and `again` is called when it is time to ask again."""
        while True:
            move = self._move()
            if isinstance(move, GiveUp):
                return move
            if isinstance(move, Wait):
                self._pause = self._plane.loop.call_later(move.seconds, self._try_again, again)
                return None
            last = move.rung is self._record.route.rungs[-1] or self._was_spared(move.rung)
            planned = self._cleared(move, again, last=last) if isinstance(move, Send) else move
            if not isinstance(planned, Skip):
                return planned
            if planned.reason is Reason.BUDGET_EXHAUSTED:
                self._refused = planned.quote
            spared = planned is not move and not last and self._plane.breakers.ramps(self._key(planned.rung))
            self.book_refused(planned.rung, planned.reason, planned.because, planned.quote)
            self.failed(Tried(planned.rung.depth, planned.reason, called=False, spared=spared))

    def beside(self, running: Rung, again: Callable[[], None]) -> Go | GiveUp | None:
        """The same for a call to make beside the one that runs on that rung."""
        known = self._known()
        while True:
            step = self._step()
            move = hedge_move(step._replace(tried=step.tried + self._not_beside), running, known)
            planned = self._cleared(move, again, last=False) if isinstance(move, Send) else move
            if not isinstance(planned, Skip):
                return planned
            self.book_refused(planned.rung, planned.reason, planned.because, planned.quote)
            self._not_beside += (Tried(planned.rung.depth, planned.reason, called=False),)

    def failed(self, tried: Tried) -> None:
        """A call did not answer. Of two beside each other, one after which no other can help has the last word."""
        settled = bool(self.tried) and self.tried[-1].reason in FINAL
        self.tried.insert(len(self.tried) - settled, tried)
        self._paused = False

    def leave(self) -> None:
        """The request has ended: nothing is asked again."""
        self._lost = True
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None

    def may_relay(self, status: int) -> bool:
        """Whether a vendor's own error of that status may be the answer, now that no rung is left."""
        return may_relay(status, self.tried)

    def refusal(self) -> tuple[Outcome, GatewayError]:
        """What the client is told where no vendor's answer can be given to it, and how the request has ended."""
        record, tried = self._record, self.tried
        outcome = Outcome.ERROR if any(t.called for t in tried) else Outcome.REFUSED
        if tried[0].reason is Reason.BUDGET_EXHAUSTED:
            return outcome, self._purse.refusal(self._refused)
        waits = [wait for rung in record.route.rungs if (wait := record.busy_s(rung)) is not None]
        return outcome, verdict(
            tried,
            record.route.rungs,
            prompt_tokens=record.prompt_tokens(0),
            route=record.request.kind.route,
            reopen_in_s=self._breakers_reopen_in_s(),
            room_in_s=soonest(waits),
        )

    def book_refused(self, rung: Rung, reason: Reason, because: Reason | None, quote: Quote) -> None:
        """Put on the books that a rung was decided against."""
        intent = self._record.intent(rung, because, quote, len(self._record.request.body))
        attempt = Attempt(intent=intent, ended_at=intent.started_at, outcome=Outcome.REFUSED, error_type=reason)
        book_attempt(self._plane, attempt)

    def _move(self) -> Move:
        """The ladder's word. A request that nothing binds, on its first rung with nothing before it, has it from its
        route: asking anew takes 3 us."""
        record = self._record
        if not self.tried and self._purse.unbound:
            first = record.route.unbound_first_move
            if first is not None and self._hurdle(first.rung) is None:
                return first
        return next_move(self._step(), self._known())

    def _step(self) -> Step:
        """Where the request stands."""
        route, funds = self._record.route, self._purse.funds()
        if not self.tried:
            return Step(route.rungs, (), route.limits, funds)
        left_s = self._record.began + route.tier.total_timeout_s - clock.monotonic()
        return Step(route.rungs, tuple(self.tried), route.limits, funds, left_s, self._plane.draw(), self._paused)

    def _try_again(self, again: Callable[[], None]) -> None:
        self._pause, self._paused = None, True
        again()

    async def _lease(self, move: Send, again: Callable[[], None]) -> None:
        """The month's budgets need a word with the control database first."""
        await self._purse.lease(move)
        if not self._lost:
            again()

    def _was_spared(self, rung: Rung) -> bool:
        return any(t.spared and t.depth == rung.depth for t in self.tried)

    def _cleared(self, move: Send, again: Callable[[], None], *, last: bool) -> Go | Skip | None:
        """That call with its money reserved and its breaker's leave; None while its months' budgets are asked."""
        hold = None
        if move.quote.worst_usd is not None:
            hold = self._purse.hold(move, self._record.card(move.rung))
            if hold is None:
                self._plane.tasks.spawn(self._lease(move, again))
                return None
        key, tier = self._key(move.rung), self._record.route.tier.name
        ticket = self._plane.breakers.admit(key, tier, clock.monotonic(), last=last)
        if ticket is not None:
            return Go(move, key, ticket, hold)
        if hold is not None:
            hold.release()
        return Skip(move.rung, move.because, Reason.BREAKER_OPEN, move.quote)

    def _known(self) -> Known:
        return Known(self._hurdle, self._record.quote, self._record.prompt_tokens)

    def _key(self, rung: Rung) -> Key:
        return Key(self._record.route.alias.name, self._record.tenant, rung.upstream)

    def _hurdle(self, rung: Rung) -> Reason | None:
        record = self._record
        before = hurdle(self._plane, self._tenant, record.route, record.request, rung)
        if before is None and record.busy_s(rung) is not None:
            return Reason.UPSTREAM_BUSY
        return before

    def _breakers_reopen_in_s(self) -> int:
        keys = [self._key(rung) for rung in self._record.route.rungs]
        return max(1, round(self._plane.breakers.retry_in_s(keys, clock.monotonic())))
