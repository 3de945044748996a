"""What keeps a request off a rung: each veto is on the books with its reason, and the ladder goes on below it."""

from typing import Any

import httpx
import pytest

from tests.gateway.fakes import ScriptedUpstream, answer, chat, error
from tests.gateway.serving import Gateway, chat_request, gateway, routing


async def ask(served: Gateway, **changes: Any) -> httpx.Response:
    async with served.client() as client:
        return await client.post("/v1/chat/completions", json=chat_request(**changes))


def ends(served: Gateway) -> list[tuple[str, str, int]]:
    return [(a.outcome.value, a.error_type, a.intent.fallback_depth) for a in served.books.attempts]


@pytest.mark.parametrize("regions", [("eu", "us"), ("eu", "eu")])
async def test_an_upstream_outside_the_tiers_residency_is_never_used_on_any_rung(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream, regions: tuple[str, str]
) -> None:
    spare = {"spare": {"base_url": "http://127.0.0.1:9/v1", "provider": "p", "account": "a", "region": "us"}}
    upstreams = {"u0": {"region": regions[0]}, "u1": {"region": regions[1]}, **spare}
    tiers = {"interactive": {"residency": ["us"]}}
    async with gateway(routing(upstream.url, alternate.url, upstreams=upstreams, tiers=tiers)) as served:
        got = await ask(served)
    assert upstream.received == []
    if regions[1] == "us":
        assert (got.status_code, got.headers["x-tollway-fallback-reason"]) == (200, "residency")
        assert ends(served) == [("refused", "residency", 0), ("ok", "", 1)]
    else:
        assert (got.status_code, got.json()["error"]["code"]) == (502, "ladder_exhausted")
        assert ends(served) == [("refused", "residency", 0), ("refused", "residency", 1)]
        assert alternate.received == []


async def test_an_upstream_that_does_not_serve_the_route_is_passed_over(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    config = routing(upstream.url, alternate.url, upstreams={"u0": {"serves": ["embeddings"]}})
    async with gateway(config) as served:
        got = await ask(served)
    assert (got.status_code, got.headers["x-tollway-fallback-reason"]) == (200, "not_served")
    assert ends(served) == [("refused", "not_served", 0), ("ok", "", 1)]
    assert upstream.received == []


@pytest.mark.parametrize("tenant", [{"aliases": ["fast"]}, {"tiers": ["interactive"]}])
async def test_a_ladders_other_alias_needs_the_tenants_own_leave(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream, tenant: dict[str, Any]
) -> None:
    upstream.always = error(500)
    aliases = {"fast": {"fallback": [{"alias": "bulk"}]}, "bulk": {"targets": [{"upstream": "u1", "model": "m1"}]}}
    async with gateway(routing(upstream.url, alternate.url, aliases=aliases, tenants={"acme": tenant})) as served:
        got = await ask(served)
    assert got.status_code == 500
    assert ends(served) == [("error", "server_error", 0), ("refused", "not_authorized", 1)]
    assert alternate.received == []


async def test_a_tenants_own_account_serves_nobody_else_on_any_rung(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    upstream.always = error(500)
    config = routing(
        upstream.url,
        alternate.url,
        upstreams={"u1": {"tenant": "globex"}},
        aliases={"theirs": {"tier": "interactive", "targets": [{"upstream": "u1", "model": "m1"}]}},
    )
    async with gateway(config) as served, served.client() as client:
        laddered = await ask(served)
        first = await ask(served, model="theirs")
        listed = (await client.get("/v1/models/theirs")).json()
    assert (laddered.status_code, first.status_code) == (500, 502)
    assert ends(served)[1:] == [("refused", "not_authorized", 1), ("refused", "not_authorized", 0)]
    assert (alternate.received, listed["tollway"]["targets"]) == ([], [])


@pytest.mark.parametrize("code", ["insufficient_quota", "billing_hard_limit_reached"])
@pytest.mark.parametrize("status", [429, 400, 200])
async def test_that_our_account_is_out_of_money_is_the_next_rungs_work_and_not_shown(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream, code: str, status: int
) -> None:
    said = {"message": "You exceeded your current quota, check your plan.", "type": code, "param": None, "code": code}
    upstream.always = alternate.always = answer({"error": said}, status)
    async with gateway(routing(upstream.url, alternate.url)) as served:
        got = await ask(served)
        alternate.always = answer(chat())
        mended = await ask(served)
    assert (got.status_code, got.json()["error"]["code"]) == (502, "ladder_exhausted")
    assert "plan" not in got.text
    assert ends(served)[:2] == [("error", "upstream_auth", 0), ("error", "upstream_auth", 1)]
    assert (mended.status_code, mended.headers["x-tollway-fallback-reason"]) == (200, "upstream_auth")
