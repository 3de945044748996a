"""What a tenant could try, and what a vendor could say, to get past the owners of what is stored."""

import asyncio
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from gateway.flow.reload import Reread
from gateway.stored import gate, state, vendor
from tests.gateway.fakes import Line, Received, Reply, ScriptedUpstream, event, silence, stream
from tests.gateway.serving import GLOBEX, VENDOR_KEY, gateway, routing, until
from tests.gateway.stored.test_batches import run
from tests.gateway.stored.test_files import line, upload
from tests.gateway.stored.test_responses import create
from tests.gateway.stored.vault import Vault

BATCH = {"endpoint": "/v1/chat/completions", "completion_window": "24h"}
SAID = f"Incorrect API key provided: {VENDOR_KEY}."


def raw(head: bytes, body: bytes) -> Reply:
    """An answer with that head, written as it is."""

    async def reply(to: Line, request: Received) -> None:
        to.write(b"HTTP/1.1 200 OK\r\n%b\r\ncontent-length: %d\r\n\r\n%b" % (head, len(body), body))

    return reply


async def test_a_file_that_the_vendor_takes_for_a_batchs_makes_none_unless_its_lines_were_checked(
    upstream: ScriptedUpstream, vault: Vault
) -> None:
    """A form that the vendor reads as `batch` and we do not (another case, another charset) skips the check."""
    async with gateway(routing(upstream.url)) as served, served.client() as client:
        headers = {"x-tollway-alias": "fast"}
        file = (await upload(client, line(1, model="gpt-secret"), "BATCH", **headers)).json()["id"]
        vault.files[file]["purpose"] = "batch"
        await client.get(f"/v1/files/{file}")
        got = await client.post("/v1/batches", json={"input_file_id": file, **BATCH})
    assert (got.status_code, got.json()["error"]["param"], vault.batches) == (400, "input_file_id", {})


@pytest.mark.parametrize("name", ["input_blob", "output_folder"])
async def test_a_batch_takes_nothing_from_and_puts_nothing_into_a_place_beside_the_files(
    upstream: ScriptedUpstream, vault: Vault, name: str
) -> None:
    async with gateway(routing(upstream.url)) as served, served.client() as client:
        file = (await upload(client, line(1), "batch")).json()["id"]
        body = {"input_file_id": file, **BATCH, name: {"url": "https://blobs.example/x"}}
        got = await client.post("/v1/batches", json=body)
    assert (got.status_code, got.json()["error"]["param"], vault.batches) == (400, name, {})


@pytest.mark.parametrize("region", ["us", "eu"])
async def test_files_and_batches_go_where_the_tiers_residency_allows(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream, region: str
) -> None:
    upstream.always, alternate.always = Vault(), Vault(100)
    targets = [{"upstream": "u0", "model": "m0"}, {"upstream": "u1", "model": "m1"}]
    config = routing(
        upstream.url,
        alternate.url,
        upstreams={"u0": {"region": "us"}, "u1": {"region": "eu"}},
        tiers={"interactive": {"residency": [region]}},
        aliases={"fast": {"targets": targets, "fallback": []}, "bulk": {"tier": "interactive"}},
    )
    async with gateway(config) as served, served.client() as client:
        plain = await upload(client, **{"x-tollway-alias": "fast"})
        await run(client)
    allowed, barred = (upstream, alternate) if region == "us" else (alternate, upstream)
    assert plain.status_code == 200
    assert (len(allowed.received), barred.received) == (3, [])


