"""Stored responses: whose they are, where a follow-up goes, and what a later look costs."""

import asyncio
from typing import Any

import httpx
import pytest

from gateway.domain.usage import Completeness
from gateway.stored.naming import Name, Stored
from tests.gateway.dialects import Script, message, response, response_events
from tests.gateway.fakes import ScriptedUpstream, answer, silence, stream
from tests.gateway.serving import ACME, gateway, routing, until
from tests.gateway.stored.test_files import break_database
from tests.gateway.stored.vault import Vault

USAGE = {"input_tokens": 20, "output_tokens": 7, "total_tokens": 27}


async def create(client: httpx.AsyncClient, **more: Any) -> httpx.Response:
    return await client.post("/v1/responses", json={"model": "fast", "input": "Hi", **more})


def ladder(*urls: str) -> Any:
    return routing(*urls)


async def test_a_stored_response_is_read_again_for_nothing(upstream: ScriptedUpstream, vault: Vault) -> None:
    async with gateway(routing(upstream.url)) as served, served.client() as client:
        id_ = (await create(client)).json()["id"]
        attempts = list(served.books.attempts)
        looks = [await client.get(f"/v1/responses/{id_}") for _ in range(3)]
        items = await client.get(f"/v1/responses/{id_}/input_items", params={"limit": 5})
    assert [look.json() for look in looks] == [vault.responses[id_]] * 3
    assert items.json()["data"] == [{"id": "msg_in"}]
    assert upstream.received[-1].path.endswith("/input_items?limit=5")
    assert (len(attempts), served.books.attempts) == (1, attempts)


