"""Where a new file goes: to the upstream of the alias it is for, or to the only one that keeps files for its tenant."""

from gateway.catalogue import Catalogue, Route
from gateway.config import RoutingConfig, Surface, Tenant, Upstream
from gateway.domain.ids import UpstreamId
from gateway.errors import InvalidRequest
from gateway.ladder.ladder import Rung

HEADER = "x-tollway-alias"

FOR_FILES = frozenset((Surface.FILES,))
FOR_BATCHES = frozenset((Surface.FILES, Surface.BATCHES))


def rung_of(config: RoutingConfig, route: Route, tenant: str, surfaces: frozenset[Surface]) -> Rung | None:
    """The first of the alias's own rungs whose upstream serves all that, for that tenant, where the tier allows."""
    for rung in route.rungs:
        if rung.own and serves(config.upstreams[UpstreamId(rung.upstream)], route, tenant, surfaces):
            return rung
    return None


def serves(upstream: Upstream, route: Route, tenant: str, surfaces: frozenset[Surface]) -> bool:
    """Whether that upstream keeps such things of that tenant for that alias."""
    allowed = not route.tier.residency or upstream.region in route.tier.residency
    return allowed and upstream.is_for(tenant) and surfaces <= set(upstream.serves)


def place_for_alias(
    config: RoutingConfig, route: Route, tenant: str, surfaces: frozenset[Surface], param: str
) -> Rung:  # fmt: skip
    """The rung whose upstream keeps the alias's files. Raises InvalidRequest where there is none."""
    rung = rung_of(config, route, tenant, surfaces)
    if rung is None:
        kept = "batches" if Surface.BATCHES in surfaces else "files"
        raise InvalidRequest(f"The model {route.alias.name!r} is not served where {kept} are taken.", param=param)
    return rung


def only_place(config: RoutingConfig, catalogue: Catalogue, tenant: Tenant) -> str:
    """The one upstream that keeps files for the tenant. Raises InvalidRequest where there is none, or more than one."""
    found: set[str] = set()
    for alias in catalogue.aliases_of(tenant):
        rung = rung_of(config, catalogue.find(tenant, alias.name, None), tenant.name, FOR_FILES)
        if rung is not None:
            found.add(rung.upstream)
    if len(found) == 1:
        return found.pop()
    if not found:
        raise InvalidRequest("None of your models is served where files are taken.", param="file")
    message = f"The file could go to several places: name the model it is for in the header `{HEADER}`."
    raise InvalidRequest(message, param=HEADER)
