"""GET /v1/models: one's own aliases, priced by the card in force, and nothing of anybody else's."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from gateway.domain import clock
from gateway.domain.usage import TokenClass
from tests.gateway.serving import ACME, GLOBEX, VENDOR_KEY, gateway, routing

OLD = {"currency": "USD", "effective_from": "2023-01-01T00:00:00Z", "effective_to": "2024-01-01T00:00:00Z"}
NEW = {"currency": "USD", "effective_from": "2024-01-01T00:00:00Z"}
CARDS = [
    {"provider": "openai", "model": "m0", **OLD, "per_million_tokens": {"input": "9", "output": "9"}},
    {"provider": "openai", "model": "m0", **NEW, "per_million_tokens": {"input": "0.15", "output": "0.60"}},
    {"provider": "openai", "model": "m0", "account": "acct0", **NEW, "per_million_tokens": {"input": "0.1234"}},
]


async def listed(key: str = ACME, path: str = "/v1/models", **changes: Any) -> Any:
    async with gateway(routing("http://h/v1", **changes)) as served, served.client(key) as client:
        got = await client.get(path)
        return {**got.json(), "status": got.status_code}


def prices(entry: Any) -> Any:
    return entry["tollway"]["targets"][0]["price_per_million_tokens"]


async def test_each_price_is_the_active_cards_to_the_digit_and_an_unknown_one_is_null() -> None:
    config = routing("http://h/v1", rate_cards=CARDS)
    card = config.rate_cards.in_force(provider="openai", account="", model="m0", at=clock.utc_now())
    assert card is not None
    fast = next(one for one in (await listed(rate_cards=CARDS))["data"] if one["id"] == "fast")
    shown = fast["tollway"]["targets"][0]
    assert (shown["rate_card"], shown["currency"]) == (card.card_id, "USD")
    assert card.effective_from == datetime(2024, 1, 1, tzinfo=UTC)
    classes = {"input" if one is TokenClass.INPUT_UNCACHED else one.value: one for one in TokenClass}
    assert set(prices(fast)) == set(classes)
    for name, token_class in classes.items():
        unit, told = card.unit_price(token_class), prices(fast)[name]
        assert (None if told is None else Decimal(told)) == (None if unit is None else unit * 1_000_000)
    assert (prices(fast)["input"], prices(fast)["output"], prices(fast)["cache_read"]) == ("0.15", "0.60", None)


async def test_without_a_card_every_price_is_null() -> None:
    fast = (await listed(rate_cards=[]))["data"][-1]
    assert set(prices(fast).values()) == {None}
    assert fast["tollway"]["targets"][0]["rate_card"] is None


async def test_contract_prices_are_shown_to_who_may_see_them_and_list_prices_to_all_others() -> None:
    changes: dict[str, Any] = {"rate_cards": CARDS, "tenants": {"acme": {"prices": "contract"}}}
    assert prices((await listed(**changes))["data"][-1])["input"] == "0.1234"
    other = await listed(GLOBEX, **changes)
    assert prices(other["data"][-1])["input"] == "0.15"
    assert "0.1234" not in json.dumps(other)
    for_all = [{**CARDS[1], "kind": "contracted", "per_million_tokens": {"input": "0.1111"}}, *CARDS[:2]]
    assert prices((await listed(GLOBEX, **changes | {"rate_cards": for_all}))["data"][-1])["input"] == "0.15"
    contract_only = {**changes, "rate_cards": CARDS[2:]}
    assert set(prices((await listed(GLOBEX, **contract_only))["data"][-1]).values()) == {None}


async def test_what_the_tier_allows_and_how_it_batches_is_shown() -> None:
    tiers = {"batch": {"micro_batch_ms": 40, "max_batch_tokens": 4096, "cancel_rule": "finish"}}
    bulk = (await listed(tiers=tiers, tenants={"acme": {"requests_per_minute": 60}}))["data"][0]["tollway"]
    assert bulk["batch"] == {"window_ms": 40, "max_tokens": 4096, "cancel_rule": "finish"}
    limits = {name: bulk["limits"][name] for name in ("max_inflight", "max_queue", "requests_per_minute")}
    assert limits == {"max_inflight": 2, "max_queue": 2, "requests_per_minute": 60}
    assert bulk["limits"]["tokens_per_minute"] is None


async def test_where_a_model_is_served_is_shown_without_naming_upstream_account_or_key() -> None:
    up = {"u0": {"region": "eu-west-1", "quantization": "fp8"}}
    aliases = {"fast": {"targets": [{"upstream": "u0", "model": "m0", "context_tokens": 128_000}]}}
    told = await listed(upstreams=up, aliases=aliases)
    target = told["data"][-1]["tollway"]["targets"][0]
    seen = {name: target[name] for name in ("provider", "region", "quantization", "context_window")}
    assert seen == {"provider": "openai", "region": "eu-west-1", "quantization": "fp8", "context_window": 128_000}
    assert not any(word in json.dumps(told) for word in ("u0", "acct0", VENDOR_KEY, "http://h"))


async def test_a_target_outside_the_tiers_residency_is_not_shown() -> None:
    up = {"u0": {"region": "eu"}, "us": {"base_url": "http://i/v1", "provider": "p", "account": "a", "region": "us"}}
    both = [{"upstream": "us", "model": "m"}, {"upstream": "u0", "model": "m0"}]
    aliases = {"fast": {"targets": both}}
    tiers = {"interactive": {"residency": ["eu"]}}
    fast = (await listed(upstreams=up, aliases=aliases, tiers=tiers))["data"][-1]
    assert [target["region"] for target in fast["tollway"]["targets"]] == ["eu"]


async def test_the_targets_are_those_of_the_aliass_own_tier() -> None:
    up = {"far": {"base_url": "http://i/v1", "provider": "p", "account": "a", "region": "us"}}
    tiers = {"interactive": {"targets": [{"upstream": "far", "model": "m"}]}}
    fast = (await listed(upstreams=up, aliases={"fast": {"tiers": tiers}}))["data"][-1]
    assert [target["provider"] for target in fast["tollway"]["targets"]] == ["p"]


async def test_one_alias_can_be_asked_for_and_anothers_is_not_found_without_a_hint() -> None:
    changes: dict[str, Any] = {
        "aliases": {"org/fast:1": {"tier": "interactive", "targets": [{"upstream": "u0", "model": "m0"}]}},
        "tenants": {"globex": {"aliases": ["fast"]}},
    }
    assert (await listed(path="/v1/models/org/fast:1", **changes))["id"] == "org/fast:1"
    assert [one["id"] for one in (await listed(GLOBEX, **changes))["data"]] == ["fast"]
    hidden = await listed(GLOBEX, "/v1/models/org/fast:1", **changes)
    nobodys = await listed(GLOBEX, "/v1/models/org/fast:2", **changes)
    assert hidden["status"] == nobodys["status"] == 404
    assert hidden["error"]["code"] == "model_not_found"
    assert hidden["error"]["message"] == nobodys["error"]["message"].replace("fast:2", "fast:1")


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/fast"])
async def test_nobody_without_a_key_sees_any(path: str) -> None:
    assert (await listed("not-a-key-of-anyone", path))["error"]["code"] == "invalid_api_key"
