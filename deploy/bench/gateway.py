"""What the gateway costs per request and per streamed chunk, with everything on: keys, pools, breakers, the journal
with intent and end, spans shipped, usage metered, metrics.

Three processes on loopback: this one asks, the gateway serves, a vendor answers at once. CPU is user and system time of
the gateway's process from /proc. Rounds alternate between the gateway and the vendor asked directly.
"""

import json
import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path

import uvloop
from rich.console import Console
from rich.table import Table

from deploy.bench import vendor
from deploy.bench.load import Load, drive
from deploy.bench.processes import Running, running

KEY = "bench-key-0123456789"
ROUNDS = 3
SECONDS = 2.0
PACED_RPS = 50
HEADINGS = {
    "case": "case",
    "cpu_us_per_request": "us/request",
    "cpu_us_per_chunk": "us/chunk",
    "requests_per_s": "requests/s",
    "direct_to_through": "direct/through",
    "p50_added_ms": "p50 +ms",
    "p99_added_ms": "p99 +ms",
    "errors": "errors",
}

CONFIG = """
gateway: {{listen: "127.0.0.1:{port}"}}
tenants: {{bench: {{keys: ["bench-key-0123456789"]}}}}
tiers: {{interactive: {{max_inflight: 256, max_queue: 256}}}}
upstreams: {{vendor: {{base_url: "http://127.0.0.1:{vendor}/v1", api_key: sk-bench, provider: openai, account: bench}}}}
aliases: {{fast: {{tier: interactive, targets: [{{upstream: vendor, model: m}}]}}}}
rate_cards:
  - {{provider: openai, model: m, effective_from: "2023-01-01T00:00:00Z",
      per_million_tokens: {{input: "1", output: "2"}}}}
"""


@dataclass(frozen=True)
class Case:
    """One kind of load."""

    name: str
    stream: bool = False
    burst: bool = False
    connections: int = 16
    every_s: float = 0.0


CASES = (
    Case("1 KB, 64 at once", connections=64),
    Case("1 KB, 16 at once"),
    Case(f"1 KB, {PACED_RPS} requests/s", connections=5, every_s=5 / PACED_RPS),
    Case(f"{vendor.CHUNKS} chunks, paced", stream=True, connections=32),
    Case(f"{vendor.CHUNKS} chunks, one burst", stream=True, burst=True),
)


def run() -> list[dict[str, object]]:
    """Measure every case, print the table, and return its rows."""
    with tempfile.TemporaryDirectory(prefix="tollway-bench-") as folder, running(Path(folder), CONFIG) as served:
        rows = uvloop.run(_measure(served))
    _print(rows)
    return rows


async def _measure(served: Running) -> list[dict[str, object]]:
    # Warm up: caches, connections, the journal.
    await drive(served.port, request(CASES[0]), connections=16, seconds=1.0)
    return [await _measure_case(case, served) for case in CASES]


async def _measure_case(case: Case, served: Running) -> dict[str, object]:
    through: list[Load] = []
    beside: list[Load] = []
    cpu_s: list[float] = []
    for _ in range(ROUNDS):
        before = served.cpu_s()
        through.append(await _drive(case, served.port))
        cpu_s.append(served.cpu_s() - before)
        beside.append(await _drive(case, served.vendor_port))
    per_request = [1e6 * cpu / max(1, load.requests) for cpu, load in zip(cpu_s, through, strict=True)]
    # A stream costs a request and its chunks; what the request itself costs is told by the first case.
    per_chunk = [1e6 * cpu / max(1, load.chunks) for cpu, load in zip(cpu_s, through, strict=True)]
    rps = statistics.median(load.requests / load.seconds for load in through)
    rps_direct = statistics.median(load.requests / load.seconds for load in beside)
    return {
        "case": case.name,
        "cpu_us_per_request": round(statistics.median(per_request), 1),
        "cpu_us_per_chunk": round(statistics.median(per_chunk), 1) if case.stream else None,
        "requests_per_s": round(rps),
        "direct_to_through": round(rps_direct / rps, 1) if rps else None,
        "p50_added_ms": _added(through, beside, 0.50),
        "p99_added_ms": _added(through, beside, 0.99),
        "errors": sum(load.errors for load in through),
    }


async def _drive(case: Case, port: int) -> Load:
    return await drive(port, request(case), connections=case.connections, seconds=SECONDS, every_s=case.every_s)


def _added(through: list[Load], beside: list[Load], share: float) -> float:
    return round(
        statistics.median(load.percentile_ms(share) for load in through)
        - statistics.median(load.percentile_ms(share) for load in beside),
        2,
    )


def request(case: Case) -> bytes:
    """A chat request of about 1 KB."""
    words = "in one burst " if case.burst else "paced "
    fields = {
        "model": "fast",
        "messages": [{"role": "user", "content": words.ljust(900, "x")}],
        "stream": case.stream,
    }
    body = json.dumps(fields, separators=(",", ":")).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {KEY}\r\n"
    head += "user-agent: bench/1\r\naccept: application/json\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


def _print(rows: list[dict[str, object]]) -> None:
    table = Table(title="gateway, everything on: CPU of its process, medians; direct = the vendor asked without it")
    for column in rows[0]:
        table.add_column(HEADINGS[column], justify="left" if column == "case" else "right")
    for row in rows:
        table.add_row(*("-" if value is None else str(value) for value in row.values()))
    Console(width=120).print(table)
