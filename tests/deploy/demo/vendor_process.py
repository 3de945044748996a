"""A vendor as a process of its own, and what its books say."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from gateway.domain import clock
from tests.gateway.serving import NO_TLS

CLIENT = httpx.Client(trust_env=False, verify=NO_TLS, limits=httpx.Limits(max_keepalive_connections=0))

KEY = "sk-test-vendor-key"
ADMIN_KEY = "sk-admin-test"


@dataclass(slots=True)
class RunningVendor:
    """Where it is, and what its books say."""

    url: str
    process: subprocess.Popen[bytes]
    config: Path
    ledger: Path

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.url.removeprefix("http://").partition(":")
        return host, int(port)

    def get(self, path: str, key: str = ADMIN_KEY) -> httpx.Response:
        return CLIENT.get(self.url + path, headers={"authorization": f"Bearer {key}"})

    def rows(self) -> list[dict[str, Any]]:
        return list(self.get("/_witness/ledger").json())

    def row(self, request_id: str, within_s: float = 10) -> dict[str, Any]:
        """That request's row, once it is settled."""
        deadline = clock.monotonic() + within_s
        while True:
            found = [row for row in self.rows() if row["request_id"] == request_id and row["cause"] != "received"]
            if found:
                assert len(found) == 1, found
                return found[0]
            assert clock.monotonic() < deadline, f"{request_id} is not settled: {self.rows()}"

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()


def plain_settings(ledger: Path) -> dict[str, Any]:
    """A vendor without faults, quick, with one model."""
    prices = {"input": "0.15", "cached input": "0.075", "output": "0.60"}
    return {
        "name": "test-vendor",
        "organization_id": "org-test",
        "project_id": "proj-test",
        "keys": {KEY: "key_1"},
        "admin_key": ADMIN_KEY,
        "models": {"gpt-4o-mini": {"snapshot": "gpt-4o-mini-2024-07-18", "per_million": prices}},
        "ledger": str(ledger),
        "pace": {"first_token_s": 0.01, "per_1000_uncached_s": 0, "token_s": 0.001},
        "seed": 7,
        "witness": True,
    }


def launch(config: Path, ledger: Path, port: int = 0) -> RunningVendor:
    command = [sys.executable, "-m", "deploy.demo.vendor", "--config", str(config), "--listen", f"127.0.0.1:{port}"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout
    line = process.stdout.readline().decode()
    assert line.startswith("listening on "), line
    return RunningVendor(line.split()[-1], process, config, ledger)
