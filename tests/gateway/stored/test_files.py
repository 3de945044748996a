"""Files: uploaded by a tenant, seen by it alone."""

import asyncio
import json
from typing import Any

import httpx
import pytest

from gateway.control.database import Database
from tests.gateway.fakes import ScriptedUpstream, answer, silence
from tests.gateway.serving import ACME, GLOBEX, Gateway, gateway, routing, until
from tests.gateway.stored.vault import Vault


def line(number: int = 1, *, model: str = "fast", **body: Any) -> bytes:
    fields = {"custom_id": f"r-{number}", "method": "POST", "url": "/v1/chat/completions"}
    return json.dumps({**fields, "body": {"model": model, "messages": [], **body}}).encode() + b"\n"


async def upload(
    client: httpx.AsyncClient, content: bytes = b"some text", purpose: str = "user_data", **headers: str
) -> httpx.Response:
    files = {"file": ("notes.txt", content, "text/plain")}
    return await client.post("/v1/files", data={"purpose": purpose}, files=files, headers=headers)


async def test_a_file_passes_byte_for_byte_with_our_key_and_none_of_the_callers(
    upstream: ScriptedUpstream, vault: Vault
) -> None:
    content = bytes(range(256)) * 4096
    async with gateway(routing(upstream.url)) as served, served.client() as client:
        got = await upload(client, content)
    assert (got.status_code, got.json()["id"]) == (200, "file-1")
    assert vault.uploads[0]["file"] == content
    assert (vault.uploads[0]["purpose"], vault.uploads[0]["filename"]) == (b"user_data", b"notes.txt")
    assert upstream.received[0].headers["authorization"] == "Bearer sk-vendor-secret"
    assert ACME not in str(upstream.received[0].headers)


async def test_a_file_that_comes_before_its_purpose_arrives_all_the_same(
    upstream: ScriptedUpstream, vault: Vault
) -> None:
    body = (
        b'--b\r\ncontent-disposition: form-data; name="file"; filename="a.jsonl"\r\n\r\n' + line() + line(2)
        + b'\r\n--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n--b--\r\n'
    )  # fmt: skip
    async with gateway(routing(upstream.url)) as served, served.client() as client:
        headers = {"content-type": "multipart/form-data; boundary=b"}
        got = await client.post("/v1/files", content=body, headers=headers)
    assert got.status_code == 200
    models = [json.loads(text)["body"]["model"] for text in vault.uploads[0]["file"].splitlines()]
    assert models == ["m0", "m0"]


async def test_a_batchs_lines_name_the_upstreams_model_and_show_it_no_users(
    upstream: ScriptedUpstream, vault: Vault
) -> None:
    content = line(1, user="alice", x_unknown={"a": 1.5}) + b"\n" + line(2).rstrip(b"\n")
    async with gateway(routing(upstream.url)) as served, served.client() as client:
        got = await upload(client, content, "batch")
    assert got.status_code == 200, got.text
    first, second = (json.loads(text) for text in vault.uploads[0]["file"].splitlines())
    assert (first["custom_id"], first["body"]["model"], first["body"]["x_unknown"]) == ("r-1", "m0", {"a": 1.5})
    assert first["body"]["user"] not in ("", "alice")
    assert second["body"] == {"model": "m0", "messages": []}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (line() + b"{oops\n", "Line 2 is not valid JSON"),
        (line() + line(2, model="bulk"), "Line 2 names the model 'bulk', and the first one 'fast'"),
        (line(1, model="fats"), "Line 1: The model 'fats' does not exist. Did you mean 'fast'?"),
        (b'{"custom_id": "a", "url": "/v1/secrets", "body": {"model": "fast"}}', "Line 1 has no `url`"),
        (b'{"custom_id": "a", "url": "/v1/chat/completions", "body": []}', "Line 1 has no `body`"),
        (b'{"url": "/v1/chat/completions", "body": {"model": "fast"}}', "Line 1 has no `custom_id`"),
        (b"\n \n", "The file has no lines"),
        (line(1, messages=[{"content": [{"file": {"file_id": "file-9"}}]}]), "Line 1: No such file: 'file-9'"),
        (line(1, container="c\u00e4"), "Line 1: No such container"),
    ],
)
async def test_a_fault_in_a_batchs_file_names_its_line_and_leaves_nothing_at_the_vendor(
    upstream: ScriptedUpstream, vault: Vault, content: bytes, words: str
) -> None:
    async with gateway(routing(upstream.url)) as served, served.client() as client:
        got = await upload(client, content, "batch")
        assert (got.status_code in (400, 404), words in got.json()["error"]["message"]) == (True, True), got.text
        assert vault.files == {}
        assert (await client.get("/v1/files")).json()["data"] == []


