"""GET /v1/models: a tenant's own aliases in OpenAI's shape, and under `tollway` what a caller chooses by: where each is
served, what it costs by the card in force, and what its tier allows.

Upstreams, accounts and ladders are not named. Prices are the vendor's list prices, unless the tenant may see contract
prices; a price that is not known is null, never "0".
"""

from datetime import datetime

from gateway.config import AliasConfig, RoutingConfig, Target, Tenant
from gateway.domain.ids import TierName, UpstreamId
from gateway.domain.rate_card import RateCard
from gateway.domain.usage import TokenClass

INPUT = "input"
"""What a rate card's file calls the class input_uncached."""


def listing(config: RoutingConfig, tenant: Tenant, aliases: list[AliasConfig], at: datetime) -> dict[str, object]:
    """The answer to GET /v1/models at that instant."""
    return {"object": "list", "data": [model(config, tenant, alias, at) for alias in aliases]}


def model(config: RoutingConfig, tenant: Tenant, alias: AliasConfig, at: datetime) -> dict[str, object]:
    """One alias as that tenant may see it."""
    tier = config.tiers[TierName(alias.tier)]
    return {
        "id": alias.name,
        "object": "model",
        "created": 0,
        "owned_by": "tollway",
        "tier": alias.tier,
        "tollway": {
            "targets": [_target(config, tenant, target, at) for target in _first_choices(config, tenant, alias)],
            "limits": {
                "max_inflight": tier.max_inflight,
                "max_inflight_per_tenant": tier.max_inflight_per_tenant or None,
                "max_inflight_per_session": tier.max_inflight_per_session or None,
                "max_queue": tier.max_queue,
                "max_queue_seconds": tier.max_queue_seconds,
                "first_token_timeout_s": tier.first_token_timeout_s,
                "total_timeout_s": tier.total_timeout_s,
                "streaming_required": tier.streaming_required,
                "requests_per_minute": tenant.requests_per_minute or None,
                "tokens_per_minute": tenant.tokens_per_minute or None,
            },
            "batch": {
                "window_ms": tier.micro_batch_ms,
                "max_tokens": tier.max_batch_tokens or None,
                "cancel_rule": tier.cancel_rule,
            },
        },
    }


def _first_choices(config: RoutingConfig, tenant: Tenant, alias: AliasConfig) -> list[Target]:
    """The alias's targets in its own tier, but for those whose region the tier does not allow and other tenants'."""
    own, residency = alias.tiers.get(alias.tier), config.tiers[TierName(alias.tier)].residency
    targets = own.targets if own is not None and own.targets is not None else alias.targets
    at = [(target, config.upstreams[UpstreamId(target.upstream)]) for target in targets]
    return [t for t, up in at if up.is_for(tenant.name) and (not residency or up.region in residency)]


def _target(config: RoutingConfig, tenant: Tenant, target: Target, at: datetime) -> dict[str, object]:
    upstream = config.upstreams[UpstreamId(target.upstream)]
    account = upstream.account if tenant.prices == "contract" else ""
    card = config.rate_cards.in_force(
        provider=upstream.provider,
        account=account,
        model=target.model,
        at=at,
        region=upstream.region,
        deployment=upstream.deployment,
        contracted=tenant.prices == "contract",
    )
    return {
        "provider": upstream.provider,
        "region": upstream.region or None,
        "quantization": upstream.quantization,
        "context_window": target.context_tokens,
        "rate_card": card.card_id if card else None,
        "currency": card.currency if card else None,
        "price_per_million_tokens": {
            INPUT if one is TokenClass.INPUT_UNCACHED else one.value: _price(card, one) for one in TokenClass
        },
    }


def _price(card: RateCard | None, token_class: TokenClass) -> str | None:
    known = None if card is None else card.price_per_million(token_class)
    return None if known is None else format(known, "f")
