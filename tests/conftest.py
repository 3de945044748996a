"""Fixtures every folder may use. `store` is a real embedded ClickHouse in a process of its own, started once a session;
or the server at TOLLWAY_CLICKHOUSE_URL.

Its database is always `tollway`, so a test that counts everything starts with `store.empty()`, or asks only for rows of
its own (a tenant, a batch id). A test that kills or restarts a store takes one of its own from `start_store`.
"""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client
from hypothesis import HealthCheck, settings

import sql
from gateway.domain import clock
from sql import clients, credentials

ROOT = Path(__file__).parent.parent

# How long hypothesis takes to draw says how busy the machine is, and nothing of the code.
settings.register_profile("tollway", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tollway")
_READY = re.compile(r"the store answers on (http://\S+?)/?$")


GIVEN_URL = os.environ.pop("TOLLWAY_CLICKHOUSE_URL", "")
"""Taken out of the environment, or every part that a test starts with the example configuration would use it too."""


@dataclass(kw_only=True)
class RunningStore:
    """A store that runs, and how to reach it; `data_dir` has its passwords where a data folder has them."""

    data_dir: Path
    url: str
    database: str = "tollway"

    def password(self, user: str) -> str:
        """The generated password of `tollway` (the writer) or `reader`."""
        return credentials.read(self.data_dir, user)

    @cached_property
    def writer(self) -> Client:
        """A client that may write."""
        return clients.writer(self.url, self.password(credentials.WRITER))

    @cached_property
    def reader(self) -> Client:
        """A client that may only ask."""
        return clients.reader(self.url, self.password(credentials.READER))

    def migrate(self) -> list[str]:
        """Apply what is missing of the schema."""
        return sql.migrate(self.writer, now=clock.utc_now())

    def empty(self) -> None:
        """Delete all rows of all tables, but for the records of what was applied."""
        tables = self.writer.query(
            "SELECT name FROM system.tables "
            "WHERE database = 'tollway' AND engine LIKE '%MergeTree' AND name NOT LIKE 'schema_%'"
        )
        for (name,) in tables.result_rows:
            self.writer.command(f"TRUNCATE TABLE tollway.`{name}`")

    def close(self) -> None:
        """Let go of it."""
        for name in ("writer", "reader"):
            client = self.__dict__.pop(name, None)
            if client is not None:
                client.close()


@dataclass(kw_only=True)
class OwnStore(RunningStore):
    """An embedded store in a process of our own."""

    process: "subprocess.Popen[str]"
    log: list[str] = field(default_factory=list)

    @property
    def pid(self) -> int:
        """The process's id."""
        return self.process.pid

    def kill(self) -> None:
        """SIGKILL, as when the machine's memory runs out."""
        self.process.kill()
        self._reap()

    def stop(self) -> int:
        """SIGTERM; the exit code of a clean end."""
        self.process.send_signal(signal.SIGTERM)
        return self._reap()

    def _reap(self) -> int:
        self.close()
        code = self.process.wait(timeout=60)
        if self.process.stderr is not None:
            self.process.stderr.close()
        return code


def launch(data_dir: Path, listen: str = "127.0.0.1:0", module: str = "sql.embedded", **environment: str) -> OwnStore:
    """Start a store and wait until it answers. Raises AssertionError with its own words when it does not come up."""
    process = subprocess.Popen(
        [sys.executable, "-m", module, "--data-dir", str(data_dir), "--listen", listen],
        cwd=ROOT, env=os.environ | environment, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    log: list[str] = []
    for line in process.stderr:
        log.append(line.rstrip())
        ready = _READY.search(log[-1])
        if ready:
            threading.Thread(target=_drain, args=(process, log), daemon=True).start()
            return OwnStore(data_dir=data_dir, process=process, url=ready[1], log=log)
    raise AssertionError(f"the store ended with {process.wait()}: " + "\n".join(log))


def _drain(process: "subprocess.Popen[str]", log: list[str]) -> None:
    try:
        for line in process.stderr or ():
            log.append(line.rstrip())
    except ValueError:
        return  # Closed by `_reap`: the process has ended.


def given(folder: Path) -> RunningStore:
    """The server at TOLLWAY_CLICKHOUSE_URL; the passwords of its users `tollway` and `reader` are in the environment.

    The tests empty what they find, so one that has spans already ends the session.
    """
    (folder / "secrets").mkdir(mode=0o700)
    for name in ("WRITER", "READER"):
        secret = os.environ.get(f"TOLLWAY_CLICKHOUSE_{name}_PASSWORD", "")
        (folder / "secrets" / f"store-{name.lower()}").write_text(secret)
    store = RunningStore(data_dir=folder, url=GIVEN_URL.rstrip("/"))
    store.migrate()
    if store.writer.command("SELECT count() FROM tollway.spans"):
        pytest.exit(f"{store.url} has spans, and these tests would delete them: give them a server of their own", 2)
    return store


@pytest.fixture(scope="session")
def embedded_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnStore]:
    """An embedded store with the schema applied, shared by the whole session."""
    running = launch(tmp_path_factory.mktemp("store"))
    try:
        running.migrate()
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="session")
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStore]:
    """The store of the session, with the schema applied: the server at TOLLWAY_CLICKHOUSE_URL, or an embedded one."""
    if not GIVEN_URL:
        yield request.getfixturevalue("embedded_store")
        return
    server = given(tmp_path_factory.mktemp("given"))
    yield server
    server.empty()
    server.close()


def pytest_report_header() -> list[str]:
    """Say which store the tests are run against, where it is not their own."""
    return [f"store: {GIVEN_URL}; tests that start, stop or kill a store run on embedded ones"] if GIVEN_URL else []


@pytest.fixture
def start_store(tmp_path: Path) -> Iterator[Callable[..., OwnStore]]:
    """Start stores of one's own; those still alive at the end of the test are stopped."""
    started: list[OwnStore] = []

    def start(data_dir: Path = tmp_path / "data", **options: str) -> OwnStore:
        started.append(launch(data_dir, **options))
        return started[-1]

    yield start
    for running in started:
        if running.process.poll() is None:
            running.stop()
