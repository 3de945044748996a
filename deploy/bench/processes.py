"""The processes of a bench: a gateway that serves as in production, and the vendor behind it."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.domain import clock

READY_WITHIN_S = 20.0
SERVE = """
import sys
from pathlib import Path
from gateway.config import RoutingFile, load
from gateway.server import run
config, data_dir, otlp_url = load(Path(sys.argv[1]), RoutingFile).routing(), Path(sys.argv[2]), sys.argv[3]
run(config, data_dir=data_dir, otlp_url=otlp_url, otlp_token="bench")
"""


@dataclass(frozen=True)
class Running:
    """A gateway and its vendor, on loopback."""

    pid: int
    """The gateway's."""
    port: int
    vendor_port: int

    def cpu_s(self) -> float:
        """User and system time of the gateway's process until now."""
        return cpu_s(self.pid)


def cpu_s(pid: int) -> float:
    """User and system time of a process until now."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_bytes(pid: int) -> int:
    """What a process holds of the memory now."""
    pages = Path(f"/proc/{pid}/statm").read_text("ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def running(folder: Path, config: str) -> Iterator[Running]:
    """Both, for as long as the block lasts. `config` is a configuration with `{port}` and `{vendor}` in it."""
    port, vendor_port = free_port(), free_port()
    path = folder / "tollway.yaml"
    path.write_text(config.format(port=port, vendor=vendor_port), "utf-8")
    log = (folder / "log").open("wb")
    answering = subprocess.Popen([sys.executable, "-m", "deploy.bench.vendor", str(vendor_port)], stderr=log)
    url = f"http://127.0.0.1:{vendor_port}"
    serving = subprocess.Popen([sys.executable, "-c", SERVE, str(path), str(folder), url], stderr=log)
    try:
        _wait_for(vendor_port)
        _wait_for(port)
        yield Running(serving.pid, port, vendor_port)
    finally:
        for process in (serving, answering):
            process.terminate()
            process.wait(20)
        log.close()


def free_port() -> int:
    """A port of loopback that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


def _wait_for(port: int) -> None:
    deadline = clock.monotonic() + READY_WITHIN_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if clock.monotonic() > deadline:
                raise
            asyncio.run(asyncio.sleep(0.05))
        else:
            return
