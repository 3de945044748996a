"""The plane at one moment, as plain values for an operator: no secret, nothing of a request's content."""

from gateway.breakers.keeper import NAMES
from gateway.domain import clock
from gateway.flow.plane import Plane


def snapshot(plane: Plane) -> dict[str, object]:
    """Pools, queues, breakers and what else holds requests back, by name."""
    now = clock.monotonic()
    return {
        "draining": plane.draining,
        "requests": len(plane.exchanges),
        "pools": _pools(plane),
        "queues": _queues(plane),
        "breakers": _breakers(plane, now),
        "brownouts": _brownouts(plane, now),
        "quotas": _quotas(plane, now),
        "budgets": plane.budgets.state(),
        "upstreams": _upstreams(plane),
        "hosts": _hosts(plane, now),
        "caches": _caches(plane),
        "fuses": {"trips": {"/".join(labels): count for labels, count in plane.fuses.trips.items()}},
    }


def _pools(plane: Plane) -> dict[str, object]:
    return {
        name: {
            "inflight": pool.inflight,
            "max_inflight": pool.tier.max_inflight,
            "tokens_inflight": pool.tokens if pool.tier.max_tokens_inflight else None,
            "max_tokens_inflight": pool.tier.max_tokens_inflight or None,
            "sla": pool.tier.sla.model_dump(exclude_none=True),
        }
        for name, pool in plane.pools.items()
    }


def _queues(plane: Plane) -> dict[str, object]:
    return {
        name: {
            "queued": pool.queued,
            "max_queue": pool.tier.max_queue,
            "max_queue_seconds": pool.tier.max_queue_seconds,
            "retry_after_s": pool.retry_after_s(),
            "refused": dict(pool.turned_away),
        }
        for name, pool in plane.pools.items()
    }


def _breakers(plane: Plane, now: float) -> list[dict[str, object]]:
    return [
        {
            **key._asdict(),
            "state": NAMES[type(state)],
            "failures": getattr(state, "failures", None),
            "retry_in_s": round(plane.breakers.retry_in_s([key], now), 3),
        }
        for key, state in sorted(plane.breakers.states().items())
    ]


def _brownouts(plane: Plane, now: float) -> list[dict[str, object]]:
    regions = plane.breakers.regions
    return [
        {
            **place._asdict(),
            "status": status.value,
            "count": regions.count.get(place, 0),
            "last_recovery_s": regions.recovery_s.get(place),
        }
        for place, status in sorted(regions.statuses(now).items())
    ]


def _quotas(plane: Plane, now: float) -> dict[str, object]:
    """By tenant, of those that have one."""
    found: dict[str, object] = {}
    for tenant in plane.config.tenants.values():
        if (quota := plane.throttle.quota_of(tenant.name)) is not None:
            spent = quota.spent(0, now)
            found[tenant.name] = {
                "requests_per_minute": tenant.requests_per_minute or None,
                "tokens_per_minute": tenant.tokens_per_minute or None,
                "spent": spent.kind if spent else None,
                "retry_in_s": round(spent.retry_in_s, 3) if spent else 0.0,
            }
    return found


def _upstreams(plane: Plane) -> dict[str, object]:
    return {
        upstream.name: {
            "provider": upstream.provider,
            "account": upstream.account,
            "region": upstream.region or None,
            "inflight": plane.throttle.limits_of(upstream.name).inflight,
            "max_inflight": upstream.max_inflight or None,
            "memory_pressure": plane.health.pressure(upstream.name).value,
            "connections_made": plane.upstreams[upstream.name].connections_made,
        }
        for upstream in plane.config.upstreams.values()
    }


def _hosts(plane: Plane, now: float) -> dict[str, object]:
    """By upstream, of those with several."""
    return {
        name: [
            {"host": one.name, "healthy": one.healthy, "full": one.full, "inflight": one.inflight}
            for one in hosts.fares(now)
        ]
        for name, hosts in plane.hosts.items()
    }


def _caches(plane: Plane) -> dict[str, object]:
    cache = plane.config.cache
    found: dict[str, object] = {"mode": cache.mode, "kv_reuse_policy": cache.kv_reuse_policy}
    if plane.answers is not None:
        store = plane.answers.store
        found["answers"] = {
            "entries": len(store),
            "bytes": store.bytes,
            "max_bytes": store.max_bytes,
            "ttl_s": store.ttl_s,
            "evictions": dict(store.evictions),
        }
    return found
