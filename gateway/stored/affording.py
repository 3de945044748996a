"""Whether a tenant may begin a batch now: its requests per minute, and what its month has left.

Nothing is reserved: a batch is charged line by line when its results are fetched, and may then go beyond the bound. So
it is begun only where the month could pay for what is known of it: all its file as one prompt, and one answer.
"""

from datetime import datetime
from functools import partial

import orjson

from gateway.budgets.purse import Purse
from gateway.catalogue import Route
from gateway.config import Tenant
from gateway.domain import clock
from gateway.domain.ids import UpstreamId
from gateway.flow.plane import Plane
from gateway.ladder.ladder import Quote
from gateway.stored.ledger import Owned
from gateway.stored.metering import BATCH_TIER
from gateway.wire.kinds import Kind


async def admit(plane: Plane, tenant: Tenant, route: Route, source: Owned, endpoint: object) -> None:
    """Count one request. `source` is the batch's file, `endpoint` the route that its lines ask for.

    Raises QuotaExhausted, BudgetExhausted, BudgetUnavailable.
    """
    quota = plane.throttle.quota_of(tenant.name)
    if quota is not None:
        plane.throttle.admit(quota, 0, clock.monotonic())
    await Purse(plane.budgets, tenant.name).check(lambda: least(plane, route, source, endpoint, clock.utc_now()))


def least(plane: Plane, route: Route, source: Owned, endpoint: object, now: datetime) -> Quote:
    """What that file's batch could cost, at the batch card's price or, without one, at the default card's."""
    behind = plane.config.upstreams.get(UpstreamId(source.upstream))
    in_force = partial(
        plane.config.rate_cards.in_force,
        provider=source.provider,
        account=source.account,
        model=source.model,
        at=now,
        region=behind.region if behind else "",
        deployment=behind.deployment if behind else "",
    )
    card = in_force(tier=BATCH_TIER) or in_force()
    answer_tokens = 0 if endpoint == Kind.EMBEDDINGS.route else route.alias.max_output_tokens
    return plane.forecasts[route.alias.name].quote(card, size_of(source), answer_tokens)


def size_of(source: Owned) -> int:
    """The file's bytes, as its vendor tells them; 0 where it does not."""
    try:
        fields = orjson.loads(source.object or "null")
    except orjson.JSONDecodeError:
        return 0
    size = fields.get("bytes") if isinstance(fields, dict) else None
    return size if isinstance(size, int) and size > 0 else 0
