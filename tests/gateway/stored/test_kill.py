"""A gateway that is killed between the vendor's answer and its own leaves nothing that another tenant could claim."""

import contextlib
from pathlib import Path

import httpx
import pytest

from tests.gateway.fakes import Line, Received, ScriptedUpstream
from tests.gateway.process.test_server import listens, running
from tests.gateway.serving import ACME, GLOBEX, NO_TLS, until
from tests.gateway.stored.test_files import upload
from tests.gateway.stored.test_responses import create
from tests.gateway.stored.vault import Vault
from tests.ports import free_port

pytestmark = pytest.mark.slow


def client(port: int, key: str) -> httpx.AsyncClient:
    headers = {"authorization": f"Bearer {key}"}
    return httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, trust_env=False, verify=NO_TLS)


async def test_what_was_made_when_the_gateway_died_is_its_makers_or_nobodys(
    tmp_path: Path, upstream: ScriptedUpstream, vault: Vault
) -> None:
    for _ in range(2):
        port = free_port()
        async with running(tmp_path, upstream.url, port) as process:
            await until(lambda port=port: listens(port), 30)

            async def killed(line: Line, request: Received, process: object = process) -> None:
                await vault(line, request)
                process.kill()  # type: ignore[attr-defined]

            upstream.always = killed
            async with client(port, ACME) as acme:
                with contextlib.suppress(httpx.TransportError):
                    await (upload(acme) if not vault.files else create(acme))
            await process.wait()
    upstream.always = vault
    port = free_port()
    assert (len(vault.files), len(vault.responses)) == (1, 1)
    async with running(tmp_path, upstream.url, port):
        await until(lambda: listens(port), 30)
        async with client(port, GLOBEX) as globex, client(port, ACME) as acme:
            for path in (f"/v1/files/{next(iter(vault.files))}", f"/v1/responses/{next(iter(vault.responses))}"):
                assert (await globex.get(path)).status_code == 404
                assert (await acme.get(path)).status_code in (200, 404)
            assert (await globex.get("/v1/files")).json()["data"] == []


async def test_what_was_answered_is_owned_after_a_kill(
    tmp_path: Path, upstream: ScriptedUpstream, vault: Vault
) -> None:
    made = []
    port = free_port()
    async with running(tmp_path, upstream.url, port) as process:
        await until(lambda: listens(port), 30)
        async with client(port, ACME) as acme:
            made = [
                f"/v1/files/{(await upload(acme)).json()['id']}",
                f"/v1/responses/{(await create(acme)).json()['id']}",
            ]
        process.kill()
        await process.wait()
    port = free_port()
    async with running(tmp_path, upstream.url, port):
        await until(lambda: listens(port), 30)
        async with client(port, GLOBEX) as globex, client(port, ACME) as acme:
            assert [(await acme.get(path)).status_code for path in made] == [200, 200]
            assert [(await globex.get(path)).status_code for path in made] == [404, 404]