@pytest.mark.parametrize(
    "changes",
    [
        {"tiers": {"interactive": {"residency": ["eu"]}}},
        {"tenants": {"acme": {"aliases": ["bulk"]}}},
        {"upstreams": {"u0": {"serves": ["files"]}}},
    ],
)
async def test_a_batch_is_run_only_where_its_alias_may_run_now(
    upstream: ScriptedUpstream, vault: Vault, changes: dict[str, Any]
) -> None:
    regions = {"u0": {"region": "us"}, "u1": {"region": "eu"}}
    before = routing(upstream.url, "http://127.0.0.1:9/v1", upstreams=regions, aliases={"fast": {"fallback": []}})
    after_: Any = {"upstreams": regions, "aliases": {"fast": {"fallback": []}}}
    for section, change in changes.items():
        merged = {name: {**after_.get(section, {}).get(name, {}), **more} for name, more in change.items()}
        after_ = {**after_, section: {**after_.get(section, {}), **merged}}
    config = routing(upstream.url, "http://127.0.0.1:9/v1", **after_)
    async with gateway(before, read_again=lambda: Reread(config)) as served, served.client() as client:
        batch, file = await run(client)
        assert (await served.serving.reload()).result == "applied"
        got = await client.post("/v1/batches", json={"input_file_id": file, **BATCH})
        mine = [await client.get(path) for path in (f"/v1/batches/{batch}", f"/v1/files/{file}/content")]
    assert (got.status_code in (400, 404), len(vault.batches)) == (True, 1)
    assert [one.status_code for one in mine] == [200, 200]  # What it has is its own all the same.


async def test_what_an_upstream_kept_before_it_became_anothers_account_is_out_of_reach(
    upstream: ScriptedUpstream, vault: Vault
) -> None:
    config = routing(upstream.url, upstreams={"u0": {"tenant": "globex"}})
    async with gateway(routing(upstream.url), read_again=lambda: Reread(config)) as served, served.client() as client:
        batch, file = await run(client)
        response = (await create(client)).json()["id"]
        await served.serving.reload()
        vault.seen.clear()
        paths = (f"/v1/files/{file}", f"/v1/batches/{batch}", f"/v1/responses/{response}")
        got = [(await client.get(path)).status_code for path in paths]
        follow = await create(client, previous_response_id=response)
    assert (got, follow.status_code, vault.seen) == ([502, 502, 502], 400, [])


@pytest.mark.parametrize("head", ['content-disposition: attachment; filename="\u6587.jsonl"', "x-ratelimit-x: \u2713"])
async def test_a_vendors_head_in_utf_8_arrives_byte_for_byte(
    upstream: ScriptedUpstream, vault: Vault, head: str
) -> None:
    async with gateway(routing(upstream.url)) as served, served.client() as client:
        file = (await upload(client)).json()["id"]
        upstream.script.append(raw(head.encode(), b"{}"))
        upstream.script.append(raw(head.encode(), b"{}"))
        got = await client.get(f"/v1/files/{file}/content")
        whole = await client.get(f"/v1/files/{file}")
    name, _, value = head.partition(": ")
    assert (got.status_code, whole.status_code) == (200, 200)
    assert dict(got.headers.raw)[name.encode()] == value.encode()


@pytest.mark.parametrize(
    "fault",
    [
        {"status": "failed", "error": {"code": "invalid_api_key", "message": SAID}},
        {"status": "failed", "errors": {"object": "list", "data": [{"code": "x", "message": SAID, "line": None}]}},
    ],
)
async def test_what_a_stored_object_says_of_our_key_is_masked_wherever_it_is_shown(
    upstream: ScriptedUpstream, vault: Vault, fault: dict[str, Any]
) -> None:
    async with gateway(routing(upstream.url)) as served, served.client() as client:
        batch, _ = await run(client)
        response = (await create(client, background=True)).json()["id"]
        vault.batches[batch] |= fault
        vault.responses[response] |= fault
        paths = (f"/v1/batches/{batch}", "/v1/batches", f"/v1/responses/{response}")
        shown = [await client.get(path) for path in paths]
        again = await client.get("/v1/batches")
    assert [one.status_code for one in shown] == [200, 200, 200]
    assert [VENDOR_KEY in one.text for one in (*shown, again)] == [False] * 4
    assert all("***" in one.text for one in (*shown, again))


