"""Routes: whose aliases, which tiers, which rungs."""

import pytest

from gateway.catalogue import Catalogue
from gateway.domain.ids import Alias, TenantId
from gateway.errors import NotAllowed, UnknownModel
from gateway.ladder import Rung
from tests.gateway.serving import routing

URLS = ("http://a/v1", "http://b/v1")


def catalogue(**changes: object) -> Catalogue:
    return Catalogue(routing(*URLS, **changes))


ACME, GLOBEX = routing(*URLS).tenants[TenantId("acme")], routing(*URLS).tenants[TenantId("globex")]


def test_a_tenant_sees_its_own_aliases_only() -> None:
    assert [alias.name for alias in catalogue().aliases_of(ACME)] == ["bulk", "fast"]
    assert [alias.name for alias in catalogue().aliases_of(GLOBEX)] == ["fast"]


def test_a_tenant_that_lists_aliases_has_no_other() -> None:
    config = routing(*URLS, tenants={"acme": {"aliases": ["fast"]}})
    acme, found = config.tenants[TenantId("acme")], Catalogue(config)
    assert [alias.name for alias in found.aliases_of(acme)] == ["fast"]
    assert (found.allows(acme, "fast"), found.allows(acme, "bulk")) == (True, False)
    with pytest.raises(UnknownModel):
        found.find(acme, "bulk", None)


def test_an_alias_is_served_in_its_own_tier_or_in_the_one_asked_for() -> None:
    assert catalogue().find(ACME, "fast", None).tier.name == "interactive"
    assert catalogue().find(ACME, "fast", "batch").tier.name == "batch"


def test_an_unknown_model_is_told_with_the_nearest_of_the_tenants_own() -> None:
    with pytest.raises(UnknownModel, match="Did you mean 'bulk'"):
        catalogue().find(ACME, "bulkk", None)
    with pytest.raises(UnknownModel) as caught:
        catalogue().find(GLOBEX, "bulkk", None)
    assert "bulk'" not in caught.value.message.replace("'bulkk'", "")


@pytest.mark.parametrize(
    ("name", "tier"), [("bulk", None), ("bulk", "interactive"), ("fast", "batch"), ("fast", "none")]
)
def test_a_tier_that_is_not_the_tenants_is_refused(name: str, tier: str | None) -> None:
    with pytest.raises(NotAllowed):
        catalogue().find(GLOBEX, name, tier)


def rungs(alias: str, **changes: object) -> list[tuple[str, str, str, bool]]:
    config = routing(*URLS, **changes)
    found: tuple[Rung, ...] = Catalogue(config).find(config.tenants[TenantId("acme")], alias, None).rungs
    assert [rung.depth for rung in found] == list(range(len(found)))
    assert Alias(alias) in config.aliases
    return [(rung.upstream, rung.model, rung.tier, rung.own) for rung in found]


def test_the_ladder_is_the_targets_and_then_the_fallback() -> None:
    assert rungs("fast") == [("u0", "m0", "interactive", True), ("u1", "m1", "interactive", True)]


def test_an_alias_on_a_ladder_stands_for_its_targets_and_never_for_its_own_ladder() -> None:
    aliases = {"fast": {"fallback": [{"alias": "bulk"}]}, "bulk": {"fallback": [{"alias": "fast"}]}}
    assert rungs("fast", aliases=aliases) == [("u0", "m0", "interactive", True), ("u0", "m0", "batch", False)]


def test_an_alias_without_a_ladder_takes_the_default_chain_but_for_itself() -> None:
    assert rungs("bulk", fallback={"chain": ["bulk", "fast"]}) == [
        ("u0", "m0", "batch", True),
        ("u0", "m0", "interactive", False),
    ]