def two_places(first: str, second: str, **changes: Any) -> Any:
    slow = {"slow": {"tier": "interactive", "targets": [{"upstream": "u1", "model": "m1"}]}}
    return routing(first, second, aliases={"fast": {"fallback": []}, **slow}, **changes)


async def test_where_a_file_could_go_to_two_places_the_header_says_which(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream, vault: Vault
) -> None:
    other = Vault(100)
    alternate.always = other
    async with gateway(two_places(upstream.url, alternate.url)) as served, served.client() as client:
        unsaid = await upload(client)
        said = await upload(client, **{"x-tollway-alias": "slow"})
        wrong = await upload(client, **{"x-tollway-alias": "none"})
        by_line = await upload(client, line(), "batch")
        content = await client.get(f"/v1/files/{said.json()['id']}/content")
    assert (unsaid.status_code, unsaid.json()["error"]["param"]) == (400, "x-tollway-alias")
    assert "x-tollway-alias" in unsaid.json()["error"]["message"]
    assert (said.status_code, list(other.files)) == (200, ["file-101"])
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (404, "model_not_found")
    assert (by_line.status_code, list(vault.files)) == (200, ["file-1"])
    assert content.content == b"some text"


async def test_no_file_goes_where_the_tier_may_not(upstream: ScriptedUpstream, alternate: ScriptedUpstream) -> None:
    config = two_places(
        upstream.url, alternate.url,
        upstreams={"u0": {"region": "us"}, "u1": {"region": "eu"}}, tiers={"interactive": {"residency": ["eu"]},
        "batch": {"residency": ["eu"]}},
    )  # fmt: skip
    kept = Vault()
    alternate.always = kept
    async with gateway(config) as served, served.client() as client:
        assert (await upload(client)).status_code == 200
        barred = await upload(client, **{"x-tollway-alias": "fast"})
    assert (barred.status_code, len(kept.files), upstream.received) == (400, 1, [])


async def test_a_list_shows_the_tenants_own_and_pages_through_them(upstream: ScriptedUpstream, vault: Vault) -> None:
    async with gateway(routing(upstream.url)) as served, served.client() as acme, served.client(GLOBEX) as globex:
        for number in range(5):
            await upload(acme, purpose="user_data" if number % 2 else "vision")
            await upload(globex)
        whole = (await acme.get("/v1/files")).json()
        ids = [file["id"] for file in whole["data"]]
        first = (await acme.get("/v1/files", params={"limit": 2})).json()
        second = (await acme.get("/v1/files", params={"limit": 2, "after": first["last_id"]})).json()
        third = (await acme.get("/v1/files", params={"limit": 2, "after": second["last_id"]})).json()
        upwards = (await acme.get("/v1/files", params={"order": "asc", "after": ids[-1]})).json()
        vision = (await acme.get("/v1/files", params={"purpose": "vision"})).json()
        foreign = await acme.get("/v1/files", params={"after": "file-2"})
        bad = [await acme.get("/v1/files", params={"limit": text}) for text in ("0", "10001", "x", "0000000019999")]
    assert ids == ["file-9", "file-7", "file-5", "file-3", "file-1"]
    assert [file["id"] for page in (first, second, third) for file in page["data"]] == ids
    assert [page["has_more"] for page in (first, second, third)] == [True, True, False]
    assert [file["id"] for file in upwards["data"]] == ["file-3", "file-5", "file-7", "file-9"]
    assert [file["id"] for file in vision["data"]] == ["file-9", "file-5", "file-1"]
    assert (foreign.status_code, foreign.json()["error"]["param"]) == (404, "after")
    assert [(one.status_code, one.json()["error"]["param"]) for one in bad] == [(400, "limit")] * 4


