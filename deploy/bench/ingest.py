"""What landing a span costs: CPU of the collector and of the store, all included, with everything on: tokens, dedup,
fsync before each acknowledgement, the ledger, read-back, merges.

Beside it, in the same run: walking the same bytes in Python, and inserting the same rows, already decoded, as Arrow.
Three processes on loopback: this one sends, the collector keeps and lands, the embedded store. CPU is user and system
time from /proc. The generator takes its share of the cores, so rates are what is left.
"""

import http.client
import statistics
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from rich.console import Console
from rich.table import Table

from deploy.bench.ingest_spans import SPANS, Requests
from deploy.bench.processes import cpu_s, rss_bytes
from deploy.chaos.matrix import opened
from deploy.chaos.processes import Process, until
from deploy.chaos.scene import Scene, Stage
from gateway.domain import clock

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

SPANS_DEFAULT = 400_000
WARM_UP = 20_000
SENDERS = 4
PACED_RPS = 25
PACED_S = 4.0
WALKED = 20
"""Requests that are walked in Python."""
ARROW_ROWS = 20_000
ARROW_INSERTS = 5
SAMPLE_EVERY = 100_000
PROMISED_US = 12.0
SEGMENT_AGE_S = 0.5
LIKE_A_COLLECTOR: dict[str, Any] = {
    "segment_age_s": SEGMENT_AGE_S,
    "retry_s_max": 15.0,
    "free_bytes_min": 256 * 1024 * 1024,
}
LANDED_WITHIN_S = 600.0


