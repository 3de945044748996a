"""The processes of a run: started, killed, stopped and gone on with by their own ids, and no others."""

import http.client
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from gateway.domain import clock

READY_WITHIN_S = 60.0
POLL_S = 0.02
STOP_WITHIN_S = 30.0


class Stuck(RuntimeError):
    """Something that has to happen did not, in its time; says what."""


def until(holds: Callable[[], bool], what: str, *, within_s: float = READY_WITHIN_S) -> None:
    """Poll until it holds. Raises Stuck, naming it, when the time is up."""
    deadline = clock.monotonic() + within_s
    while not holds():
        if clock.monotonic() > deadline:
            raise Stuck(f"not within {within_s:.0f} s: {what}")
        time.sleep(POLL_S)


def free_port() -> int:
    """One that nobody listens on at present."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


class Process:
    """One part, which may die and be started again on the same folder and port."""

    def __init__(self, name: str, command: Sequence[str], *, port: int, log: Path, ready_path: str = "/readyz") -> None:
        self.name = name
        self.port = port
        self.command = list(command)
        self._log = log
        self._ready_path = ready_path
        self._process: subprocess.Popen[bytes] | None = None
        self._paused = False

    @property
    def running(self) -> bool:
        """Whether it lives."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Of the process that was started last."""
        if self._process is None:
            raise Stuck(f"{self.name} was never started")
        return self._process.pid

    @property
    def said(self) -> str:
        """The end of its log."""
        return self._log.read_text("utf-8", errors="replace")[-2000:]

    def spawn(self, *, prefix: Sequence[str] = (), environment: Mapping[str, str] | None = None) -> None:
        """Start it, and do not wait."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*prefix, *self.command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=os.environ | (environment or {}),
            )

    def start(self) -> None:
        """Start it, and wait until it serves. Raises Stuck."""
        self.spawn()
        self.wait_ready()

    def wait_ready(self) -> None:
        """Raises Stuck when it ends or does not answer in time."""
        until(self._ready_or_gone, f"{self.name} is ready")
        if not self.running:
            raise Stuck(f"{self.name} ended: {self.said}")

    def kill(self) -> None:
        """SIGKILL; a process that is gone already is left so."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._paused = False

    def pause(self) -> None:
        """SIGSTOP."""
        os.kill(self.pid, signal.SIGSTOP)
        self._paused = True

    def resume(self) -> None:
        """SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)
        self._paused = False

    def stop(self) -> None:
        """SIGTERM, and SIGKILL after STOP_WITHIN_S."""
        if self._process is None or not self.running:
            return
        if self._paused:
            self.resume()
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.kill()

    def get(self, path: str) -> tuple[int, bytes]:
        """GET; (0, b"") where nobody answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            return 0, b""
        finally:
            connection.close()

    def is_ready(self) -> bool:
        """Whether it answers."""
        return self.get(self._ready_path)[0] == 200

    def _ready_or_gone(self) -> bool:
        return not self.running or self.is_ready()
