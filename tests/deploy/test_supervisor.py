"""The supervisor starts parts, starts again what dies, and stops senders before receivers."""

import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy.supervisor import Part, PartFailed, Supervisor
from deploy.supervisor.parts import restart_delay_s
from deploy.supervisor.supervisor import is_ready, port_problem
from gateway.domain import clock
from tests.ports import free_port

SERVER = """
import http.server, signal, sys
signal.signal(signal.SIGTERM, lambda *_: (print("stopped", sys.argv[2], flush=True), sys.exit(0)))
class Ok(http.server.BaseHTTPRequestHandler):
    def do_GET(self): self.send_response(200); self.end_headers()
    def log_message(self, *_): pass
print("started", flush=True)
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Ok).serve_forever()
"""


def part(name: str, port: int | None = None) -> Part:
    port = port or free_port()
    command = (sys.executable, "-c", SERVER, str(port), name)
    return Part(name, command, f"http://127.0.0.1:{port}/readyz", f"127.0.0.1:{port}")


def until(true: Callable[[], bool], within_s: float = 20) -> None:
    deadline = clock.monotonic() + within_s
    while not true():
        assert clock.monotonic() < deadline, "it did not come true in time"


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def supervisor(tmp_path: Path, said: list[str]) -> Iterator[Supervisor]:
    running = Supervisor(tmp_path / "logs", said.append)
    yield running
    running.stop()


@pytest.mark.slow
def test_a_part_that_dies_is_started_again(supervisor: Supervisor, said: list[str]) -> None:
    gateway = part("gateway")
    supervisor.start([gateway])
    supervisor.wait_ready(["gateway"])
    first = supervisor.pid("gateway")
    os.kill(first, signal.SIGKILL)
    until(lambda: supervisor.watch_once() is None and supervisor.pid("gateway") != first)
    supervisor.wait_ready(["gateway"])
    assert said == ["gateway stopped (SIGKILL); starting it again in 0.5 s"]


@pytest.mark.slow
def test_senders_stop_before_receivers(supervisor: Supervisor, tmp_path: Path) -> None:
    names = ["store", "collector", "gateway"]
    supervisor.start([part(name) for name in names])
    supervisor.wait_ready(names)
    supervisor.stop()
    stopped = {name: (tmp_path / "logs" / f"{name}.log").stat().st_mtime_ns for name in names}
    assert sorted(names, key=lambda name: stopped[name]) == ["gateway", "collector", "store"]
    assert all(f"stopped {name}" in (tmp_path / "logs" / f"{name}.log").read_text() for name in names)


def test_a_part_that_cannot_start_is_named_with_its_last_words(supervisor: Supervisor) -> None:
    command = (sys.executable, "-c", "import sys; sys.exit('no such thing as a free lunch')")
    supervisor.start([Part("worker", command, "http://127.0.0.1:1/readyz", f"127.0.0.1:{free_port()}")])
    with pytest.raises(PartFailed, match="worker stopped with exit status 1: no such thing as a free lunch"):
        supervisor.wait_ready(["worker"])


def test_a_taken_port_is_told_before_anything_starts(supervisor: Supervisor) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PartFailed, match=f"gateway: cannot listen at 127.0.0.1:{port}: Address already in use"):
            supervisor.start([part("collector"), part("gateway", port)])
    with pytest.raises(KeyError):
        supervisor.pid("collector")


def test_a_free_port_is_no_problem() -> None:
    assert port_problem(f"127.0.0.1:{free_port()}") is None


def test_an_address_where_nobody_answers_is_not_ready() -> None:
    assert not is_ready(f"http://127.0.0.1:{free_port()}/readyz")


def test_each_failure_in_a_row_waits_longer_but_never_beyond_half_a_minute() -> None:
    assert [restart_delay_s(n) for n in (1, 2, 3, 10)] == [0.5, 1, 2, 30]
