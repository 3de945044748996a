"""The loop that starts, watches and stops the parts. What to run is decided in parts.py; here it is only done.

A part that dies is started again with a growing delay. Each part's words go to `<data_dir>/logs/<part>.log`. Children
are their own process group, so a Ctrl-C at the terminal reaches the supervisor alone and the stop is orderly.
"""

import os
import signal
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from deploy.errors import OperatorError
from deploy.settings import host_port
from deploy.supervisor.parts import Part, restart_delay_s
from gateway.domain import clock

READY_WITHIN_S = 60.0
STEADY_S = 30.0
"""A part that ran this long is well again: its next failure counts as the first."""

STOP_ORDER = ("gateway", "dashboards", "worker", "collector", "store")
"""Against the flow: who sends stops before who receives, so that nothing is left between two parts."""


class PartFailed(OperatorError):
    """A part that did not come up: its name, why, and where its log is."""


@dataclass(slots=True)
class _Running:
    part: Part
    process: subprocess.Popen[bytes]
    started_at: float
    failures: int = 0
    restart_at: float | None = None


@dataclass(slots=True)
class Supervisor:
    """The parts of one data folder. `say` gets one line for each thing worth telling an operator."""

    log_dir: Path
    say: Callable[[str], None]
    _running: dict[str, _Running] = field(default_factory=dict)

    @staticmethod
    def require_ports(parts: Sequence[Part]) -> None:
        """Raises PartFailed for the first port that is taken."""
        for part in parts:
            for listen in (part.listen, *part.also_listens):
                if (problem := port_problem(listen)) is not None:
                    raise PartFailed(f"{part.name}: {problem}")

    def start(self, parts: Sequence[Part]) -> None:
        """Start all the parts at once; returns when the processes exist. Raises PartFailed for a port that is taken."""
        self.log_dir.mkdir(parents=True, exist_ok=True)
        self.require_ports(parts)
        for part in parts:
            self._running[part.name] = _Running(part, self._spawn(part), clock.monotonic())

    def wait_ready(self, names: Sequence[str], on_ready: Callable[[str], None] = lambda _: None) -> None:
        """Block until each named part answers. Raises PartFailed when one dies first or READY_WITHIN_S passes."""
        deadline = clock.monotonic() + READY_WITHIN_S
        waiting = list(names)
        while waiting:
            for name in list(waiting):
                running = self._running[name]
                code = running.process.poll()
                if code is not None:
                    raise PartFailed(f"{name} stopped with exit status {code}: {self._last_words(name)}")
                if is_ready(running.part.ready_url, running.part.tls):
                    waiting.remove(name)
                    on_ready(name)
            if waiting and clock.monotonic() > deadline:
                raise PartFailed(
                    f"{waiting[0]} is not ready after {READY_WITHIN_S:.0f} s; its log: {self.log_dir / waiting[0]}.log"
                )
            if waiting:
                time.sleep(0.05)

    def watch_once(self) -> None:
        """Look at each part once: start again what died, when its delay has passed."""
        now = clock.monotonic()
        for running in self._running.values():
            code = running.process.poll()
            if code is None:
                continue
            if running.restart_at is None:
                running.failures = 1 if now - running.started_at > STEADY_S else running.failures + 1
                delay = restart_delay_s(running.failures)
                running.restart_at = now + delay
                self.say(f"{running.part.name} stopped ({_how(code)}); starting it again in {delay:g} s")
            if now >= running.restart_at:
                running.process = self._spawn(running.part)
                running.started_at, running.restart_at = now, None

    def pid(self, name: str) -> int:
        """The process id of a part that was started."""
        return self._running[name].process.pid

    def send(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a part, if it runs."""
        process = self._running[name].process
        if process.poll() is None:
            process.send_signal(number)

    def allow_to_stop(self, parts: Sequence[Part]) -> None:
        """Take these parts' own times to stop from now on."""
        for part in parts:
            if part.name in self._running:
                known = self._running[part.name]
                known.part = replace(known.part, stop_within_s=part.stop_within_s)

    def kill_and_restart(self, name: str) -> None:
        """SIGKILL a part and start it again at once: what a drill does."""
        running = self._running[name]
        running.process.kill()
        running.process.wait()
        running.process = self._spawn(running.part)
        running.started_at, running.restart_at = clock.monotonic(), None

    def stop(self) -> None:
        """SIGTERM each part, who sends before who receives; SIGKILL when its time is over."""
        order = [name for name in STOP_ORDER if name in self._running]
        for name in order:
            process, within_s = self._running[name].process, self._running[name].part.stop_within_s
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(within_s)
                except subprocess.TimeoutExpired:
                    self.say(f"{name} did not stop within {within_s:.0f} s; ending it")
                    process.kill()
                    process.wait()
        self._running.clear()

    def _spawn(self, part: Part) -> subprocess.Popen[bytes]:
        with (self.log_dir / f"{part.name}.log").open("ab") as log:
            return subprocess.Popen(
                part.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=dict(os.environ),
            )

    def _last_words(self, name: str) -> str:
        path = self.log_dir / f"{name}.log"
        lines = path.read_text("utf-8", errors="replace").strip().splitlines()
        return f"{lines[-1] if lines else 'it said nothing'} (log: {path})"


def is_ready(url: str, tls: ssl.SSLContext | None = None) -> bool:
    """Whether that address answers 200 now; `tls` for an https one that needs more than the system's CAs."""
    try:
        with urllib.request.urlopen(url, timeout=1, context=tls) as response:  # noqa: S310 - our own loopback address
            return bool(response.status == 200)
    except (OSError, urllib.error.URLError, ValueError):
        return False


def port_problem(listen: str) -> str | None:
    """Why that address cannot be listened at, or None if it can."""
    host, port = host_port(listen)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            reason = error.strerror
            return f"cannot listen at {listen}: {reason}; stop what is there, or configure another address"
    return None


def _how(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit status {code}"
