"""The ladder of an alias in a tier, as the configuration lays it: its targets, then its fallback rungs.

What the alias's entry for the tier says goes before what the alias itself says. An alias that names no ladder takes the
default chain; one whose entry for the tier has an empty ladder has none there. A rung that is another alias stands for
that alias's targets in the same tier, never for its ladder, so no cycle can arise.
"""

from dataclasses import dataclass

from gateway.config import AliasConfig, AliasRung, RoutingConfig, Target, Tier, Upstream
from gateway.domain.ids import Alias, TierName, UpstreamId
from gateway.ladder.ladder import Limits, Rung


@dataclass(frozen=True, slots=True)
class _Step:
    """A target on a ladder, and the alias that brought it."""

    target: Target
    via: AliasConfig


def limits_of(alias: AliasConfig, tier: Tier) -> Limits:
    """What bounds the attempts of that alias's requests in that tier."""
    own = alias.tiers.get(tier.name)
    hedge_after_s = tier.hedge_after_s if own is None or own.hedge_after_s is None else own.hedge_after_s
    return Limits(
        retries=tier.retries if own is None or own.retries is None else own.retries,
        attempts_max=tier.max_attempts,
        retry_after_s_max=tier.first_token_timeout_s,
        hedge_after_s=hedge_after_s or None,
    )


def rungs_of(alias: AliasConfig, tier: Tier, config: RoutingConfig) -> tuple[Rung, ...]:
    """The targets in their order, then the ladder."""
    return _numbered(_targets(alias, tier) + _ladder(alias, tier, config), alias, config)


def canaries_of(alias: AliasConfig, tier: Tier, config: RoutingConfig) -> list[tuple[int, tuple[Rung, ...]]]:
    """For each target its weight, and the rungs with it first and the others in their order; [] without weights.

    Given for one target, the weight of the others is 1.
    """
    targets, ladder = _targets(alias, tier), _ladder(alias, tier, config)
    if all(step.target.weight is None for step in targets):
        return []
    return [
        (
            1 if first.target.weight is None else first.target.weight,
            _numbered([first, *targets[:i], *targets[i + 1 :], *ladder], alias, config),
        )
        for i, first in enumerate(targets)
    ]


def _targets(alias: AliasConfig, tier: Tier) -> list[_Step]:
    own = alias.tiers.get(tier.name)
    return [_Step(target, alias) for target in (own and own.targets) or alias.targets]


def _ladder(alias: AliasConfig, tier: Tier, config: RoutingConfig) -> list[_Step]:
    own = alias.tiers.get(tier.name)
    if own is not None and own.fallback is not None:
        rungs = own.fallback
    else:
        chain = (AliasRung(alias=name) for name in config.fallback.chain if name != alias.name)
        rungs = alias.fallback or tuple(chain)
    steps: list[_Step] = []
    for rung in rungs:
        if isinstance(rung, AliasRung):
            steps += _targets(config.aliases[Alias(rung.alias)], tier)
        else:
            steps.append(_Step(rung, alias))
    return steps


def _numbered(steps: list[_Step], alias: AliasConfig, config: RoutingConfig) -> tuple[Rung, ...]:
    return tuple(
        _rung(depth, step, alias, config.upstreams[UpstreamId(step.target.upstream)])
        for depth, step in enumerate(steps)
    )


def _rung(depth: int, step: _Step, alias: AliasConfig, upstream: Upstream) -> Rung:
    return Rung(
        depth=depth,
        upstream=step.target.upstream,
        model=step.target.model,
        tier=TierName(step.via.tier),
        own=step.via is alias,
        alias=step.via.name,
        region=upstream.region,
        account=(upstream.provider, upstream.account),
        context_tokens=step.target.context_tokens,
    )