async def test_what_is_deleted_is_forgotten(upstream: ScriptedUpstream, vault: Vault) -> None:
    async with gateway(routing(upstream.url)) as served, served.client() as client:
        id_ = (await upload(client)).json()["id"]
        assert (await client.get(f"/v1/files/{id_}")).json()["filename"] == "notes.txt"
        gone = await client.delete(f"/v1/files/{id_}")
        again = await client.get(f"/v1/files/{id_}")
        assert (gone.json()["deleted"], again.status_code) == (True, 404)
        assert (await client.get("/v1/files")).json()["data"] == []


async def test_a_file_longer_than_allowed_is_refused_while_it_comes(upstream: ScriptedUpstream, vault: Vault) -> None:
    async with gateway(routing(upstream.url, gateway={"max_file_bytes": 2048})) as served, served.client() as client:
        late = await upload(client, b"x" * 4096)
        early = await upload(client, b"x" * 4_000_000)
        fits = await upload(client, b"x" * 2048)
    assert [got.status_code for got in (late, early, fits)] == [413, 413, 200]
    assert len(vault.files) == 1


def part(name: str, value: str, filename: str = "") -> str:
    named = f'; filename="{filename}"' if filename else ""
    return f'--b\r\nContent-Disposition: form-data; name="{name}"{named}\r\n\r\n{value}\r\n'


PURPOSE, FILE, END = part("purpose", "vision"), part("file", "x", "a"), "--b--\r\n"
NO_FORMS = {
    "no form": ("{}", "application/json"),
    "no boundary": (PURPOSE + FILE + END, "multipart/form-data"),
    "no such boundary": ("no boundary at all", "multipart/form-data; boundary=b"),
    "no file": (PURPOSE + END, "multipart/form-data; boundary=b"),
    "no purpose": (FILE + END, "multipart/form-data; boundary=b"),
    "a second purpose, behind the file": (PURPOSE + FILE + PURPOSE + END, "multipart/form-data; boundary=b"),
    "a second purpose, before it": (PURPOSE + PURPOSE + FILE + END, "multipart/form-data; boundary=b"),
    "a second file": (PURPOSE + FILE + FILE + END, "multipart/form-data; boundary=b"),
    "a file of another name": (PURPOSE + part("data", "x", "a") + END, "multipart/form-data; boundary=b"),
    "an end too early": (PURPOSE + FILE[:-1], "multipart/form-data; boundary=b"),
    "too many parts": (part("x", "1") * 40 + PURPOSE + FILE + END, "multipart/form-data; boundary=b"),
}


@pytest.mark.parametrize("fault", NO_FORMS)
async def test_what_is_no_whole_form_is_refused(upstream: ScriptedUpstream, vault: Vault, fault: str) -> None:
    body, content_type = NO_FORMS[fault]
    async with gateway(routing(upstream.url)) as served, served.client() as client:
        got = await client.post("/v1/files", content=body.encode(), headers={"content-type": content_type})
    assert (got.status_code, got.json()["error"]["code"]) == (400, "invalid_request")
    assert vault.files == {}


def begun(length: int = 9_999) -> bytes:
    """An upload that has begun and does not go on."""
    head = (
        f"POST /v1/files HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {ACME}\r\ncontent-length: {length}\r\n"
        "content-type: multipart/form-data; boundary=b\r\n\r\n"
    )
    part = '--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nvision\r\n--b\r\n'
    return (head + part + 'Content-Disposition: form-data; name="file"; filename="a"\r\n\r\nsome').encode()


async def test_an_uploader_that_hangs_up_leaves_nothing_open(upstream: ScriptedUpstream, vault: Vault) -> None:
    async with gateway(routing(upstream.url)) as served:
        _, writer = await served.raw(begun())
        await until(lambda: upstream.lines)
        writer.close()
        await until(lambda: not upstream.lines)
        await until(lambda: served.books.operations)
    assert (served.books.operations[0].outcome, served.books.operations[0].http_status) == ("cancelled", 0)
    assert vault.files == {}


async def test_an_uploader_that_stalls_is_given_up_with_the_vendors_call(
    upstream: ScriptedUpstream, vault: Vault
) -> None:
    async with gateway(routing(upstream.url)) as served:
        await served.raw(begun())
        await until(lambda: upstream.lines)
        for connection in tuple(served.state.connections):
            connection.expire(connection.reading_since + 61)  # type: ignore[attr-defined]
        await until(lambda: not upstream.lines)


