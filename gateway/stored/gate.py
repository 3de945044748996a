"""The gate before a request that names stored objects: it goes where they live, or nowhere.

What is stored is bound to the account that keeps it, so no other rung can serve the request. An id that is not the
tenant's own goes on only to an account that serves the tenant alone, where it can be nobody else's; without one the
answer is the same whether the id is another's or nobody's.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import orjson

from gateway.catalogue import Route
from gateway.config import RoutingConfig, Tenant
from gateway.domain.ids import TierName
from gateway.errors import GatewayError, InvalidRequest, StoredElsewhere, UnknownObject
from gateway.flow.plane import Plane
from gateway.stored.ledger import Owned
from gateway.stored.naming import Name, Named, Stored, mentions, named_in
from gateway.wire.body import ModelRequest
from gateway.wire.kinds import Kind

SHOWN_MAX = 64
"""Characters of a caller's id that an error repeats."""
NAMES_MAX = 4_096
"""Stored objects that one request may name: looking up more would keep all other tenants waiting."""


def names_stored(request: ModelRequest) -> Named | None:
    """What the request names, if anything; its body is then one that cannot be read as naming anything else."""
    if not mentions(request.body, response=request.kind is Kind.RESPONSES):
        return None
    named = named_in(request.body, request.fields)
    if not named.plain:
        request.body = orjson.dumps(request.fields)
    return named if named.names or named.carried else None


def check(
    plane: Plane,
    tenant: Tenant,
    request: ModelRequest,
    route: Route,
    passed: Callable[[Route], None],
    refused: Callable[[GatewayError], None],
) -> None:
    """Calls one of the two, once: `passed` with the route narrowed to the upstreams that can serve.

    At once where nothing is named or memory knows every owner, else after a look into the table.
    """
    named = names_stored(request)
    if named is None:
        passed(route)
        return
    wanted = wanted_of(named)
    if len(wanted) > NAMES_MAX:
        refused(InvalidRequest(f"The request names {len(wanted)} stored objects; at most {NAMES_MAX} are looked up."))
        return
    found = {name: row for name in wanted if (row := plane.owners.known(tenant.name, name)) is not None}

    def decide(found: Mapping[Name, Owned]) -> None:
        try:
            narrowed = narrow(plane.config, tenant.name, named, found, route)
        except GatewayError as error:
            refused(error)
        else:
            passed(narrowed)

    async def look() -> None:
        try:
            found = await plane.owners.find_all(tenant.name, wanted)
        except GatewayError as error:
            refused(error)
        else:
            decide(found)

    if len(found) == len(wanted):
        decide(found)
    else:
        plane.tasks.spawn(look())


def wanted_of(named: Named) -> tuple[Name, ...]:
    """Everything whose owner matters."""
    return (*named.names, *(Name(Stored.ITEM, id_, "input") for id_ in named.carried))


def narrow(config: RoutingConfig, tenant: str, named: Named, found: Mapping[Name, Owned], route: Route) -> Route:
    """The route with only the rungs that can serve a request with those names, each as deep as it now stands.

    Raises UnknownObject for a name that is not the tenant's, StoredElsewhere where no rung reaches all that is named.
    """
    possible = where(config, tenant, named.names, found)
    rungs = [rung for rung in route.rungs if rung.upstream in possible]
    if not rungs:
        made_with = {row.alias for name in named.names if (row := found.get(name))} - {"", route.alias.name}
        hint = f" It was made with the model {min(made_with)!r}; use that one." if made_with else ""
        message = f"What this request names is stored where the model {route.alias.name!r} is not served.{hint}"
        raise StoredElsewhere(message)
    carried = {home(config, found[name]) for name in wanted_of(named)[len(named.names) :] if name in found}
    if len(carried) == 1:
        rungs = [rung for rung in rungs if rung.upstream in carried] or rungs
    if len(rungs) == len(route.rungs):
        return route
    return replace(route, rungs=tuple(replace(rung, depth=depth) for depth, rung in enumerate(rungs)))


def home(config: RoutingConfig, row: Owned) -> str | None:
    """The upstream where it can be had: its own, or should that be gone one of the same account in a region that its
    tier allows; None where there is none that serves its tenant."""
    account = (row.provider, row.account)
    same = [u for u in config.upstreams.values() if (u.provider, u.account) == account and u.is_for(row.tenant)]
    if any(u.name == row.upstream for u in same):
        return row.upstream
    tier = config.tiers.get(TierName(row.tier))
    return next((u.name for u in same if tier is None or not tier.residency or u.region in tier.residency), None)


def where(config: RoutingConfig, tenant: str, names: Iterable[Name], found: Mapping[Name, Owned]) -> frozenset[str]:
    """The upstreams that have everything of those names. Raises UnknownObject, StoredElsewhere."""
    possible = frozenset(config.upstreams)
    private = frozenset(u.name for u in config.upstreams.values() if u.tenant == tenant)
    for name in names:
        row = found.get(name)
        if row is None:
            if not private:
                raise unknown(name.kind, name.id, name.param)
            possible &= private
        else:
            possible &= {home(config, row)}
    if not possible:
        raise StoredElsewhere("The stored objects that this request names are not kept in one place; name fewer.")
    return possible


def unknown(kind: Stored, id_: str, param: str | None) -> UnknownObject:
    """The same words for what is another tenant's and for what never was."""
    return UnknownObject(f"No such {kind.replace('_', ' ')}: {id_[:SHOWN_MAX]!r}.", param=param)
