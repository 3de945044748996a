"""The operator's routes: closed without a key, true with it, and silent about every secret."""

import json
from typing import Any

import httpx
import pytest

from gateway.config import ConfigError, Fault
from gateway.flow.reload import Reread
from tests.gateway.fakes import ScriptedUpstream, error
from tests.gateway.serving import ACME, NO_TLS, VENDOR_KEY, Gateway, chat_request, gateway, routing

OPERATOR = "operator-key-0123456789"


def operated(*urls: str, **changes: Any) -> Any:
    return routing(*urls, gateway={"admin_key": OPERATOR}, **changes)


def anyone(served: Gateway, **headers: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=served.url, headers=headers, trust_env=False, verify=NO_TLS)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS"])
async def test_without_a_key_configured_there_are_no_such_routes(upstream: ScriptedUpstream, method: str) -> None:
    async with gateway(routing(upstream.url)) as served, anyone(served, authorization="Bearer") as client:
        got = [await client.request(method, path) for path in ("/admin/state", "/admin/reload", "/admin/none")]
        known = await client.request(method, "/nothing/here")
    for one in got:
        told = one.json()["error"]
        assert (one.status_code, told["code"]) == (known.status_code, known.json()["error"]["code"])
        assert told["message"].endswith(" here.")


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer wrong", f"Basic {OPERATOR}", f"Bearer {ACME}"])
async def test_who_lacks_the_operators_key_is_told_nothing(upstream: ScriptedUpstream, authorization: str) -> None:
    async with (
        gateway(operated(upstream.url)) as served,
        anyone(served, **({"authorization": authorization} if authorization else {})) as client,
    ):
        state, reload = await client.get("/admin/state"), await client.post("/admin/reload")
    assert [(one.status_code, one.json()["error"]["code"]) for one in (state, reload)] == [(401, "invalid_api_key")] * 2


async def test_the_state_shows_pools_queues_breakers_and_no_secret(upstream: ScriptedUpstream) -> None:
    upstream.always = error(500)
    config = operated(upstream.url, breaker={"consecutive_failures": 1, "cooldown_s": 60})
    async with gateway(config) as served, served.client() as client:
        await client.post("/v1/chat/completions", json=chat_request())
        async with anyone(served, authorization=f"Bearer {OPERATOR}") as operator:
            got = await operator.get("/admin/state")
        state = got.json()
    assert state["config"]["hash"] == served.plane.config.fingerprint
    assert state["version"]
    assert state["pools"]["interactive"]["max_inflight"] == 8
    assert state["queues"]["interactive"]["queued"] == 0
    breaker = next(one for one in state["breakers"] if one["upstream"] == "u0")
    assert (breaker["alias"], breaker["tenant"], breaker["state"]) == ("fast", "acme", "open")
    assert breaker["retry_in_s"] > 0
    assert {"draining", "requests", "upstreams", "journal", "fuses"} <= state.keys()
    text = json.dumps(state)
    digests = [digest.hex() for tenant in config.tenants.values() for digest in tenant.key_digests]
    assert not any(secret in text for secret in (OPERATOR, ACME, VENDOR_KEY, *digests))


async def test_the_state_shows_regions_quotas_hosts_and_caches(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    config = operated(
        upstream.url,
        upstreams={"u0": {"region": "eu", "hosts": [alternate.url], "max_inflight": 3}},
        tenants={"acme": {"requests_per_minute": 1, "budget": {"month_usd": "500"}}},
        cache={"mode": "exact", "kv_reuse_policy": "least_loaded"},
    )
    async with gateway(config) as served, served.client() as client:
        await client.post("/v1/chat/completions", json=chat_request(temperature=0))
        async with anyone(served, authorization=f"Bearer {OPERATOR}") as operator:
            state = (await operator.get("/admin/state")).json()
    assert [(one["region"], one["status"]) for one in state["brownouts"]] == [("eu", "closed")]
    assert [(one["limit_usd"], "left_usd" in one) for one in state["budgets"]] == [("500", True)]
    assert (state["quotas"]["acme"]["spent"], "globex" in state["quotas"]) == ("requests", False)
    assert [host["host"] for host in state["hosts"]["u0"]] == [upstream.url, alternate.url]
    assert (state["caches"]["mode"], state["caches"]["answers"]["entries"]) == ("exact", 1)
    assert (state["upstreams"]["u0"]["max_inflight"], state["upstreams"]["u0"]["memory_pressure"]) == (3, "normal")


async def test_a_reload_tells_the_operator_what_changed_or_every_fault(upstream: ScriptedUpstream) -> None:
    faults: list[Fault] = []

    def read_again() -> Reread:
        if faults:
            raise ConfigError("tollway.yaml", faults)
        return Reread(operated(upstream.url, tiers={"interactive": {"max_inflight": 9}}))

    async with (
        gateway(operated(upstream.url), read_again=read_again) as served,
        anyone(served, authorization=f"Bearer {OPERATOR}") as operator,
    ):
        done = await operator.post("/admin/reload")
        assert (done.status_code, done.json()["result"]) == (200, "applied")
        assert done.json()["changed"] == ["tiers.interactive.max_inflight"]
        faults += [Fault("tiers", "is missing"), Fault("aliases", "is missing")]
        refused = await operator.post("/admin/reload")
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, "config_rejected")
        assert all(str(fault) in refused.json()["error"]["message"] for fault in faults)
        state = (await operator.get("/admin/state")).json()
        assert state["pools"]["interactive"]["max_inflight"] == 9
        assert state["config"]["last_reload"]["result"] == "rejected"
        wrong = await operator.get("/admin/reload")
        assert (wrong.status_code, wrong.json()["error"]["code"]) == (405, "method_not_allowed")
