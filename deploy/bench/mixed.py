"""What interactive requests feel of a batch that saturates its tier: their time to the first token and their wait in
the queue, idle and beside the batch, in tiers apart; and the same in one shared pool, to show that the test can fail.

Three processes on loopback. Interactive requests come at a fixed pace whatever became of those before (open loop), and
their time runs from the instant at which they were due. The vendor's first token comes after 50 ms.
"""

import asyncio
import json
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import httpx
import uvloop
from rich.console import Console
from rich.table import Table

from deploy.bench.load import drive
from deploy.bench.processes import Running, running
from gateway.domain import clock

FIRST_TOKEN_MS = 50
BATCH_STREAMS = 64
BATCH_CALLERS = 72
"""More than the tier has slots, so that it is saturated all the time."""
BATCH = f"late {FIRST_TOKEN_MS} ms, 30 chunks, 50 ms apart"
INTERACTIVE = f"late {FIRST_TOKEN_MS} ms, 5 chunks, 20 ms apart"
PER_SECOND = 30
IDLE_S = 4.0
LOADED_S = 5.0
SETTLE_S = 1.5
ANSWERED_WITHIN_S = 10.0

CONFIG = """
gateway: {{listen: "127.0.0.1:{port}"}}
tenants: {{people: {{keys: ["people-key-0123456789"]}}, nightly: {{keys: ["nightly-key-0123456789"]}}}}
tiers:
  interactive: {{max_inflight: 64, max_queue: 256, max_queue_seconds: 60}}
  batch: {{max_inflight: 64, max_queue: 256, max_queue_seconds: 60}}
upstreams: {{vendor: {{base_url: "http://127.0.0.1:{vendor}/v1", api_key: sk-bench, provider: openai, account: bench}}}}
aliases:
  fast: {{tier: interactive, targets: [{{upstream: vendor, model: m}}]}}
  bulk: {{tier: batch, targets: [{{upstream: vendor, model: m}}]}}
"""
RUNS = {"tiers apart": CONFIG, "one shared pool": CONFIG.replace("bulk: {{tier: batch", "bulk: {{tier: interactive")}


@dataclass
class Felt:
    """What the interactive requests of one phase met."""

    first_token_s: list[float] = field(default_factory=list)
    queue_s: list[float] = field(default_factory=list)
    errors: int = 0


class Caller(asyncio.Protocol):
    """One connection, for one request after another; `answered` is done between them."""

    def __init__(self, felt: Felt) -> None:
        self.answered: asyncio.Future[None] | None = None
        self._felt = felt
        self._buffer = b""
        self._seen = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def ask(self, request: bytes, due: float) -> None:
        """Send it now; its time runs from `due`."""
        self.answered = asyncio.get_running_loop().create_future()
        self._seen, self._buffer, self._due = False, b"", due
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._seen and b'"content":"x' in self._buffer:
            self._seen = True
            self._felt.first_token_s.append(clock.monotonic() - self._due)
            waited = self._buffer.partition(b"x-tollway-queue-seconds: ")[2].partition(b"\r\n")[0]
            self._felt.queue_s.append(float(waited))
        if self._buffer.endswith(b"0\r\n\r\n") or not self._buffer.startswith(b"HTTP/1.1 200"):
            self._felt.errors += not self._seen
            if self.answered is not None and not self.answered.done():
                self.answered.set_result(None)


def run() -> list[dict[str, object]]:
    """Measure both runs, print the table, and return its rows."""
    rows: list[dict[str, object]] = []
    for name, config in RUNS.items():
        with tempfile.TemporaryDirectory(prefix="tollway-bench-") as folder, running(Path(folder), config) as served:
            rows += uvloop.run(_measure(name, served))
    _print(rows)
    return rows


