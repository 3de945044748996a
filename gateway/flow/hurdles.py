"""What may stand before a rung, the first one included: asked anew each time, since much of it changes while a request
is under way. A rung that is vetoed is recorded as refused, with the reason, and the ladder goes on below it.

The order is from what never changes to what may change at once, so that the reason recorded is the lasting one. The
breaker comes last, through its ticket, in the exchange.
"""

from gateway.breakers.keeper import Key
from gateway.catalogue import Route
from gateway.config import Tenant
from gateway.domain import clock
from gateway.domain.ids import UpstreamId
from gateway.domain.reasons import Reason
from gateway.flow.plane import Plane
from gateway.flow.transitions import book_moves
from gateway.ladder.ladder import Rung
from gateway.wire.body import ModelRequest


def hurdle(plane: Plane, tenant: Tenant, route: Route, request: ModelRequest, rung: Rung) -> Reason | None:
    """Why that rung may not be called now, or None."""
    if not rung.own and not plane.catalogue.allows(tenant, rung.alias):
        return Reason.NOT_AUTHORIZED
    if route.tier.residency and rung.region not in route.tier.residency:
        return Reason.RESIDENCY
    upstream = plane.config.upstreams[UpstreamId(rung.upstream)]
    if not upstream.is_for(tenant.name):
        return Reason.NOT_AUTHORIZED
    if not upstream.takes(request.kind, stream=request.stream, tool_format=request.tool_format):
        return Reason.NOT_SERVED
    if plane.breakers.regions.browned and _browned_out(plane, tenant, route, rung):
        return Reason.REGION_BROWNOUT
    return None


def _browned_out(plane: Plane, tenant: Tenant, route: Route, rung: Rung) -> bool:
    key = Key(route.alias.name, tenant.name, rung.upstream)
    skipped = plane.breakers.browned_out(key, clock.monotonic())
    if plane.breakers.moves:
        book_moves(plane)
    return skipped
