"""Routes: whose aliases, which tiers, which rungs."""

import pytest

from gateway.catalogue import Catalogue, Route, lot_of
from gateway.domain.ids import Alias, TenantId
from gateway.errors import NotAllowed, UnknownModel
from gateway.ladder.ladder import Rung
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


@pytest.mark.parametrize("tier", [None, "interactive", "batch"])
def test_an_alias_of_a_tier_that_is_not_the_tenants_is_refused_like_one_that_never_was(tier: str | None) -> None:
    said = []
    for name in ("bulk", "zzzz"):
        with pytest.raises(UnknownModel) as caught:
            catalogue().find(GLOBEX, name, tier)
        said.append(caught.value.message.replace(name, ""))
    assert said[0] == said[1]


@pytest.mark.parametrize(("name", "tier"), [("fast", "batch"), ("fast", "none")])
def test_a_tier_that_is_not_the_tenants_is_refused(name: str, tier: str) -> None:
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


def test_a_tiers_own_targets_ladder_and_retries_go_before_the_aliass() -> None:
    tiers = {"batch": {"targets": [{"upstream": "u1", "model": "cheap"}], "fallback": [], "retries": 3}}
    config = routing(
        *URLS, aliases={"fast": {"tiers": tiers}}, tiers={"interactive": {"retries": 1, "max_attempts": 5}}
    )
    found = Catalogue(config)
    acme = config.tenants[TenantId("acme")]
    batch, plain = found.find(acme, "fast", "batch"), found.find(acme, "fast", None)
    assert [(rung.upstream, rung.model) for rung in batch.rungs] == [("u1", "cheap")]
    assert [(rung.upstream, rung.model) for rung in plain.rungs] == [("u0", "m0"), ("u1", "m1")]
    assert (batch.limits.retries, plain.limits.retries, plain.limits.attempts_max) == (3, 1, 5)
    assert (batch.limits.retry_after_s_max, plain.limits.retry_after_s_max) == (30, 5)


def test_a_tiers_hedge_holds_for_all_its_aliases_but_those_that_say_otherwise_of_it() -> None:
    own = {"bulk": {"tiers": {"interactive": {"hedge_after_s": 0}, "batch": {"hedge_after_s": 9}}}}
    found = Catalogue(config := routing(*URLS, aliases=own, tiers={"interactive": {"hedge_after_s": 2.5}}))
    acme = config.tenants[TenantId("acme")]
    kinds = [("fast", "interactive"), ("fast", "batch"), ("bulk", "interactive"), ("bulk", "batch")]
    after = [found.find(acme, alias, tier).limits.hedge_after_s for alias, tier in kinds]
    assert after == [2.5, None, None, 9]


def test_an_empty_ladder_of_a_tier_means_none_and_not_the_default_chain() -> None:
    aliases = {"bulk": {"tiers": {"interactive": {"fallback": []}}}}
    config = routing(*URLS, aliases=aliases, fallback={"chain": ["fast"]})
    found, acme = Catalogue(config), config.tenants[TenantId("acme")]
    assert len(found.find(acme, "bulk", "interactive").rungs) == 1
    assert len(found.find(acme, "bulk", None).rungs) == 2


def test_another_alias_on_a_ladder_stands_for_its_targets_in_the_requests_tier() -> None:
    quantised = {"tiers": {"batch": {"targets": [{"upstream": "u1", "model": "int4"}]}}}
    aliases = {"fast": {"fallback": [{"alias": "bulk"}]}, "bulk": quantised}
    config = routing(*URLS, aliases=aliases)
    found, acme = Catalogue(config), config.tenants[TenantId("acme")]
    assert found.find(acme, "fast", "batch").rungs[-1].model == "int4"
    assert found.find(acme, "fast", None).rungs[-1].model == "m0"


def test_a_rung_knows_its_region_its_account_and_its_window() -> None:
    aliases = {"fast": {"targets": [{"upstream": "u0", "model": "m0", "context_tokens": 8000}]}}
    config = routing(*URLS, aliases=aliases, upstreams={"u0": {"region": "eu-west-1"}})
    first = Catalogue(config).find(config.tenants[TenantId("acme")], "fast", None).rungs[0]
    assert (first.region, first.account, first.context_tokens) == ("eu-west-1", ("openai", "acct0"), 8000)


def weighted(*weights: int | None) -> Route:
    targets = [
        {"upstream": f"u{i % 2}", "model": f"t{i}", **({} if weight is None else {"weight": weight})}
        for i, weight in enumerate(weights)
    ]
    config = routing(*URLS, aliases={"fast": {"targets": targets}})
    return Catalogue(config).find(config.tenants[TenantId("acme")], "fast", None)


@pytest.mark.parametrize(
    ("draw", "order"),
    [(0.0, "t0 t1 t2 m1"), (0.099, "t0 t1 t2 m1"), (0.1, "t1 t0 t2 m1"), (0.899, "t1 t0 t2 m1"), (0.9, "t2 t0 t1 m1")],
)
def test_the_draw_chooses_the_first_target_by_weight_and_the_rest_follow_in_order(draw: float, order: str) -> None:
    drawn = weighted(None, 8, None).drawn(draw)
    assert " ".join(rung.model for rung in drawn.rungs) == order
    assert [rung.depth for rung in drawn.rungs] == [0, 1, 2, 3], "the depth is the place in the order tried"


def test_sessions_spread_over_the_draws_evenly_and_each_keeps_its_own() -> None:
    lots = [lot_of(f"session-{i}", "fast") for i in range(4000)]
    assert lots == [lot_of(f"session-{i}", "fast") for i in range(4000)]
    for upto in (0.05, 0.5, 0.95):
        assert sum(lot < upto for lot in lots) / len(lots) == pytest.approx(upto, abs=0.02)


def test_who_is_among_the_canaries_of_one_alias_is_not_thereby_among_anothers() -> None:
    both = [i for i in range(4000) if lot_of(f"s{i}", "fast") < 0.5 and lot_of(f"s{i}", "bulk") < 0.5]
    assert len(both) / 4000 == pytest.approx(0.25, abs=0.02)


def test_a_target_of_weight_zero_is_never_first_and_still_a_rung() -> None:
    route = weighted(0, 1)
    for draw in (0.0, 0.5, 0.999_999):
        assert [rung.model for rung in route.drawn(draw).rungs] == ["t1", "t0", "m1"]


def test_without_weights_the_order_is_the_files_whatever_is_drawn() -> None:
    assert [rung.model for rung in weighted(None, None).drawn(0.999).rungs] == ["t0", "t1", "m1"]
