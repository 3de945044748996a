"""Which models a tenant may call, and the ladder behind each: all that a request's alias and tier decide, worked out
once at the start. Nothing here looks at load, health or money.
"""

import difflib
import hashlib
from dataclasses import dataclass, field, replace
from itertools import accumulate

from gateway.config import AliasConfig, RoutingConfig, Tenant, Tier
from gateway.domain.ids import Alias, TenantId, TierName
from gateway.errors import NotAllowed, UnknownModel
from gateway.ladder.ladder import Limits, Rung, Send, unbound_first_move
from gateway.ladder.rungs import canaries_of, limits_of, rungs_of

LOT_BYTES = 6
LOTS = 1 << 48
"""As many as so many bytes tell apart; a float holds each exactly."""


@dataclass(frozen=True, slots=True)
class Route:
    """One alias in one tier: its rungs, and what never changes in the answer's head."""

    alias: AliasConfig
    tier: Tier
    rungs: tuple[Rung, ...]
    answer_head: bytes
    """The x-tollway-alias and -tier header lines."""
    limits: Limits
    canaries: "tuple[tuple[int, Route], ...]" = ()
    """Where targets have weights: the same route with each of them first, and the sum of the weights so far."""
    unbound_first_move: Send | None = field(init=False)
    """The first move of a request that nothing binds; see gateway/ladder/ladder.py."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "unbound_first_move", unbound_first_move(self.rungs))

    def drawn(self, draw: float) -> "Route":
        """The route with the first choice that a draw from 0 to 1 (1 excluded) falls on; itself without weights."""
        if not self.canaries:
            return self
        mark = draw * self.canaries[-1][0]
        return next(route for upto, route in self.canaries if mark < upto)


def lot_of(session: str, alias: str) -> float:
    """The draw of a session, from 0 to 1 (1 excluded), given the hash it goes by: the same each time and in every
    process, and another for each alias, so that no session is everywhere among the canaries."""
    digest = hashlib.sha256(f"{session}/{alias}".encode()).digest()
    return int.from_bytes(digest[:LOT_BYTES]) / LOTS


class Catalogue:
    """Every route that a tenant of the configuration may take."""

    def __init__(self, config: RoutingConfig) -> None:
        self._config = config
        self._tiers_of: dict[TenantId, frozenset[TierName]] = {
            name: frozenset(TierName(tier) for tier in tenant.tiers) or frozenset(config.tiers)
            for name, tenant in config.tenants.items()
        }
        self._aliases_of: dict[TenantId, frozenset[str]] = {
            name: frozenset(
                alias.name
                for alias in config.aliases.values()
                if alias.tier in self._tiers_of[name] and (not tenant.aliases or alias.name in tenant.aliases)
            )
            for name, tenant in config.tenants.items()
        }
        self._routes: dict[tuple[str, str], Route] = {
            (alias.name, tier.name): _route(alias, tier, config)
            for alias in config.aliases.values()
            for tier in config.tiers.values()
        }

    def tiers_of(self, tenant: Tenant) -> frozenset[TierName]:
        """The tiers the tenant may ask for."""
        return self._tiers_of[TenantId(tenant.name)]

    def aliases_of(self, tenant: Tenant) -> list[AliasConfig]:
        """The tenant's own aliases, by name: of those it lists (none listed = all), the ones whose tier it may use."""
        return [self._config.aliases[Alias(name)] for name in sorted(self._aliases_of[TenantId(tenant.name)])]

    def allows(self, tenant: Tenant, alias: str) -> bool:
        """Whether that alias is one of the tenant's own."""
        return alias in self._aliases_of[TenantId(tenant.name)]

    def own(self, tenant: Tenant, name: str) -> AliasConfig:
        """That alias of the tenant's own. Raises UnknownModel, whether others have one of that name or not."""
        if not self.allows(tenant, name):
            raise UnknownModel(f"The model {name[:64]!r} does not exist.{self._hint(tenant, name)}", param="model")
        return self._config.aliases[Alias(name)]

    def find(self, tenant: Tenant, name: str, tier: str | None) -> Route:
        """The route for that alias, in its own tier or in the one asked for.

        Raises UnknownModel, with the nearest of the tenant's own aliases, and NotAllowed for a tier that is not the
        tenant's. An alias of a tier that is not the tenant's is none of its own: that there is one is not told.
        """
        alias, allowed = self.own(tenant, name), self.tiers_of(tenant)
        route = self._routes.get((name, tier or alias.tier))
        if route is None or route.tier.name not in allowed:
            raise NotAllowed(f"Your key may not use the tier {(tier or '')[:64]!r}.", param="x-tollway-tier")
        return route

    def _hint(self, tenant: Tenant, name: str) -> str:
        near = difflib.get_close_matches(name[:64], [alias.name for alias in self.aliases_of(tenant)], n=1)
        return f" Did you mean {near[0]!r}?" if near else " GET /v1/models lists yours."


def _route(alias: AliasConfig, tier: Tier, config: RoutingConfig) -> Route:
    plain = Route(alias, tier, rungs_of(alias, tier, config), _answer_head(alias, tier), limits_of(alias, tier))
    canaries = canaries_of(alias, tier, config)
    routes = [replace(plain, rungs=rungs) for _, rungs in canaries]
    shares = accumulate(weight for weight, _ in canaries)
    return replace(plain, canaries=tuple(zip(shares, routes, strict=True)))


def _answer_head(alias: AliasConfig, tier: Tier) -> bytes:
    text = f"x-tollway-alias: {alias.name}\r\nx-tollway-tier: {tier.name}\r\n"
    return text.encode("ascii")