async def test_an_upload_may_take_long_so_long_as_it_goes_on(upstream: ScriptedUpstream, vault: Vault) -> None:
    async with gateway(routing(upstream.url)) as served:
        _, writer = await served.raw(begun())
        await until(lambda: upstream.lines)
        (connection,) = served.state.connections
        connection.reading_since = 1.0  # type: ignore[union-attr]
        writer.write(b"more")
        await until(lambda: connection.reading_since > 1.0)  # type: ignore[union-attr]


async def test_a_client_that_hangs_up_ends_the_vendors_call(upstream: ScriptedUpstream, vault: Vault) -> None:
    async with gateway(routing(upstream.url)) as served, served.client() as client:
        id_ = (await upload(client)).json()["id"]
        upstream.script.append(silence)
        head = f"GET /v1/files/{id_} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {ACME}\r\n\r\n"
        _, writer = await served.raw(head.encode())
        await until(lambda: len(upstream.received) == 2)
        writer.close()
        await asyncio.wait_for(upstream.received[1].gone.wait(), 5)
        await until(lambda: len(served.books.operations) == 2)
    assert served.books.operations[1].outcome == "cancelled"


@pytest.mark.parametrize(
    "garbage", [b"<html>", b"[]", b'"file-1"', b"{}", b'{"id": 7}', b'{"id": "' + b"x" * 300 + b'"}']
)
async def test_a_vendor_that_answers_garbage_is_a_clear_502(upstream: ScriptedUpstream, garbage: bytes) -> None:
    upstream.always = answer(garbage)
    async with gateway(routing(upstream.url)) as served, served.client() as client:
        got = await upload(client)
        assert (await client.get("/v1/files")).json()["data"] == []
    assert (got.status_code, got.json()["error"]["code"]) == (502, "upstream_failed")
    assert "u0" not in got.text


async def test_what_the_vendor_says_of_our_key_is_not_the_callers_to_read(upstream: ScriptedUpstream) -> None:
    said = {"error": {"message": "Incorrect API key sk-vendor-secret", "code": "invalid_api_key", "type": "x"}}
    upstream.always = answer(said, 401)
    async with gateway(routing(upstream.url)) as served, served.client() as client:
        got = await upload(client)
    assert (got.status_code, "sk-vendor" in got.text) == (502, False)


async def test_a_vendors_own_error_arrives_as_it_came(upstream: ScriptedUpstream) -> None:
    said = {"error": {"message": "Too big", "type": "invalid_request_error", "param": "file", "code": "file_too_big"}}
    upstream.always = answer(said, 400, retry_after="7")
    async with gateway(routing(upstream.url)) as served, served.client() as client:
        got = await upload(client)
    assert (got.status_code, got.json(), got.headers["retry-after"]) == (400, said, "7")


async def test_each_request_is_one_operation_and_nothing_billable(upstream: ScriptedUpstream, vault: Vault) -> None:
    async with gateway(routing(upstream.url)) as served, served.client() as client:
        id_ = (await upload(client, x_request_id="mine", **{"x-tollway-alias": "fast"})).json()["id"]
        await client.get(f"/v1/files/{id_}/content")
        metrics = (await client.get("/metrics")).text
    assert [(o.route, o.operation, o.outcome, o.alias) for o in served.books.operations] == [
        ("/v1/files", "files", "ok", "fast"), ("/v1/files/{id}/content", "files", "ok", "fast"),
    ]  # fmt: skip
    assert served.books.intents == served.books.attempts == []
    assert 'tollway_stored_requests_total{method="POST",outcome="ok",route="/v1/files"} 1.0' in metrics


async def test_nobody_learns_an_id_whose_owner_could_not_be_recorded(upstream: ScriptedUpstream, vault: Vault) -> None:
    async with gateway(routing(upstream.url)) as served, served.client() as client:
        broken = break_database(served)
        refused = await upload(client)
        served.plane.owners._database = broken
        assert (await client.get("/v1/files")).json()["data"] == []
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "ownership_unavailable")
    assert ("file-1" in refused.text, vault.files) == (False, {})


def break_database(served: Gateway) -> Database:
    """The database is gone from now on; the one that was."""
    was = served.plane.owners._database
    gone = Database("sqlite:////nonexistent/folder/owners.sqlite3")
    served.plane.owners._database = gone
    return was
