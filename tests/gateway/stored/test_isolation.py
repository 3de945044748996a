"""Two tenants share one account: neither can list, read or name what is the other's, nor learn that it exists."""

import json
from typing import Any

import httpx
import pytest

from tests.gateway.fakes import ScriptedUpstream
from tests.gateway.serving import GLOBEX, Gateway, gateway, routing
from tests.gateway.stored.test_batches import run
from tests.gateway.stored.test_files import line, upload
from tests.gateway.stored.test_naming import PLACES
from tests.gateway.stored.test_responses import create
from tests.gateway.stored.vault import Vault, result_line

ROUTES = [
    ("GET", "/v1/files/{file}"),
    ("DELETE", "/v1/files/{file}"),
    ("GET", "/v1/files/{file}/content"),
    ("GET", "/v1/files/{results}/content"),
    ("GET", "/v1/files?after={file}"),
    ("GET", "/v1/batches/{batch}"),
    ("POST", "/v1/batches/{batch}/cancel"),
    ("GET", "/v1/batches?after={batch}"),
    ("GET", "/v1/responses/{response}"),
    ("GET", "/v1/responses/{response}?stream=true"),
    ("DELETE", "/v1/responses/{response}"),
    ("POST", "/v1/responses/{response}/cancel"),
    ("GET", "/v1/responses/{response}/input_items"),
]
SAID_ANEW = {"x-request-id", "x-tollway-request-id", "date"}


async def acmes(client: httpx.AsyncClient, vault: Vault) -> dict[str, str]:
    """One of each, of that tenant's."""
    batch, file = await run(client)
    results = vault.finish(batch, result_line(1))
    await client.get(f"/v1/batches/{batch}")
    return {"file": file, "batch": batch, "results": results, "response": (await create(client)).json()["id"]}


def shown(got: httpx.Response, *ids: str) -> tuple[int, str, dict[str, str]]:
    """All that a client sees of an answer, but for the id that it gave itself."""
    text = got.text
    for id_ in ids:
        text = text.replace(id_, "ID")
    headers = {name: value for name, value in got.headers.items() if name not in SAID_ANEW}
    return got.status_code, text, headers


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_anothers_id_is_answered_like_one_that_never_was(
    upstream: ScriptedUpstream, vault: Vault, method: str, path: str
) -> None:
    async with gateway(routing(upstream.url)) as served, served.client() as acme, served.client(GLOBEX) as globex:
        owned = await acmes(acme, vault)
        none = {kind: id_[:-1] + "x" for kind, id_ in owned.items()}
        assert (await acme.request(method, path.format(**owned))).status_code == 200
        owned = await acmes(acme, vault)
        vault.seen.clear()
        foreign = await globex.request(method, path.format(**owned))
        absent = await globex.request(method, path.format(**none))
    assert foreign.status_code == 404
    assert shown(foreign, *owned.values()) == shown(absent, *none.values())
    assert vault.seen == []


async def both(served: Gateway, post: Any, foreign: str) -> tuple[Any, Any]:
    none = foreign[:-1] + "x"
    return shown(await post(foreign), foreign), shown(await post(none), none)


@pytest.mark.parametrize("place", PLACES)
async def test_anothers_id_in_a_body_is_answered_like_one_that_never_was(
    upstream: ScriptedUpstream, vault: Vault, place: str
) -> None:
    body, (kind, name) = PLACES[place]
    async with gateway(routing(upstream.url)) as served, served.client() as acme, served.client(GLOBEX) as globex:
        owned = await acmes(acme, vault)
        foreign = owned.get(kind, "msg_1" if kind == "item" else name)
        route = "/v1/chat/completions" if "messages" in body else "/v1/responses"
        vault.seen.clear()

        async def post(id_: str) -> httpx.Response:
            text = json.dumps({"model": "fast", "input": "Hi", **body}).replace(json.dumps(name), json.dumps(id_))
            return await globex.post(route, content=text)

        of_acme, of_nobody = await both(served, post, foreign)
    assert of_acme[0] == 404
    assert of_acme == of_nobody
    assert vault.seen == []


async def test_anothers_file_is_no_batchs_input_and_stands_in_no_line(upstream: ScriptedUpstream, vault: Vault) -> None:
    async with gateway(routing(upstream.url)) as served, served.client() as acme, served.client(GLOBEX) as globex:
        owned = await acmes(acme, vault)

        async def batch(id_: str) -> httpx.Response:
            return await globex.post("/v1/batches", json={"input_file_id": id_, "endpoint": "/v1/chat/completions"})

        async def lines(id_: str) -> httpx.Response:
            parts = [{"role": "user", "content": [{"type": "file", "file": {"file_id": id_}}]}]
            return await upload(globex, line(1, messages=parts), "batch")

        for post in (batch, lines):
            of_acme, of_nobody = await both(served, post, owned["file"])
            assert of_acme[0] == 404
            assert of_acme == of_nobody
        mine = await upload(acme, line(1, container=""), "batch")
    assert mine.status_code == 404  # Nobody owns a container that has no name either.


async def test_a_body_that_two_parsers_read_differently_goes_up_as_it_was_checked(
    upstream: ScriptedUpstream, vault: Vault
) -> None:
    async with gateway(routing(upstream.url)) as served, served.client() as acme, served.client(GLOBEX) as globex:
        theirs = (await create(acme)).json()["id"]
        mine = (await create(globex)).json()["id"]
        body = f'{{"model":"fast","input":"Hi","previous_response_id":"{theirs}","previous_response_id":"{mine}"}}'
        got = await globex.post("/v1/responses", content=body)
    assert got.status_code == 200
    assert theirs.encode() not in upstream.received[-1].body
    assert upstream.received[-1].json["previous_response_id"] == mine


async def test_an_account_of_ones_own_takes_ids_that_the_gateway_never_saw(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream, vault: Vault
) -> None:
    alternate.always = Vault(100)
    config = routing(upstream.url, alternate.url, upstreams={"u1": {"tenant": "acme"}})
    async with gateway(config) as served, served.client() as acme, served.client(GLOBEX) as globex:
        got = await create(acme, tools=[{"type": "file_search", "vector_store_ids": ["vs_from_before"]}])
        barred = await create(globex, tools=[{"type": "file_search", "vector_store_ids": ["vs_from_before"]}])
    assert (got.headers["x-tollway-upstream"], barred.status_code) == ("u1", 404)
    assert upstream.received == []


async def test_without_a_key_nothing_is_told(upstream: ScriptedUpstream, vault: Vault) -> None:
    async with gateway(routing(upstream.url)) as served, served.client("nobodys-key-000000") as client:
        got = [await client.request(method, path.split("?")[0]) for method, path in ROUTES]
    assert {one.status_code for one in got} == {401}
    assert vault.seen == []
