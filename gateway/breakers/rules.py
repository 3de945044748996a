"""What the configuration says of breakers, as the values that the pure machines decide by."""

from dataclasses import replace

from gateway.breakers.breaker import Policy
from gateway.breakers.health import Rule
from gateway.breakers.keeper import Rules
from gateway.breakers.regions import Place
from gateway.config import RoutingConfig

PROBE_SLACK_S = 30.0
"""A probe ends by its tier's total timeout at the latest, and its end is told at once; this much beyond, it is lost."""


def rules_of(config: RoutingConfig) -> Rules:
    """The rules of that configuration."""
    given = config.breaker
    policy = Policy(
        failures_max=given.consecutive_failures,
        cooldown_s=given.cooldown_s,
        cooldown_max_s=given.cooldown_max_s,
        jitter=given.jitter,
        ramp_s=given.ramp_s,
        probe_s=max((tier.total_timeout_s for tier in config.tiers.values()), default=0.0) + PROBE_SLACK_S,
    )
    return Rules(
        policy=policy,
        policies={
            tier.name: replace(
                policy,
                failures_max=tier.sla.consecutive_failures or policy.failures_max,
                probe_s=tier.total_timeout_s + PROBE_SLACK_S,
            )
            for tier in config.tiers.values()
        },
        health=Rule(
            window_s=given.window_s,
            window_calls=given.window_calls,
            failure_ratio=given.failure_ratio,
            unhealthy_at=given.unhealthy_at,
            timeouts=given.health.timeouts,
            token_ceiling=given.health.token_ceiling,
            memory_pressure=given.health.memory_pressure,
        ),
        places={
            upstream.name: Place(upstream.provider, upstream.region)
            for upstream in config.upstreams.values()
            if upstream.region
        },
        brownout_tenants=min(given.brownout.tenants, len(config.tenants)),
        recovery_s={
            tier.name: tier.sla.recovery_s for tier in config.tiers.values() if tier.sla.recovery_s is not None
        },
    )