async def test_a_follow_up_goes_where_the_response_is_and_to_no_other_rung(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    upstream.script.append(answer({"error": {"message": "down"}}, 500))
    upstream.always = answer(response(id="resp_other"))
    alternate.script.append(answer(response(id="resp_1")))
    async with gateway(routing(upstream.url, alternate.url)) as served, served.client() as client:
        assert (await create(client)).headers["x-tollway-upstream"] == "u1"
        alternate.script.append(answer(response(id="resp_2")))
        follows = await create(client, previous_response_id="resp_1")
        alternate.script.append(answer({"error": {"message": "down"}}, 500))
        fails = await create(client, previous_response_id="resp_2")
    assert (follows.headers["x-tollway-upstream"], follows.headers["x-tollway-fallback-depth"]) == ("u1", "0")
    assert (fails.status_code, len(upstream.received)) == (500, 1)


async def test_what_is_stored_where_the_model_is_not_served_is_told_with_the_model_to_use(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    upstream.always = answer(response(id="resp_1"))
    slow = {"slow": {"tier": "interactive", "targets": [{"upstream": "u1", "model": "m1"}]}}
    config = routing(upstream.url, alternate.url, aliases={"fast": {"fallback": []}, **slow})
    async with gateway(config) as served, served.client() as client:
        await create(client)
        got = await create(client, model="slow", previous_response_id="resp_1")
    error = got.json()["error"]
    assert (got.status_code, error["code"], "'fast'" in error["message"]) == (400, "stored_elsewhere", True)
    assert "u0" not in got.text
    assert alternate.received == []


async def test_a_streams_first_event_waits_until_the_response_is_its_tenants(upstream: ScriptedUpstream) -> None:
    upstream.script.append(stream(*response_events("Hel", "lo")))
    async with gateway(routing(upstream.url)) as served, served.client() as client:
        got = await create(client, stream=True)
        upstream.always = answer(response(id="resp_1"))
        again = await client.get("/v1/responses/resp_1")
        item = await create(client, input=[{"type": "item_reference", "id": "msg_1"}])
        unknown = await create(client, input=[{"type": "item_reference", "id": "msg_2"}])
    assert got.content == b"".join(response_events("Hel", "lo"))
    assert (again.status_code, item.status_code, unknown.status_code) == (200, 200, 404)


async def test_a_stream_is_not_shown_where_its_owner_cannot_be_recorded(upstream: ScriptedUpstream) -> None:
    upstream.script.append(stream(*response_events("Hello")))
    async with gateway(routing(upstream.url)) as served, served.client() as client:
        was = break_database(served)
        got = await create(client, stream=True)
        whole = await create(client)
        served.plane.owners._database = was
    assert (got.status_code, got.json()["error"]["code"]) == (503, "ownership_unavailable")
    assert (whole.status_code, "resp_" in got.text + whole.text) == (503, False) or whole.status_code == 502


async def test_a_client_that_hangs_up_while_its_response_is_recorded_is_forgotten(upstream: ScriptedUpstream) -> None:
    upstream.always = answer(response(id="resp_1"))
    async with gateway(routing(upstream.url)) as served:
        gate = asyncio.Event()
        aside = served.plane.database.aside

        async def slow(work: Any) -> Any:
            await gate.wait()
            return await aside(work)

        served.plane.database.aside = slow  # type: ignore[method-assign]
        body = b'{"model": "fast", "input": "Hi"}'
        lines = [
            "POST /v1/responses HTTP/1.1",
            "host: x",
            f"authorization: Bearer {ACME}",
            f"content-length: {len(body)}",
        ]
        head = "\r\n".join([*lines, "", ""])
        _, writer = await served.raw(head.encode() + body)
        await until(lambda: served.books.attempts)
        writer.close()
        await until(lambda: served.books.operations)
        gate.set()
        await until(lambda: served.plane.owners.known("acme", Name(Stored.RESPONSE, "resp_1", "")))
    assert served.books.operations[0].outcome == "cancelled"


async def test_a_response_that_is_not_stored_is_nobodys_but_its_secrets_go_back_to_their_account(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    secret = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"}
    made = response(id="resp_1", store=False, output=[secret, message()])
    upstream.script.append(answer({"error": {"message": "down"}}, 500))
    alternate.always = answer(made)
    async with gateway(routing(upstream.url, alternate.url)) as served, served.client() as client:
        await create(client, store=False)
        named = await create(client, previous_response_id="resp_1")
        back = await create(client, input=[secret])
        never_seen = await create(client, input=[{**secret, "id": "rs_9"}])
    assert named.status_code == 404
    assert back.headers["x-tollway-upstream"] == "u1"
    assert never_seen.headers.get("x-tollway-upstream") != ""
    assert len(upstream.received) == 2  # The first, and the one whose secret nobody knows.


async def test_a_background_response_is_metered_when_it_is_first_seen_to_have_ended_once(
    upstream: ScriptedUpstream, vault: Vault
) -> None:
    async with gateway(routing(upstream.url)) as served, served.client() as client:
        made = (await create(client, background=True)).json()
        id_ = made["id"]
        assert (made["status"], len(served.books.attempts)) == ("queued", 1)
        assert (await client.get(f"/v1/responses/{id_}")).json()["status"] == "queued"
        assert len(served.books.attempts) == 1
        vault.responses[id_] |= {"status": "completed", "usage": USAGE, "created_at": 1_790_000_000}
        for _ in range(3):
            await client.get(f"/v1/responses/{id_}")
    began, ended = served.books.attempts
    assert (began.completeness, began.response_id, began.finish_reason) == (Completeness.UNKNOWN, "", "queued")
    assert (ended.completeness, ended.usage.input_uncached, ended.usage.output) == (Completeness.MEASURED, 20, 7)
    assert (ended.response_id, ended.intent.alias, ended.intent.model) == (id_, "fast", "m0")
    assert ended.intent.attempt_id != began.intent.attempt_id
    assert (ended.intent.trace_id, ended.intent.parent_span_id) == (began.intent.trace_id, began.intent.parent_span_id)


async def test_usage_that_is_told_later_is_at_the_depth_of_the_rung_that_made_it(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    upstream.always = answer({"error": {"message": "down"}}, 500)
    alternate.script.append(answer(response("queued", id="resp_1", background=True, usage=None)))
    alternate.always = answer(response(id="resp_1", usage=USAGE))
    async with gateway(routing(upstream.url, alternate.url)) as served, served.client() as client:
        await create(client, background=True)
        await client.get("/v1/responses/resp_1")
    *_, began, ended = served.books.attempts
    assert (began.intent.fallback_depth, began.completeness) == (1, Completeness.UNKNOWN)
    assert (ended.intent.fallback_depth, ended.intent.fallback_reason) == (1, began.intent.fallback_reason)
    assert (ended.completeness, ended.intent.fallback_reason) == (Completeness.MEASURED, "server_error")


async def test_a_background_response_is_metered_from_its_events_too(upstream: ScriptedUpstream, vault: Vault) -> None:
    async with gateway(routing(upstream.url)) as served, served.client() as client:
        id_ = (await create(client, background=True)).json()["id"]
        script = Script()
        ended = response("completed", id=id_, background=True, usage=USAGE, created_at=1_790_000_000)
        events = [
            script("response.created", response=response("queued", id=id_)),
            script("response.completed", response=ended),
        ]
        upstream.script.append(stream(*events))
        got = await client.get(f"/v1/responses/{id_}", params={"stream": "true", "starting_after": "0"})
        await until(lambda: len(served.books.attempts) == 2)
        await client.get(f"/v1/responses/{id_}")
    assert got.content == b"".join(events)
    assert "starting_after=0" in upstream.received[-2].path
    assert (len(served.books.attempts), served.books.attempts[1].usage.output) == (2, 7)


async def test_a_background_response_is_metered_before_it_is_deleted(upstream: ScriptedUpstream, vault: Vault) -> None:
    async with gateway(routing(upstream.url)) as served, served.client() as client:
        id_ = (await create(client, background=True)).json()["id"]
        vault.responses[id_] |= {"status": "completed", "usage": USAGE}
        gone = await client.delete(f"/v1/responses/{id_}")
        after = await client.get(f"/v1/responses/{id_}")
    assert (gone.json()["deleted"], after.status_code, len(served.books.attempts)) == (True, 404, 2)


async def test_a_cancel_reaches_the_vendor(upstream: ScriptedUpstream, vault: Vault) -> None:
    async with gateway(routing(upstream.url)) as served, served.client() as client:
        id_ = (await create(client, background=True)).json()["id"]
        got = await client.post(f"/v1/responses/{id_}/cancel")
    assert (got.json()["status"], vault.seen[-1]) == ("cancelled", ("POST", f"/v1/responses/{id_}/cancel"))


async def test_a_listener_that_hangs_up_ends_the_vendors_stream(upstream: ScriptedUpstream, vault: Vault) -> None:
    async with gateway(routing(upstream.url)) as served, served.client() as client:
        id_ = (await create(client)).json()["id"]
        never = asyncio.Event()
        upstream.script.append(stream(response_events("x")[0], never))
        head = f"GET /v1/responses/{id_}?stream=true HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {ACME}\r\n\r\n"
        reader, writer = await served.raw(head.encode())
        assert b"200" in await reader.readline()
        writer.close()
        await asyncio.wait_for(upstream.received[-1].gone.wait(), 5)


async def test_an_id_that_a_vendor_gives_twice_is_nobodys(upstream: ScriptedUpstream) -> None:
    """Small servers number their responses anew at each start: the second tenant must not read the first one's."""
    upstream.always = answer(response(id="resp_1"))
    async with (
        gateway(routing(upstream.url)) as served,
        served.client() as acme,
        served.client("globex-key-0123456789") as globex,
    ):
        assert (await create(acme)).status_code == 200
        taken = await create(globex)
        looks = [(await one.get("/v1/responses/resp_1")).status_code for one in (acme, globex)]
        metrics = (await acme.get("/metrics")).text
    assert (taken.status_code, taken.json()["error"]["code"], looks) == (502, "upstream_failed", [404, 404])
    assert "tollway_stored_contested_ids_total" in metrics


@pytest.mark.parametrize("path", ["", "/input_items", "/cancel"])
async def test_a_vendor_that_does_not_answer_in_time_is_told(
    upstream: ScriptedUpstream, vault: Vault, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.stored.vendor.TIMEOUT", httpx.Timeout(0.05))
    async with gateway(routing(upstream.url)) as served, served.client() as client:
        id_ = (await create(client)).json()["id"]
        upstream.script.append(silence)
        method = "POST" if path == "/cancel" else "GET"
        got = await client.request(method, f"/v1/responses/{id_}{path}")
    assert (got.status_code, got.json()["error"]["code"]) == (504, "timeout")
