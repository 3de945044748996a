"""Where the moves of breakers and regions are put on the books, each once."""

import logging

from gateway.breakers.keeper import Move
from gateway.domain import clock
from gateway.domain.attempt import Intent, Transition
from gateway.domain.ids import Alias, SpanId, TenantId, TierName, UpstreamId, new_span_id, new_trace_id
from gateway.flow.plane import Plane

logger = logging.getLogger(__name__)


def book_moves(plane: Plane, mover: Intent | None = None) -> None:
    """Record what moved since the last call; `mover` is the attempt that moved it, None = none did. Never raises."""
    for move in plane.breakers.take_moves():
        if move.key is None:
            logger.warning("region %s of %s: %s to %s (%s)", *_of_place(move), move.before, move.after, move.cause)
        try:
            plane.books.transition(_transition(move, mover))
        except OSError:
            logger.exception("a transition from %s to %s was not recorded", move.before, move.after)


def _transition(move: Move, mover: Intent | None) -> Transition:
    key = move.key
    region, provider = _of_place(move)
    return Transition(
        span_id=new_span_id(),
        trace_id=mover.trace_id if mover else new_trace_id(),
        parent_span_id=mover.parent_span_id if mover else SpanId(""),
        at=clock.unix_nanos(),
        # What is true of a region is no tenant's own.
        tenant=TenantId(key.tenant if key else ""),
        alias=Alias(key.alias if key else ""),
        tier=TierName(mover.tier if key and mover else ""),
        upstream=UpstreamId(key.upstream if key else ""),
        provider=provider,
        region=region,
        scope="breaker" if key else "region",
        before=move.before,
        after=move.after,
        cause=move.cause,
        failures=move.failures,
        open_seconds=move.open_seconds,
    )


def _of_place(move: Move) -> tuple[str, str]:
    return (move.place.region, move.place.provider) if move.place else ("", "")
