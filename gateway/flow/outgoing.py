"""A call that the ladder decided on, made ready to send: the body for its upstream, its place at a host, its intent,
and what is reserved for it laid under that intent's name.
"""

from collections.abc import Sequence

from gateway.domain.fact import fact
from gateway.domain.ids import UpstreamId
from gateway.flow.climb import Go
from gateway.flow.hosting import place
from gateway.flow.owner import Owner
from gateway.flow.plane import Plane
from gateway.flow.record import RequestRecord
from gateway.flow.templating import marks
from gateway.flow.trial import Trial
from gateway.ladder.ladder import Tried
from gateway.upstream.endpoint import pass_on
from gateway.wire.arrival import Arrival


@fact(frozen=True, slots=True)
class Outgoing:
    """It is to be launched once its intent is on the books."""

    trial: Trial
    body: bytes
    passed_on: bytes
    """The client's header lines that go with it."""
    fresh: bool
    synced: bool
    """Its intent must be on the disk first."""


def prepared(
    plane: Plane, owner: Owner, arrival: Arrival, record: RequestRecord, go: Go, tried: Sequence[Tried]
) -> Outgoing:
    """That call for that request, of which `tried` failed before."""
    move, rung, request = go.move, go.move.rung, record.request
    upstream = plane.config.upstreams[UpstreamId(rung.upstream)]
    changed = plane.identity.body_changes(upstream, record.tenant, request.fields)
    if plane.prefixes is not None:
        changed = {**changed, **marks(plane, record, upstream, rung)}
    body = request.for_upstream(rung.model, running_usage=upstream.running_usage, changed=changed)
    lease = place(plane, arrival, record, rung, tried) if plane.hosts else None
    endpoint = lease.pool.endpoint if lease is not None else None
    intent = record.intent(rung, move.because, move.quote, len(body), endpoint)
    if go.hold is not None:
        plane.budgets.open[intent.attempt_id] = go.hold
    trial = Trial(plane, owner, intent, request, go.key, go.ticket, lease)
    passed_on = pass_on(plane.identity.headers(upstream, record.tenant, arrival.headers))
    return Outgoing(trial, body, passed_on, move.fresh, move.extra)
