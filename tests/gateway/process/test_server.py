"""The gateway as a process: it serves, drains, stops, and says what is wrong in one line."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from gateway.domain.card_file import Approval, CardFile
from gateway.domain.rate_card import RateCard
from gateway.domain.usage import TokenClass
from tests.gateway.fakes import ROLE, ScriptedUpstream, answer, chat, chunk, event, events, stream
from tests.gateway.serving import ACME, post, settings, until
from tests.ports import free_port

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
BODY = b'{"model":"fast","messages":[],"stream":true}'
WORD = event(chunk("Hi"))
PROGRAM = """
import sys
from pathlib import Path
from gateway.config import RoutingFile, load
from gateway.flow.reload import Reread
from gateway.domain.card_file import newest, newest_name
from gateway.server import run
path, data_dir = Path(sys.argv[1]), Path(sys.argv[2])
read_again = lambda: Reread(load(path, RoutingFile).routing(newest(data_dir / "rates")))
run(
    read_again().config, data_dir=data_dir, otlp_url="http://127.0.0.1:9", otlp_token="t", read_again=read_again,
    watch=lambda: newest_name(data_dir / "rates"),
)
"""


@asynccontextmanager
async def running(
    folder: Path, url: str, port: int, *, tenants: Any = None, tiers: Any = None, **gateway: Any
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A gateway process on that port."""
    path = folder / "tollway.yaml"
    written = settings(
        url, gateway={"listen": f"127.0.0.1:{port}", **gateway}, tenants=tenants or {}, tiers=tiers or {}
    )
    path.write_text(yaml.safe_dump(written), "utf-8")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, str(path), str(folder), cwd=ROOT, stderr=subprocess.PIPE, env=dict(os.environ)
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def listens(port: int) -> bool:
    with socket.socket() as sock:
        # The kernel may give the caller that very port to call from, and a socket that calls itself gets through.
        return sock.connect_ex(("127.0.0.1", port)) == 0 and sock.getsockname() != sock.getpeername()