@pytest.mark.parametrize(
    "fault",
    [
        {"type": "response.failed", "response": {"status": "failed", "error": {"message": SAID}}},
        {"type": "error", "code": "invalid_api_key", "message": SAID},
    ],
)
async def test_what_a_stream_of_stored_events_says_of_our_key_is_masked_wherever_it_is_cut(
    upstream: ScriptedUpstream, vault: Vault, fault: dict[str, Any]
) -> None:
    before = event({"type": "response.output_text.delta", "delta": 'He said "error", with sk-1234567890 in it.'})
    whole, cut = before + event(fault), len(before) + len(event(fault)) // 2
    async with gateway(routing(upstream.url)) as served, served.client() as client:
        response = (await create(client, background=True)).json()["id"]
        upstream.script.append(stream(whole[:cut], whole[cut:], b"data: tail"))
        got = await client.get(f"/v1/responses/{response}?stream=true")
    assert got.content == whole.replace(VENDOR_KEY.encode(), b"***") + b"data: tail"


async def test_a_request_that_names_more_than_can_be_looked_up_is_refused_and_keeps_nobody_waiting(
    upstream: ScriptedUpstream, vault: Vault
) -> None:
    names = [f"vs_{number}" for number in range(gate.NAMES_MAX + 1)]
    tools = [{"type": "file_search", "vector_store_ids": names}]
    async with gateway(routing(upstream.url)) as served, served.client() as client:
        asked: list[object] = []
        ask = served.plane.owners.ask

        async def counted(work: Any) -> Any:
            asked.append(work)
            return await ask(work)

        served.plane.owners.ask = counted  # type: ignore[method-assign]
        got = await create(client, tools=tools)
        most = await create(client, tools=[{**tools[0], "vector_store_ids": names[1:]}])
    assert (got.status_code, got.json()["error"]["code"]) == (400, "invalid_request")
    assert (most.status_code, len(asked)) == (404, 1)


@pytest.mark.parametrize("id_", ["a\0b", "\0", "x" * 257, "a/../b", "a%2Fb", "\ud7ff"])
async def test_an_id_that_no_vendor_gives_is_nobodys_on_every_route(
    upstream: ScriptedUpstream, vault: Vault, id_: str
) -> None:
    async with gateway(routing(upstream.url)) as served, served.client() as client:
        await upload(client)
        vault.seen.clear()
        got = [await client.get(f"/v1/{kind}/{quote(id_, safe='')}") for kind in ("files", "batches", "responses")]
        listed = await client.get("/v1/files", params={"after": id_})
        named = await create(client, previous_response_id=id_)
    assert {one.status_code for one in (*got, named)} == {404}
    assert (listed.status_code, vault.seen) == (404, [])


async def test_who_fills_its_own_connections_and_turns_keeps_nobody_else_waiting(
    upstream: ScriptedUpstream, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "UNDER_WAY_MAX", 3)
    monkeypatch.setattr(vendor, "LIMITS", httpx.Limits(max_connections=3, max_keepalive_connections=3))
    async with gateway(routing(upstream.url)) as served, served.client() as acme, served.client(GLOBEX) as globex:
        mine, theirs = [(await upload(client)).json()["id"] for client in (acme, globex)]
        upstream.script.extend([silence] * 3)
        async with asyncio.TaskGroup() as group:
            held = [group.create_task(acme.get(f"/v1/files/{mine}/content")) for _ in range(3)]
            await until(lambda: sum(one.method == "GET" for one in upstream.received) == 3)
            more = await acme.get(f"/v1/files/{mine}")
            got = await asyncio.wait_for(globex.get(f"/v1/files/{theirs}/content"), 2)
            for line_ in tuple(upstream.lines):
                line_.transport.abort()
        ended = [one.result().status_code for one in held]
        again = await acme.get(f"/v1/files/{mine}")
    assert (more.status_code, more.json()["error"]["code"], got.status_code) == (429, "quota_exhausted", 200)
    assert (ended, again.status_code) == ([502] * 3, 200)
    refused = [one for one in served.books.operations if one.http_status == 429]
    assert [one.error_type for one in refused] == ["quota_exhausted"]