@dataclass
class Phase:
    """What sending brought, and what it cost."""

    spans: int = 0
    acknowledged_s: float = 0.0
    """Until the last was acknowledged,"""
    landed_s: float = 0.0
    """and until all had landed."""
    collector_us: float = 0.0
    """CPU per span,"""
    store_us: float = 0.0
    """with the store's merges in it."""
    latencies_s: list[float] = field(default_factory=list)
    memory: dict[str, list[int]] = field(default_factory=lambda: {"collector": [], "store": []})
    """Resident bytes, one sample for each SAMPLE_EVERY spans."""

    def percentile_ms(self, share: float) -> float:
        """Of the times until an acknowledgement."""
        ordered = sorted(self.latencies_s) or [0.0]
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    def slope_mb(self, part: str) -> float | None:
        """Megabytes per 100,000 spans over the run's second half; None where it is too short to say."""
        later = self.memory[part][len(self.memory[part]) // 2 :]
        if len(later) < 3:
            return None
        return statistics.linear_regression(range(len(later)), [size / 1e6 for size in later]).slope


def run(spans: int = SPANS_DEFAULT, *, warm_up: int = WARM_UP, paced_s: float = PACED_S) -> dict[str, object]:
    """Measure, print the table, and return the figures. `warm_up` spans go before, `paced_s` seconds have a pace."""
    with opened(seed=1) as scene, scene.stage("bench", **LIKE_A_COLLECTOR) as stage:
        _send(scene, stage, spans=warm_up)
        paced = _send(scene, stage, spans=round(PACED_RPS * paced_s) * SPANS, rps=PACED_RPS)
        full = _send(scene, stage, spans=spans)
        with scene.client() as client:
            figures = _figures(paced, full) | _disk(client) | {"python_walk_us": round(_walk(), 1)}
            figures |= _arrow(client, scene.store)
    _print(figures)
    return figures


def _figures(paced: Phase, full: Phase) -> dict[str, Any]:
    slopes = {part: full.slope_mb(part) for part in full.memory}
    return {
        "spans": full.spans,
        "collector_us": round(full.collector_us, 1),
        "store_us": round(full.store_us, 1),
        "together_us": round(full.collector_us + full.store_us, 1),
        "acknowledged_per_s": round(full.spans / full.acknowledged_s),
        "landed_per_s": round(full.spans / full.landed_s),
        "ack_p50_ms": round(full.percentile_ms(0.50), 1),
        "ack_p99_ms": round(full.percentile_ms(0.99), 1),
        "paced_ack_p50_ms": round(paced.percentile_ms(0.50), 1),
        "paced_ack_p99_ms": round(paced.percentile_ms(0.99), 1),
        "paced_together_us": round(paced.collector_us + paced.store_us, 1),
        **{f"{part}_mb_per_100k": None if slope is None else round(slope, 2) for part, slope in slopes.items()},
        **{f"{part}_mb": round(full.memory[part][-1] / 1e6) for part in full.memory},
    }


def _send(scene: Scene, stage: Stage, *, spans: int, rps: float = 0.0) -> Phase:
    """Send that many, at a pace or as fast as they are acknowledged, and wait until all have landed."""
    phase, lock = Phase(), threading.Lock()
    parts = {"collector": stage.collector, "store": scene.store}
    before = {name: cpu_s(part.pid) for name, part in parts.items()}
    began = clock.monotonic()

    def next_due() -> float | None:
        """When the next request is due, counted as sent; None = there is none."""
        with lock:
            if phase.spans >= spans:
                return None
            phase.spans += SPANS
            if phase.spans % SAMPLE_EVERY == 0:
                _sample(phase, parts)
            return began + phase.spans / SPANS / rps if rps else began

    def work(number: int) -> None:
        requests = Requests(number, now_ns=clock.unix_nanos())
        headers = {"content-type": "application/x-protobuf", "authorization": f"Bearer {stage.address.token}"}
        with closing(http.client.HTTPConnection("127.0.0.1", stage.address.port, timeout=60)) as connection:
            while (due := next_due()) is not None:
                threading.Event().wait(max(0.0, due - clock.monotonic()))
                _until_taken(connection, requests.body(), headers, phase)

    threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(SENDERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    phase.acknowledged_s = clock.monotonic() - began
    until(lambda: stage.books().get("pending") == 0, "all has landed", within_s=LANDED_WITHIN_S)
    phase.landed_s = clock.monotonic() - began
    _wait_for_merges(scene)
    after = {name: cpu_s(part.pid) for name, part in parts.items()}
    phase.collector_us = 1e6 * (after["collector"] - before["collector"]) / phase.spans
    phase.store_us = 1e6 * (after["store"] - before["store"]) / phase.spans
    _sample(phase, parts)
    return phase


def _sample(phase: Phase, parts: Mapping[str, Process]) -> None:
    for name, part in parts.items():
        phase.memory[name].append(rss_bytes(part.pid))
    held = ", ".join(f"{name} {sizes[-1] / 1e6:.0f} MB" for name, sizes in phase.memory.items())
    sys.stderr.write(f"bench ingest: {phase.spans:,} spans; {held}\n")


def _until_taken(connection: http.client.HTTPConnection, body: bytes, headers: dict[str, str], phase: Phase) -> None:
    """Send one body until it is acknowledged; the time of the answer that did is kept."""
    while True:
        asked = clock.monotonic()
        connection.request("POST", "/v1/traces", body, headers)
        answer = connection.getresponse()
        answer.read()
        if answer.status == 200:
            phase.latencies_s.append(clock.monotonic() - asked)
            return
        threading.Event().wait(0.05)


def _wait_for_merges(scene: Scene) -> None:
    import sql

    with scene.client() as client:
        until(lambda: sql.fetch(client, "bench_merges").item() == 0, "merges have ended", within_s=LANDED_WITHIN_S)


def _disk(client: "Client") -> dict[str, Any]:
    """Bytes per span on disk once all is merged, and of the largest columns; the secondary indexes are in the first."""
    import sql

    sql.execute(client, "bench_optimize")
    whole = sql.fetch(client, "bench_disk").row(0, named=True)
    columns = sql.fetch(client, "bench_columns").iter_rows(named=True)
    return {
        "disk_bytes_per_span": round(whole["bytes"] / whole["spans"], 1),
        "index_bytes_per_span": round(whole["index_bytes"] / whole["spans"], 1),
        "largest_columns": {row["column"]: round(row["bytes"] / whole["spans"], 1) for row in columns},
    }


def _walk() -> float:
    """CPU in microseconds per span of decoding the same bytes in Python, attribute by attribute, into rows."""
    bodies = [Requests(number, now_ns=clock.unix_nanos()).body() for number in range(WALKED)]
    began = time.process_time()
    for body in bodies:
        _rows(body)
    return 1e6 * (time.process_time() - began) / (WALKED * SPANS)


def _rows(body: bytes) -> list[dict[str, object]]:
    """What a collector that decodes in Python does with a request."""
    rows: list[dict[str, object]] = []
    for group in ExportTraceServiceRequest.FromString(body).resource_spans:
        for scope in group.scope_spans:
            for span in scope.spans:
                row: dict[str, object] = {
                    "trace_id": span.trace_id.hex(),
                    "span_id": span.span_id.hex(),
                    "parent_span_id": span.parent_span_id.hex(),
                    "name": span.name,
                    "kind": span.kind,
                    "started_at": span.start_time_unix_nano,
                    "ended_at": span.end_time_unix_nano,
                }
                for attribute in span.attributes:
                    value = attribute.value
                    row[attribute.key] = getattr(value, value.WhichOneof("value"))
                rows.append(row)
    return rows


def _arrow(client: "Client", store: Process) -> dict[str, Any]:
    """CPU per row of inserting rows that are decoded already, as Arrow: of this process's client and of the store."""
    import sql

    rows = sql.fetch(client, "bench_rows", rows=ARROW_ROWS).to_arrow()
    store_before, own_before = cpu_s(store.pid), time.process_time()
    for _ in range(ARROW_INSERTS):
        client.insert_arrow("tollway.spans", rows, settings={"max_partitions_per_insert_block": 1})
    inserted = ARROW_INSERTS * rows.num_rows
    own, stores = time.process_time() - own_before, cpu_s(store.pid) - store_before
    return {"arrow_client_us": round(1e6 * own / inserted, 1), "arrow_store_us": round(1e6 * stores / inserted, 1)}


def _print(figures: dict[str, Any]) -> None:
    table = Table(
        title=f"landing spans: requests of {SPANS}, about 900 bytes and 24 attributes a span", show_header=False
    )
    for name, said in _lines(figures):
        table.add_row(name, said)
    Console(width=120).print(table)


def _lines(figures: dict[str, Any]) -> Sequence[tuple[str, str]]:
    arrow = figures["arrow_client_us"] + figures["arrow_store_us"]
    columns = ", ".join(f"{name} {size}" for name, size in figures["largest_columns"].items())
    slopes = {part: figures[f"{part}_mb_per_100k"] for part in ("collector", "store")}
    memory = {part: "too few spans to say" if slope is None else f"{slope:+.2f}" for part, slope in slopes.items()}
    return (
        ("spans", f"{figures['spans']:,}"),
        ("CPU us per landed span: collector", str(figures["collector_us"])),
        ("  store, merges included", str(figures["store_us"])),
        ("  together", f"{figures['together_us']} (aimed at: at most {PROMISED_US:g})"),
        (f"  together at {PACED_RPS} requests/s, small batches", str(figures["paced_together_us"])),
        ("  for comparison: walking the same bytes in Python alone", str(figures["python_walk_us"])),
        ("  for comparison: the same rows, decoded, as Arrow: client + store", f"{arrow:.1f}"),
        ("spans/s acknowledged, each after fdatasync", f"{figures['acknowledged_per_s']:,}"),
        ("spans/s landed", f"{figures['landed_per_s']:,}"),
        ("acknowledged within ms, p50 / p99, as fast as it goes", f"{figures['ack_p50_ms']} / {figures['ack_p99_ms']}"),
        (
            f"  at {PACED_RPS} requests/s",
            f"{figures['paced_ack_p50_ms']} / {figures['paced_ack_p99_ms']}",
        ),
        (
            "bytes per span on disk, merged",
            f"{figures['disk_bytes_per_span']}, {figures['index_bytes_per_span']} of indexes",
        ),
        ("  largest columns", columns),
        ("memory, MB: collector / store", f"{figures['collector_mb']} / {figures['store_mb']}"),
        ("  MB per 100,000 spans, second half of the run", f"{memory['collector']} / {memory['store']}"),
    )