async def test_streams_finish_after_a_sigterm_and_no_new_one_begins(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    port, go_on = free_port(), asyncio.Event()
    upstream.script.append(stream(ROLE, WORD, go_on, *events("more")[1:]))
    async with running(tmp_path, upstream.url, port) as process:
        await until(lambda: listens(port), 30)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(post(BODY))
        await reader.readuntil(WORD)
        process.send_signal(signal.SIGTERM)
        await until(lambda: not listens(port), 5)
        go_on.set()
        assert b"[DONE]" in await asyncio.wait_for(reader.read(), 5)
        writer.close()
        assert await asyncio.wait_for(process.wait(), 15) == 0


async def test_who_is_gathered_is_answered_after_a_sigterm(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    data = [{"object": "embedding", "index": i, "embedding": [i]} for i in range(2)]
    upstream.always = answer({"object": "list", "data": data, "usage": {"prompt_tokens": 2, "total_tokens": 2}})
    port, tiers = free_port(), {"batch": {"micro_batch_ms": 60_000, "max_queue": 8}}
    headers = {"authorization": f"Bearer {ACME}"}
    client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, trust_env=False, timeout=20)
    async with running(tmp_path, upstream.url, port, tiers=tiers) as process, client:
        await until(lambda: listens(port), 30)
        async with asyncio.TaskGroup() as asking:
            body = {"model": "bulk", "input": "a"}
            tasks = [asking.create_task(client.post("/v1/embeddings", json=body)) for _ in range(2)]
            text = ""
            async with asyncio.timeout(10):
                while 'tollway_gathered{tier="batch"} 2.0' not in text:
                    text = (await client.get("/metrics")).text
            process.send_signal(signal.SIGTERM)
        assert [task.result().json()["data"][0]["index"] for task in tasks] == [0, 0]
        assert len(upstream.received) == 1
        assert await asyncio.wait_for(process.wait(), 15) == 0


async def test_a_second_signal_ends_what_is_left_and_tells_it(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    port = free_port()
    upstream.script.append(stream(ROLE, WORD, end="hang"))
    async with running(tmp_path, upstream.url, port) as process:
        await until(lambda: listens(port), 30)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(post(BODY))
        await reader.readuntil(WORD)
        process.send_signal(signal.SIGTERM)
        await until(lambda: not listens(port), 5)
        process.send_signal(signal.SIGTERM)
        assert b'"shutting_down"' in await asyncio.wait_for(reader.read(), 5)
        writer.close()
        assert await asyncio.wait_for(process.wait(), 15) == 0


async def test_a_port_that_is_taken_is_one_clear_line(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        async with running(tmp_path, upstream.url, port) as process:
            _, said = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 1
    lines = said.decode().strip().splitlines()
    assert len(lines) == 1
    assert f"127.0.0.1:{port}" in lines[0]
    assert "in use" in lines[0]
    assert not (tmp_path / "gateway").exists()


async def test_streams_that_outlast_the_bound_are_ended_and_told(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    port = free_port()
    upstream.script.append(stream(ROLE, WORD, end="hang"))
    async with running(tmp_path, upstream.url, port, drain_s=0.5) as process:
        await until(lambda: listens(port), 30)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(post(BODY))
        await reader.readuntil(WORD)
        process.send_signal(signal.SIGTERM)
        assert b'"shutting_down"' in await asyncio.wait_for(reader.read(), 5)
        writer.close()
        assert await asyncio.wait_for(process.wait(), 15) == 0


async def test_a_sighup_reloads_and_a_broken_file_leaves_the_process_serving(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    port = free_port()
    path = tmp_path / "tollway.yaml"
    async with running(tmp_path, upstream.url, port) as process, httpx.AsyncClient(trust_env=False) as client:
        await until(lambda: listens(port), 30)
        whole = path.read_text("utf-8")

        async def loaded(result: str) -> None:
            sign, text = f'tollway_config_reloads_total{{result="{result}"}} 1.0', ""
            async with asyncio.timeout(10):
                while sign not in text:
                    text = (await client.get(f"http://127.0.0.1:{port}/metrics")).text

        async def asked(model: str) -> int:
            got = await client.post(
                f"http://127.0.0.1:{port}/v1/chat/completions",
                json={"model": model, "messages": []},
                headers={"authorization": f"Bearer {ACME}"},
            )
            return got.status_code

        assert await asked("quick") == 404
        path.write_text(whole.replace("fast:", "quick:"), "utf-8")
        process.send_signal(signal.SIGHUP)
        await loaded("applied")
        assert (await asked("quick"), await asked("fast")) == (200, 404)
        path.write_text("tiers: {", "utf-8")
        process.send_signal(signal.SIGHUP)
        await loaded("rejected")
        assert await asked("quick") == 200


async def test_cards_that_are_approved_are_taken_up_without_being_told(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    port, begun = free_port(), datetime(2026, 1, 1, tzinfo=UTC)
    async with running(tmp_path, upstream.url, port) as process, httpx.AsyncClient(trust_env=False) as client:
        await until(lambda: listens(port), 30)
        headers = {"authorization": f"Bearer {ACME}"}
        prices = {TokenClass.INPUT_UNCACHED: Decimal("0.15"), TokenClass.OUTPUT: Decimal("0.6")}
        provider, model = "openai", "m0"
        made = RateCard(provider, model, "USD", begun, prices)
        CardFile(1, (made,), Approval("ann", begun)).write(tmp_path / "rates")
        text = ""
        async with asyncio.timeout(10):
            while made.card_id not in text:
                text = (await client.get(f"http://127.0.0.1:{port}/v1/models", headers=headers)).text
        assert process.returncode is None


async def test_a_months_spend_survives_a_kill_and_is_at_most_overstated(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    port = free_port()
    usage = {"prompt_tokens": 10, "completion_tokens": 100, "total_tokens": 110}
    upstream.always = answer(chat(usage=usage))
    capped = {"tenants": {"acme": {"budget": {"month_usd": "0.01"}}}}
    body = b'{"model":"fast","messages":[],"max_tokens":500}'
    headers = {"authorization": f"Bearer {ACME}"}

    async def statuses(n: int) -> list[int]:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, trust_env=False) as client:
            return [(await client.post("/v1/chat/completions", content=body)).status_code for _ in range(n)]

    async with running(tmp_path, upstream.url, port, **capped) as process:
        await until(lambda: listens(port), 30)
        assert await statuses(20) == [200] * 20, "$0.0042 of $0.01"
        process.kill()
        await process.wait()
    async with running(tmp_path, upstream.url, port, **capped):
        await until(lambda: listens(port), 30)
        after = await statuses(40)
    spent = Decimal("0.00021") * (20 + after.count(200))
    assert set(after) == {200, 402}
    assert Decimal("0.0077") < spent <= Decimal("0.01"), "one worst case did not fit any more, one was lost to the kill"


async def test_a_sighup_before_it_serves_is_heeded_once_it_does(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    port = free_port()
    journal = tmp_path / "gateway" / "journal"
    async with running(tmp_path, upstream.url, port) as process, httpx.AsyncClient(trust_env=False) as client:
        await until(journal.exists, 30)  # Its start has come so far, and no further for a while.
        process.send_signal(signal.SIGHUP)
        await until(lambda: listens(port), 30)
        sign, text = 'tollway_config_reloads_total{result="unchanged"} 1.0', ""
        async with asyncio.timeout(10):
            while sign not in text:
                text = (await client.get(f"http://127.0.0.1:{port}/metrics")).text
        assert process.returncode is None
