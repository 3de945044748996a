"""A collector in a process of its own, as its senders see it."""

import gzip
import json
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from gateway.domain import clock
from tests.ports import free_port

ROOT = Path(__file__).parents[2]
GATEWAY_TOKEN = "gateway-token-of-the-tests"
APP_TOKEN = "app-token-of-the-tests"
SENDERS = [
    {"name": "gateway", "token": GATEWAY_TOKEN, "may_name_tenants": True},
    {"name": "app", "token": APP_TOKEN, "tenant": "globex"},
]
SMALL = {"free_bytes_min": 0, "segment_age_s": 0.1, "retry_s_max": 0.5}


def until(holds: Callable[[], bool], what: str, *, within_s: float = 30.0) -> None:
    """Poll until it holds; fails, naming it, at the deadline."""
    deadline = clock.monotonic() + within_s
    while not holds():
        assert clock.monotonic() < deadline, f"not within {within_s} s: {what}"
        time.sleep(0.02)


@dataclass
class RunningCollector:
    """One folder and port, and the process that serves them at present."""

    folder: Path
    store_url: str
    secrets_dir: Path
    limits: dict[str, Any] = field(default_factory=lambda: dict(SMALL))
    port: int = field(default_factory=free_port)
    grpc_port: int | None = None
    tls: dict[str, str] = field(default_factory=dict)
    """Tls by its fields' names; empty = none."""
    context: ssl.SSLContext | None = None
    """What the tests reach it with then."""
    process: "subprocess.Popen[bytes] | None" = None
    token: str = GATEWAY_TOKEN

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return (self.folder.parent / "collector.log").read_text("utf-8")

    def start(self) -> None:
        """Start, and wait until it takes spans."""
        settings = {
            "folder": str(self.folder),
            "senders": SENDERS,
            "store_url": self.store_url,
            "secrets_dir": str(self.secrets_dir),
            "port": self.port,
            "grpc_port": self.grpc_port,
            "tls": self.tls,
            "limits": self.limits,
        }
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        with (self.folder.parent / "collector.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(Path(__file__).parent / "serve.py"), json.dumps(settings)],
                cwd=ROOT,
                env=os.environ | {"PYTHONPATH": str(ROOT)},
                stderr=log,
            )
        until(self._ready, "the collector is ready")

    def kill(self) -> None:
        """SIGKILL."""
        assert self.process
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        assert self.process
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=30)

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def post(self, body: bytes, *, token: str = GATEWAY_TOKEN, zipped: bool = False, **headers: str) -> httpx.Response:
        """POST /v1/traces."""
        sent = {"content-type": "application/x-protobuf", "authorization": f"Bearer {token}"}
        if zipped:
            sent["content-encoding"] = "gzip"
            body = gzip.compress(body)
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return self._client.post(f"{self.url}/v1/traces", content=body, headers=sent | names)

    @cached_property
    def _client(self) -> httpx.Client:
        """Each call has a connection of its own, as the process may have been killed; making a client takes as long as
        twenty calls."""
        alone = httpx.Limits(max_keepalive_connections=0)
        return httpx.Client(verify=self.context or False, trust_env=False, timeout=20, limits=alone)

    def get(self, path: str) -> httpx.Response:
        """GET."""
        return self._client.get(f"{self.url}{path}")

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples that have those labels."""
        found = 0.0
        for family in text_string_to_metric_families(self.get("/metrics").text):
            for sample in family.samples:
                if sample.name == f"tollway_collector_{name}" and labels.items() <= sample.labels.items():
                    found += sample.value
        return found

    def peak_memory(self) -> int:
        """The most it ever held, in bytes (Linux)."""
        assert self.process
        text = Path(f"/proc/{self.process.pid}/status").read_text("utf-8")
        return int(next(line for line in text.splitlines() if line.startswith("VmHWM")).split()[1]) * 1024

    def books(self) -> dict[str, dict[str, int]]:
        """The accounts by sender."""
        accounts: dict[str, dict[str, int]] = self.get("/books").json()
        return accounts

    def settled(self) -> bool:
        """Whether nothing is on its way."""
        return all(account["pending"] == 0 for account in self.books().values())

    def _ready(self) -> bool:
        assert self.process
        assert self.process.poll() is None, f"the collector ended: {self.log}"
        try:
            return self.get("/readyz").status_code == 200
        except httpx.TransportError:
            return False
