"""Whatever is sent, the gateway calls it the caller's fault or says nothing; it shows nothing of its inside and does
not grow."""

import asyncio
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from gateway.api import admin
from gateway.wire.kinds import Kind
from tests.gateway.fakes import Line, Received, ScriptedUpstream, answer, chat, error, events, stream
from tests.gateway.process.bad_requests import (
    OPERATOR,
    TAKES_NOTHING,
    Owned,
    damaged,
    document,
    from_the_document,
    good_requests,
)
from tests.gateway.process.test_server import listens, running
from tests.gateway.serving import ACME, NO_TLS, until
from tests.gateway.stored.test_files import line as batch_line
from tests.gateway.stored.test_files import upload
from tests.gateway.stored.vault import Vault
from tests.ports import free_port

pytestmark = pytest.mark.slow

DRAWN, DAMAGED = 1_000, 9_000
SENDERS = 32
PATIENCE_S = 0.5
"""A damaged request may lack its end; the gateway waits for it, the test does not."""
ASKED = {kind.route for kind in Kind}
WARM, GROWN = 20_000, 50_000
SLOPE_BYTES = 1_048_576
"""How much 100,000 bad requests may add."""


class Vendor:
    """An upstream that answers whatever gets through to it; it keeps files, batches and responses."""

    def __init__(self) -> None:
        self.vault = Vault()
        self.reached: set[str] = set()
        """Methods and kinds of paths."""

    async def __call__(self, line: Line, request: Received) -> None:
        kind = urlsplit(request.path).path.split("/")[2]
        self.reached.add(f"{request.method} {kind}")
        if b'"stream": true' in request.body:
            reply = stream(*events("Hello"))
        elif kind in {"files", "batches", "responses"}:
            reply = self.vault
        else:
            reply = answer(chat())
        try:
            await reply(line, request)
        except (KeyError, ValueError):
            await error(400)(line, request)


async def owned(port: int) -> Owned:
    """What the caller of the seeds has made before they are sent."""
    headers = {"authorization": f"Bearer {ACME}"}
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{port}", headers=headers, trust_env=False, verify=NO_TLS
    ) as client:
        files = [(await upload(client, batch_line(), "batch")).json()["id"] for _ in range(2)]
        asked = {"input_file_id": files[0], "endpoint": "/v1/chat/completions", "completion_window": "24h"}
        batch = (await client.post("/v1/batches", json=asked)).json()["id"]
        stored = [(await client.post("/v1/responses", json={"model": "fast", "input": "Hi"})).json() for _ in range(2)]
    return Owned(files[0], batch, stored[0]["id"], files[1], stored[1]["id"])


async def send(port: int, request: bytes, patience_s: float) -> bytes:
    """All that comes back, until the gateway has answered or is waiting for more."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        got = b""
        while b"\r\n\r\n" not in got:
            piece = await asyncio.wait_for(reader.read(65_536), patience_s)
            if not piece:
                break
            got += piece
        return got
    except (TimeoutError, ConnectionError):
        return b""
    finally:
        writer.transport.abort()


async def send_all(
    port: int, all_requests: Iterable[bytes], patience_s: float = PATIENCE_S
) -> list[tuple[bytes, bytes]]:
    """Each request with what came back."""
    waiting = iter(all_requests)
    answers: list[tuple[bytes, bytes]] = []

    async def sender() -> None:
        for request in waiting:
            answers.append((request, await send(port, request, patience_s)))

    async with asyncio.TaskGroup() as senders:
        for _ in range(SENDERS):
            senders.create_task(sender())
    return answers


def status(got: bytes) -> int:
    return int(got[9:12]) if got.startswith(b"HTTP/1.1 ") else 0


def documented() -> set[str]:
    """Every operation of the gateway's own document."""
    return {f"{method.upper()} {path}" for path, operations in document()["paths"].items() for method in operations}


def test_each_route_is_among_the_seeds() -> None:
    operators = {f"{method} /admin/{name}" for name, method in admin.ROUTES.items()}
    assert good_requests().keys() == documented() | operators


async def test_ten_thousand_bad_requests_are_nobodys_fault_but_the_callers(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    upstream.always = vendor = Vendor()
    drawn = await asyncio.to_thread(from_the_document, DRAWN)
    port = free_port()
    async with running(tmp_path, upstream.url, port, admin_key=OPERATOR) as process:
        await until(lambda: listens(port), 30)
        good = good_requests(await owned(port))
        seeds = [request for of_route in good.values() for request in of_route]
        answers = await send_all(port, [request for _, request in drawn])
        answers += await send_all(port, damaged(DAMAGED, seeds))
        again = await send_all(port, seeds, patience_s=20)
        process.terminate()
        _, told = await process.communicate()
    assert len(answers) == DRAWN + DAMAGED
    assert {operation for operation, _ in drawn} == documented() - TAKES_NOTHING
    assert vendor.reached >= {"POST files", "GET files", "DELETE files", "POST batches", "GET responses"}
    assert [(request, got) for request, got in answers if status(got) >= 500] == []
    assert sum(400 <= status(got) < 500 for _, got in answers) > 0.5 * len(answers)
    assert b"Traceback" not in told
    assert not any(b"Traceback" in got for _, got in answers)
    assert {status(got) for request, got in again if not request.startswith(b"DELETE")} == {200}


async def test_a_hundred_thousand_bad_requests_leave_no_memory_behind(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    upstream.always = Vendor()
    port = free_port()
    # Those that are answered and keep their connection: what a client with a bug sends all day.
    bodies = [
        good for route, seeds in good_requests().items() for good in seeds if route.removeprefix("POST ") in ASKED
    ]
    refused = [good.replace(b'"fast"', b'"slow"').replace(b'"messages"', b'"massages"') for good in bodies]
    refused += [
        good for route, (good,) in ((r, s) for r, s in good_requests().items() if len(s) == 1) if "{id}" in route
    ]
    refused += [good.replace(OPERATOR.encode(), b"x" * 20) for good in good_requests()["GET /admin/state"]]
    async with running(tmp_path, upstream.url, port, admin_key=OPERATOR) as process:
        await until(lambda: listens(port), 30)
        await pour(port, refused, WARM)
        before = resident_bytes(process.pid)
        await pour(port, refused, GROWN)
        grown = resident_bytes(process.pid) - before
    assert grown * 100_000 / GROWN < SLOPE_BYTES


async def pour(port: int, over_and_over: list[bytes], count: int) -> None:
    """Send that many requests in turn over a few kept connections, ten ahead of their answers."""

    async def one(share: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            for start in range(0, share, 10):
                writer.write(b"".join(over_and_over[(start + i) % len(over_and_over)] for i in range(10)))
                for _ in range(10):
                    head = await reader.readuntil(b"\r\n\r\n")
                    assert 400 <= status(head) < 500, head
                    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                    await reader.readexactly(length)
        finally:
            writer.transport.abort()

    async with asyncio.TaskGroup() as senders:
        for _ in range(4):
            senders.create_task(one(count // 4))


def resident_bytes(pid: int) -> int:
    """The process's resident memory."""
    pages = int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1])
    return pages * 4096
