"""A new response on its way to its client: it goes on once it is durably its tenant's, so nobody ever learns an id that
is not theirs.

Stands between a trial and who asked for it. A whole answer waits for the one commit. A stream waits at its first event,
which names the response, and at its last, which names the pieces that later requests may refer to.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Protocol

import orjson

from gateway.domain import clock
from gateway.domain.attempt import Attempt, Intent
from gateway.domain.usage import Completeness
from gateway.errors import GatewayError, OwnersUnavailable
from gateway.flow.answer import VendorAnswer, parsed
from gateway.flow.owner import Owner
from gateway.flow.plane import Plane
from gateway.flow.trial import Trial
from gateway.ladder.ladder import Tried
from gateway.relay.responses import ENDINGS, FAILED
from gateway.relay.sse import data_of, events
from gateway.stored.ledger import Owned, storable
from gateway.stored.naming import Stored, brought_by

logger = logging.getLogger(__name__)

LAST = tuple(f'"{kind}"'.encode() for kind in (*sorted(ENDINGS), FAILED))


class Asker(Owner, Protocol):
    """Who asked for the trial, and can be told that its answer must not go on."""

    def unkept(self, trial: Trial, error: GatewayError) -> None:
        """The answer came, and whose it is could not be recorded."""


class Keeper:
    """The owner of one trial that makes a response."""

    def __init__(self, plane: Plane, asker: Asker, finished: Callable[[], bool]) -> None:
        """`finished` tells whether nobody waits for the answer any more."""
        self._finished = finished
        self._plane = plane
        self._asker = asker
        self._attempt: Attempt | None = None
        self._row: Owned | None = None
        self._begun = False
        self._waiting: list[Callable[[], None]] | None = None
        """What came while a claim is being recorded."""

    def booked(self, attempt: Attempt) -> None:
        """See Owner."""
        self._attempt = attempt
        if self._row is not None and attempt.completeness is Completeness.MEASURED:
            row = replace(self._row, metered_ns=clock.unix_nanos())
            self._plane.owners.claim([row]).add_done_callback(partial(_remembered, row))
        self._asker.booked(attempt)

    def flows(self, trial: Trial, piece: bytes) -> None:
        """See Owner."""
        if self._held(lambda: self.flows(trial, piece)):
            return
        if not self._begun or any(mark in piece for mark in LAST):
            self._begun = True
            response = response_in(piece)
            if response is not None:
                self._claim(trial, response, lambda: self._asker.flows(trial, piece))
                return
        self._asker.flows(trial, piece)

    def answered(self, trial: Trial, answer: VendorAnswer) -> None:
        """See Owner."""
        self._claim(trial, parsed(answer.body) or {}, lambda: self._asker.answered(trial, answer))

    def streamed(self, trial: Trial) -> None:
        """See Owner."""
        if self._held(lambda: self.streamed(trial)):
            return
        self._asker.streamed(trial)

    def failed(self, trial: Trial, tried: Tried, answer: VendorAnswer | None, *, told: bool) -> None:
        """See Owner."""
        if not self._held(lambda: self.failed(trial, tried, answer, told=told)):
            self._asker.failed(trial, tried, answer, told=told)

    def _held(self, later: Callable[[], None]) -> bool:
        if self._waiting is not None:
            self._waiting.append(later)
        return self._waiting is not None

    def _claim(self, trial: Trial, response: Mapping[str, object], pass_on: Callable[[], None]) -> None:
        rows = rows_of(trial.intent, response, self._attempt)
        if self._row is not None:
            rows = [row for row in rows if row.key != self._row.key]
        elif rows and rows[0].kind is Stored.RESPONSE:
            self._row = rows[0]
        if not rows:
            pass_on()
            return
        done = self._plane.owners.claim(rows)
        self._waiting = [pass_on]

        def recorded(_: object) -> None:
            waiting, self._waiting = self._waiting or [], None
            error = None if done.cancelled() else done.exception()
            if self._finished():
                return
            if isinstance(error, GatewayError) and rows[0].kind is Stored.RESPONSE:
                self._asker.unkept(trial, error)
                return
            for step in waiting:
                if not self._finished():
                    step()

        done.add_done_callback(recorded)


def _remembered(row: Owned, done: "asyncio.Future[None]") -> None:
    # Of one that is nobody's by now, since its id was given twice, nothing is to be remembered.
    if not done.cancelled() and isinstance(done.exception(), OwnersUnavailable):
        logger.error("that response %s is metered was not remembered; a later look writes the same span again", row.id)


def response_in(piece: bytes) -> Mapping[str, object] | None:
    """The response that the last event in there carries, which has the most to tell."""
    found = None
    for event in events(piece):
        if b'"response"' in event:
            try:
                fields = orjson.loads(data_of(event) or b"null")
            except orjson.JSONDecodeError:
                continue
            response = fields.get("response") if isinstance(fields, dict) else None
            found = response if isinstance(response, dict) else found
    return found


def rows_of(intent: Intent, response: Mapping[str, object], attempt: Attempt | None) -> list[Owned]:
    """What that answer brings its caller: the response, unless it is not stored, and what it put out. Of one that is
    not stored that is what comes encrypted: only the account that made it can read it. `attempt` is the call that made
    it, None while it is under way: until the books hold its usage, a later look is to add it."""
    now = clock.unix_nanos()
    metered = attempt is not None and attempt.completeness is Completeness.MEASURED
    stored = response.get("store") is not False
    brought = [(kind, id_) for kind, id_ in brought_by(response) if storable(id_)]
    if not stored:
        encrypted = _encrypted(response)
        brought = [(kind, id_) for kind, id_ in brought if kind is Stored.ITEM and id_ in encrypted]
    whole = response.get("id")
    return [
        Owned(
            kind=kind,
            upstream=intent.upstream,
            id=id_,
            tenant=intent.tenant,
            provider=intent.provider,
            account=intent.account,
            created_ns=now,
            alias=intent.alias,
            tier=intent.tier,
            model=intent.model,
            parent=whole if kind is not Stored.RESPONSE and isinstance(whole, str) else "",
            trace_id=intent.trace_id,
            span_id=intent.parent_span_id,
            fallback_depth=intent.fallback_depth,
            fallback_reason=intent.fallback_reason,
            metered_ns=now if metered and kind is Stored.RESPONSE else None,
        )
        for kind, id_ in brought
    ]


def _encrypted(response: Mapping[str, object]) -> set[object]:
    output = response.get("output")
    items = output if isinstance(output, list) else []
    return {item.get("id") for item in items if isinstance(item, dict) and item.get("encrypted_content")}
