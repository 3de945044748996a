"""Whatever is sent, the gateway calls it the caller's fault or says nothing; it shows nothing of its inside and does
not grow."""

import asyncio
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.gateway.fakes import Line, Received, ScriptedUpstream, answer, chat, events, stream
from tests.gateway.process.bad_requests import damaged, from_the_document, good_requests
from tests.gateway.process.test_server import free_port, listens, running
from tests.gateway.serving import until

pytestmark = pytest.mark.slow

DRAWN, DAMAGED = 2_000, 8_000
SENDERS = 16
PATIENCE_S = 0.5
"""A damaged request may lack its end; the gateway waits for it, the test does not."""
WARM, GROWN = 20_000, 100_000
SLOPE_BYTES = 1_048_576
"""How much 100,000 bad requests may add."""


async def serve_anything(line: Line, request: Received) -> None:
    """An upstream that answers whatever gets through to it."""
    reply = stream(*events("Hello")) if b'"stream": true' in request.body else answer(chat())
    await reply(line, request)


async def send(port: int, request: bytes) -> bytes:
    """All that comes back, until the gateway has answered or is waiting for more."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        got = b""
        while b"\r\n\r\n" not in got:
            piece = await asyncio.wait_for(reader.read(65_536), PATIENCE_S)
            if not piece:
                break
            got += piece
        return got
    except (TimeoutError, ConnectionError):
        return b""
    finally:
        writer.transport.abort()


async def send_all(port: int, all_requests: Iterable[bytes]) -> list[tuple[bytes, bytes]]:
    """Each request with what came back."""
    waiting = iter(all_requests)
    answers: list[tuple[bytes, bytes]] = []

    async def sender() -> None:
        for request in waiting:
            answers.append((request, await send(port, request)))

    async with asyncio.TaskGroup() as senders:
        for _ in range(SENDERS):
            senders.create_task(sender())
    return answers


def status(got: bytes) -> int:
    return int(got[9:12]) if got.startswith(b"HTTP/1.1 ") else 0


async def test_ten_thousand_bad_requests_are_nobodys_fault_but_the_callers(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    upstream.always = serve_anything
    port = free_port()
    drawn = await asyncio.to_thread(from_the_document, DRAWN)
    async with running(tmp_path, upstream.url, port) as process:
        await until(lambda: listens(port), 30)
        answers = await send_all(port, [*drawn, *damaged(DAMAGED)])
        still = [status(got) for _, got in await send_all(port, good_requests()[:1])]
        process.terminate()
        _, told = await process.communicate()
    assert len(answers) == DRAWN + DAMAGED
    assert [(request, got) for request, got in answers if status(got) >= 500] == []
    assert sum(400 <= status(got) < 500 for _, got in answers) > 0.6 * len(answers)
    assert b"Traceback" not in told
    assert not any(b"Traceback" in got for _, got in answers)
    assert still == [200]


async def test_a_hundred_thousand_bad_requests_leave_no_memory_behind(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    upstream.always = serve_anything
    port = free_port()
    # Those that are answered and keep their connection: what a client with a bug sends all day.
    refused = [good.replace(b'"fast"', b'"slow"').replace(b'"messages"', b'"massages"') for good in good_requests()[:6]]
    async with running(tmp_path, upstream.url, port) as process:
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
