"""The plane at one moment, as plain values for an operator: no secret, nothing of a request's content."""

from gateway.breakers import NAMES
from gateway.domain import clock
from gateway.flow.plane import Plane


def snapshot(plane: Plane) -> dict[str, object]:
    """Pools, queues, breakers and what else holds requests back, by name."""
    return {
        "draining": plane.draining,
        "requests": len(plane.exchanges),
        "pools": _pools(plane),
        "queues": _queues(plane),
        "breakers": _breakers(plane),
        "budgets": plane.budgets.state(),
        "upstreams": _upstreams(plane),
    }


def _pools(plane: Plane) -> dict[str, object]:
    return {
        name: {"inflight": pool.inflight, "max_inflight": pool.tier.max_inflight} for name, pool in plane.pools.items()
    }


def _queues(plane: Plane) -> dict[str, object]:
    return {
        name: {
            "queued": pool.queued,
            "max_queue": pool.tier.max_queue,
            "max_queue_seconds": pool.tier.max_queue_seconds,
            "retry_after_s": pool.retry_after_s(),
            "turned_away": dict(pool.turned_away),
        }
        for name, pool in plane.pools.items()
    }


def _breakers(plane: Plane) -> list[dict[str, object]]:
    now = clock.monotonic()
    return [
        {
            **key._asdict(),
            "state": NAMES[type(state)],
            "failures": getattr(state, "failures", None),
            "retry_in_s": round(plane.breakers.retry_in_s([key], now), 3),
        }
        for key, state in sorted(plane.breakers.states().items())
    ]


def _upstreams(plane: Plane) -> dict[str, object]:
    return {
        name: {
            "provider": pool.endpoint.upstream.provider,
            "account": pool.endpoint.upstream.account,
            "region": pool.endpoint.upstream.region,
            "connections_made": pool.connections_made,
        }
        for name, pool in plane.upstreams.items()
    }
