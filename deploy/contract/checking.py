"""Whether a configuration still serves a frozen surface: a pure function of the uses and the configuration."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from deploy.contract.surface import Use
from gateway.catalogue import Catalogue, Route
from gateway.config import RoutingConfig, Surface, Tenant
from gateway.config.faults import did_you_mean
from gateway.domain.ids import Alias, TenantId, UpstreamId
from gateway.errors import GatewayError
from gateway.ladder.ladder import Rung
from gateway.wire.kinds import Kind

SURFACES = {
    **{kind.route: Surface(kind.value) for kind in Kind},
    "/v1/files": Surface.FILES,
    "/v1/batches": Surface.BATCHES,
}


@dataclass(frozen=True, slots=True)
class Break:
    """One thing that clients do today and could not do under that configuration."""

    use: Use
    place: str
    """Where in the configuration it is decided."""
    problem: str

    def __str__(self) -> str:
        return f"{self.use}: {self.place}: {self.problem}"


def breaks(uses: Iterable[Use], config: RoutingConfig) -> list[Break]:
    """Everything that would break, in the order of the uses."""
    catalogue = Catalogue(config)
    return [Break(use, place, problem) for use in uses for place, problem in _faults(use, config, catalogue)]


def rungs_of(use: Use, config: RoutingConfig) -> tuple[Rung, ...]:
    """The rungs that stand behind a use, none if it is not routed."""
    tenant = config.tenants.get(TenantId(use.tenant))
    route = _route(use, tenant, Catalogue(config)) if tenant is not None else None
    return () if route is None else _allowed(route)


def _faults(use: Use, config: RoutingConfig, catalogue: Catalogue) -> Iterator[tuple[str, str]]:
    tenant = config.tenants.get(TenantId(use.tenant))
    if tenant is None:
        yield f"tenants.{use.tenant}", "the tenant is gone" + did_you_mean(use.tenant, config.tenants)
        return
    if not use.alias:
        yield from _stored_faults(use, tenant, config)
        return
    if Alias(use.alias) not in config.aliases:
        yield f"aliases.{use.alias}", "the alias is gone" + did_you_mean(use.alias, config.aliases)
        return
    if not catalogue.allows(tenant, use.alias):
        yield f"tenants.{use.tenant}", f"it can no longer reach the alias {use.alias}"
        return
    route = _route(use, tenant, catalogue)
    if route is None:
        yield f"tenants.{use.tenant}.tiers", f"it may no longer ask for the tier {use.tier}"
        return
    yield from _upstream_faults(use, route, config)
    # The answers of embeddings never stream.
    if route.tier.streaming_required and not use.stream and use.route != Kind.EMBEDDINGS.route:
        yield f"tiers.{route.tier.name}.streaming_required", "an answer that is not streamed is no longer allowed"


def _stored_faults(use: Use, tenant: Tenant, config: RoutingConfig) -> Iterator[tuple[str, str]]:
    """Of a request that names no alias: some upstream that this tenant may use has to keep such things."""
    surface = _surface(use.route)
    if surface is None:
        yield "upstreams", f"{use.route} is no route of this version"
    elif not any(up.tenant in {"", tenant.name} and surface in up.serves for up in config.upstreams.values()):
        yield "upstreams", f"none that serves {use.tenant} serves {surface.value}"


def _route(use: Use, tenant: Tenant, catalogue: Catalogue) -> Route | None:
    try:
        return catalogue.find(tenant, use.alias, use.tier)
    except GatewayError:
        return None


def _allowed(route: Route) -> tuple[Rung, ...]:
    residency = route.tier.residency
    return tuple(rung for rung in route.rungs if not residency or rung.region in residency)


def _upstream_faults(use: Use, route: Route, config: RoutingConfig) -> Iterator[tuple[str, str]]:
    place = f"aliases.{use.alias}"
    upstreams = [config.upstreams[UpstreamId(rung.upstream)] for rung in _allowed(route)]
    surface = _surface(use.route)
    if not upstreams:
        yield f"tiers.{route.tier.name}.residency", "it allows no upstream of this alias"
    elif surface is None:
        yield place, f"{use.route} is no route of this version"
    elif not (serving := [up for up in upstreams if surface in up.serves]):
        yield place, f"none of its upstreams serves {surface.value}"
    elif use.stream and not (serving := [up for up in serving if up.streams]):
        yield place, "none of its upstreams streams"
    elif not [up for up in serving if up.takes(surface, stream=use.stream, tool_format=use.tool_format)]:
        yield place, f"none of its upstreams takes the tool format {use.tool_format}"


def _surface(route: str) -> Surface | None:
    """The surface of a route or of something below it, such as /v1/responses/{id}."""
    return next((s for path, s in SURFACES.items() if route == path or route.startswith(path + "/")), None)
