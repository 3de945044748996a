"""A gateway whose disk is full sheds or stops, as it was told to; what was under way is on the books either way.

The disk is a small tmpfs of the test's own. Where none can be mounted, every file of the process is bounded instead
(RLIMIT_FSIZE), which fails its writes just so.
"""

import asyncio
import contextlib
import os
import resource
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from gateway.journal.journal import Journal
from tests.gateway.fakes import ROLE, ScriptedUpstream, answer, chat, events, stream
from tests.gateway.journal.reading import operations, outcomes, ship
from tests.gateway.process.test_server import WORD, listens, running
from tests.gateway.serving import ACME, post, until
from tests.ports import free_port

pytestmark = pytest.mark.slow

BODY = b'{"model":"fast","messages":[],"stream":true}'
UNBOUNDED = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


@dataclass
class Disk:
    """A disk that somebody else fills."""

    folder: Path
    mounted: bool

    def fill(self, pid: int) -> None:
        """Take all of it."""
        if not self.mounted:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
            return
        fd = os.open(self.folder / "filler", os.O_WRONLY | os.O_CREAT)
        try:
            while os.write(fd, bytes(4096)):
                pass
        except OSError:
            pass
        finally:
            os.close(fd)

    def make_room(self, pid: int) -> None:
        """Give it back."""
        (self.folder / "filler").unlink(missing_ok=True)
        if not self.mounted:
            with contextlib.suppress(ProcessLookupError):
                resource.prlimit(pid, resource.RLIMIT_FSIZE, UNBOUNDED)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(folder)]
    mounted = subprocess.run(mount, check=False, capture_output=True).returncode == 0
    yield Disk(folder, mounted)
    if mounted:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@asynccontextmanager
async def streaming(disk: Disk, upstream: ScriptedUpstream, policy: str) -> AsyncIterator["Scene"]:
    """A gateway on that disk with a stream under way, and the disk then full."""
    port, go_on = free_port(), asyncio.Event()
    upstream.script.append(stream(ROLE, WORD, go_on, *events("more")[1:]))
    upstream.always = answer(chat())
    async with running(disk.folder, upstream.url, port, journal_on_full=policy, journal_max_bytes=2**20) as process:
        await until(lambda: listens(port), 30)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(post(BODY))
        await reader.readuntil(WORD)
        disk.fill(process.pid)
        headers = {"authorization": f"Bearer {ACME}"}
        base_url = f"http://127.0.0.1:{port}"
        async with httpx.AsyncClient(base_url=base_url, headers=headers, trust_env=False, timeout=20) as client:
            yield Scene(process, client, reader, go_on)
        writer.close()


@dataclass
class Scene:
    """The gateway and who calls it."""

    process: asyncio.subprocess.Process
    client: httpx.AsyncClient
    reader: asyncio.StreamReader
    go_on: asyncio.Event
    answered: int = 0
    """Calls that were made, but for the stream."""

    async def ask(self) -> httpx.Response:
        got = await self.client.post("/v1/chat/completions", json={"model": "fast", "messages": []})
        self.answered += got.status_code == 200
        return got

    async def refused(self) -> httpx.Response:
        """The first answer that is not given: a few may still find room within a page of the disk."""
        async with asyncio.timeout(10):
            while (got := await self.ask()).status_code == 200:
                pass
        return got

    async def finish_the_stream(self) -> bytes:
        self.go_on.set()
        return await asyncio.wait_for(self.reader.readuntil(b"[DONE]"), 10)


def on_record(disk: Disk) -> tuple[list[str], int]:
    """How the attempts of the dead gateway's journal ended, and how many requests it has."""
    books = Journal(disk.folder / "gateway" / "journal", "w0", keep=False)
    spans = ship(books.outbox)
    books.close()
    return sorted(outcomes(spans).values()), sum(outcome == "ok" for outcome in operations(spans).values())


async def test_it_sheds_until_there_is_room_and_loses_no_attempt(disk: Disk, upstream: ScriptedUpstream) -> None:
    async with streaming(disk, upstream, "shed") as scene:
        got = await scene.refused()
        assert (got.status_code, got.json()["error"]["code"]) == (503, "journal_unavailable")
        assert int(got.headers["retry-after"]) > 0
        called = len(upstream.received)
        assert called == scene.answered + 1, "nothing is sent that is not recorded"
        assert b"[DONE]" in await scene.finish_the_stream()
        assert listens(scene.client.base_url.port or 0)
        disk.make_room(scene.process.pid)
        async with asyncio.timeout(10):
            while (await scene.ask()).status_code != 200:
                pass
        scene.process.terminate()
        assert await asyncio.wait_for(scene.process.wait(), 20) == 0
    made = scene.answered + 1
    assert on_record(disk) == (["ok"] * made, made)


async def test_it_stops_behind_a_drain_and_loses_no_attempt(disk: Disk, upstream: ScriptedUpstream) -> None:
    async with streaming(disk, upstream, "stop") as scene:
        got = await scene.refused()
        assert got.status_code == 503
        await until(lambda: not listens(scene.client.base_url.port or 0), 10)
        assert b"[DONE]" in await scene.finish_the_stream()
        _, said = await asyncio.wait_for(scene.process.communicate(), 20)
        assert scene.process.returncode == 1
        (line,) = [line for line in said.decode().splitlines() if line.startswith("gateway: stopped")]
        assert "gateway.journal_on_full is stop" in line
        disk.make_room(scene.process.pid)
    made = scene.answered + 1
    ended, requests = on_record(disk)
    # No reserve helps where each file is bounded: how the attempt ended is not known then, but that it was made is.
    assert (ended, requests) == ((["ok"] * made, made) if disk.mounted else (["lost"] * made, 0))
    port = free_port()
    async with running(disk.folder, upstream.url, port, journal_on_full="stop") as again:
        await until(lambda: listens(port), 30)
        assert again.returncode is None