async def _measure(name: str, served: Running) -> list[dict[str, object]]:
    await _trickle(served.port, 1.0)  # Warm up: caches, connections, the journal.
    before, began = served.cpu_s(), clock.monotonic()
    idle = await _trickle(served.port, IDLE_S)
    idle_cpu = (served.cpu_s() - before) / (clock.monotonic() - began)
    async with asyncio.TaskGroup() as side_by_side:
        seconds = SETTLE_S + LOADED_S + 0.5
        body = request("nightly", "bulk", BATCH)
        batch = side_by_side.create_task(drive(served.port, body, connections=BATCH_CALLERS, seconds=seconds))
        await asyncio.sleep(SETTLE_S)
        before, began = served.cpu_s(), clock.monotonic()
        loaded = await _trickle(served.port, LOADED_S)
        loaded_cpu = (served.cpu_s() - before) / (clock.monotonic() - began)
        inflight = await _inflight(served.port)
    return [
        _row(f"{name}: idle", idle, idle, idle_cpu, inflight=0, errors=0),
        _row(f"{name}: with batch", loaded, idle, loaded_cpu, inflight=inflight, errors=batch.result().errors),
    ]


async def _trickle(port: int, seconds: float) -> Felt:
    """Ask at a fixed pace for that long, and wait for the last answer."""
    felt, loop = Felt(), asyncio.get_running_loop()
    body, callers = request("people", "fast", INTERACTIVE), list[Caller]()
    began = clock.monotonic()
    for nth in range(round(seconds * PER_SECOND)):
        due = began + nth / PER_SECOND
        await asyncio.sleep(max(0.0, due - clock.monotonic()))
        caller = next((one for one in callers if one.answered is not None and one.answered.done()), None)
        if caller is None:
            _, caller = await loop.create_connection(lambda: Caller(felt), "127.0.0.1", port)
            callers.append(caller)
        caller.ask(body, due)
    _, late = await asyncio.wait([c.answered for c in callers if c.answered is not None], timeout=ANSWERED_WITHIN_S)
    felt.errors += len(late)
    for caller in callers:
        caller.transport.close()
    return felt


async def _inflight(port: int) -> int:
    """Slots in use, by the gateway's own word, the interactive ones left out where they are counted apart."""
    async with httpx.AsyncClient(trust_env=False) as client:
        lines = (await client.get(f"http://127.0.0.1:{port}/metrics")).text.splitlines()
    slots = [float(line.rpartition(" ")[2]) for line in lines if line.startswith("tollway_inflight{")]
    return round(max(slots))


def request(tenant: str, alias: str, how: str) -> bytes:
    """A streamed chat request of about 1 KB; `how` tells the vendor how to answer it."""
    fields = {"model": alias, "messages": [{"role": "user", "content": how + "x" * 900}], "stream": True}
    body = json.dumps(fields, separators=(",", ":")).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {tenant}-key-0123456789\r\n"
    head += "content-type: application/json\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


def _row(case: str, felt: Felt, idle: Felt, cpu: float, *, inflight: int, errors: int) -> dict[str, object]:
    p95, p95_idle = _percentile_ms(felt.first_token_s, 0.95), _percentile_ms(idle.first_token_s, 0.95)
    return {
        "case": case,
        "p50_first_token_ms": round(_percentile_ms(felt.first_token_s, 0.50), 1),
        "p95_first_token_ms": round(p95, 1),
        "p95_to_idle": round(p95 / p95_idle, 2),
        "p95_queue_ms": round(_percentile_ms(felt.queue_s, 0.95), 1),
        "gateway_cpu_percent": round(100 * cpu),
        "slots_in_use": inflight,
        "requests": len(felt.first_token_s),
        "errors": felt.errors + errors,
    }


def _percentile_ms(seconds: list[float], share: float) -> float:
    ordered = sorted(seconds) or [float("nan")]
    return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def _print(rows: list[dict[str, object]]) -> None:
    title = f"interactive beside {BATCH_STREAMS} batch streams: its first token, the vendor's coming after"
    promise = "promised for tiers apart: p95/idle at most 1.20, no queue, CPU under 60 %"
    table = Table(title=f"{title} {FIRST_TOKEN_MS} ms\n{promise}")
    headings = ("case", "p50 ms", "p95 ms", "p95/idle", "queue p95 ms", "CPU %", "slots in use", "requests", "errors")
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "case" else "right")
    for row in rows:
        table.add_row(*map(str, row.values()))
    Console(width=120).print(table)
