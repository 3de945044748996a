"""Callers' own names for themselves and their requests, on accounts that tenants share and on accounts of one."""

import json
from typing import Any

import pytest

from gateway.wire.kinds import Kind
from tests.gateway.fakes import ScriptedUpstream, drop
from tests.gateway.serving import ACME, GLOBEX, gateway, routing

IDS = {"prompt_cache_key": "pck", "user": "ann", "safety_identifier": "sid"}
BODIES: dict[Kind, dict[str, Any]] = {
    Kind.CHAT: {"messages": [{"role": "user", "content": 'my "user": "x"'}]},
    Kind.RESPONSES: {"input": [{"role": "user", "content": "Hi"}]},
    Kind.EMBEDDINGS: {"input": "user"},
    Kind.COMPLETIONS: {"prompt": "user"},
}
SENT = {"model": "fast", **IDS}


async def ask(upstream: ScriptedUpstream, kind: Kind, *keys: str, **changes: Any) -> list[dict[str, Any]]:
    """What reached the upstream when each of these tenants sent the same."""
    async with gateway(routing(upstream.url, **changes)) as served:
        for key in keys:
            async with served.client(key) as client:
                body = json.dumps({**SENT, **BODIES[kind]})
                await client.post(kind.route, content=body, headers={"idempotency-key": "once"})
    return [{**got.json, "idempotency-key": got.headers["idempotency-key"]} for got in upstream.received]


@pytest.mark.parametrize("kind", Kind)
async def test_on_a_shared_account_each_tenants_ids_are_its_own_and_all_else_is_as_sent(
    upstream: ScriptedUpstream, kind: Kind
) -> None:
    first, second, again = await ask(upstream, kind, ACME, GLOBEX, ACME)
    assert first == again
    for name in (*IDS, "idempotency-key"):
        assert first[name] != second[name]
        assert len(first[name]) <= 64
    rest = {name: value for name, value in first.items() if name not in (*IDS, "idempotency-key")}
    assert rest == {"model": "m0", **BODIES[kind]}


@pytest.mark.parametrize("kind", Kind)
async def test_on_an_account_of_its_own_a_tenants_ids_arrive_as_sent(upstream: ScriptedUpstream, kind: Kind) -> None:
    [got] = await ask(upstream, kind, ACME, upstreams={"u0": {"tenant": "acme"}})
    assert got == {"model": "m0", **IDS, **BODIES[kind], "idempotency-key": "once"}


async def test_each_rung_is_told_what_its_own_account_may_see(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    upstream.script.append(drop)
    config = routing(upstream.url, alternate.url, upstreams={"u1": {"tenant": "acme"}})
    async with gateway(config) as served, served.client() as client:
        await client.post("/v1/chat/completions", json={**SENT, **BODIES[Kind.CHAT]}, headers={"idempotency-key": "o"})
    assert upstream.received[0].json["user"] != "ann"
    assert upstream.received[0].headers["idempotency-key"] != "o"
    assert alternate.received[0].json["user"] == "ann"
    assert alternate.received[0].headers["idempotency-key"] == "o"
