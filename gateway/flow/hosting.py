"""The place of a request's attempt at one of its upstream's hosts, where there are several."""

from collections.abc import Sequence

from gateway.cache.sessions import prefix_key, session_key
from gateway.domain import clock
from gateway.flow.plane import Plane
from gateway.flow.record import RequestRecord
from gateway.ladder.ladder import Rung, Tried
from gateway.upstream.choice import Asker, warm_cache_pays
from gateway.upstream.hosts import Lease
from gateway.wire.arrival import Arrival


def place(plane: Plane, arrival: Arrival, record: RequestRecord, rung: Rung, tried: Sequence[Tried]) -> Lease | None:
    """A place at a host for the next attempt; None where the upstream has but one."""
    hosts = plane.hosts.get(rung.upstream)
    if hosts is None:
        return None
    policy, size = plane.config.cache.kv_reuse_policy, plane.config.cache.prefix_bytes
    key = None
    if policy == "sticky":
        key = session_key(arrival.tenant.name, arrival.named, record.request.fields, size)
    elif policy == "prefix":
        key = prefix_key(arrival.tenant.name, record.request.fields, size)
    # A stale connection says nothing of its host; whatever else failed is better tried elsewhere.
    avoid = {attempt.host for attempt in tried if attempt.host and not attempt.replayable}
    asker = Asker(key, pays=warm_cache_pays(record.card(rung)), avoid=avoid)
    return hosts.take(policy, asker, clock.monotonic())
