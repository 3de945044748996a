"""What a row plays on: one store for all rows, and for each row a collector, a tenant and a ledger of its own."""

import json
import os
import secrets
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from deploy.chaos.ledger import INPUT_USD, OUTPUT_USD, Landed, Ledger, Verdict
from deploy.chaos.processes import Process, Stuck, free_port, until
from deploy.chaos.senders import Address, Senders
from deploy.chaos.spans import MODEL, PROVIDER
from gateway.domain import clock

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

    from gateway.domain.rate_card import RateCard

SETTLED_WITHIN_S = 120.0
TOLD_WITHIN_S = 20.0
LIMITS = {"free_bytes_min": 0, "segment_age_s": 0.05, "retry_s_max": 0.5, "tell_s": 0.2}
"""Small segments and short pauses, so that a moment meets as many of them as can be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One row of the matrix."""

    row: str
    moments: int
    kills: int
    verdict: Verdict
    seconds: float
    note: str = ""
    books: str = ""
    """What of the ledger's table does not add up; "" = all does."""

    @property
    def holds(self) -> bool:
        """Whether the row passed."""
        return self.verdict.holds and not self.books


@dataclass
class Stage:
    """One row on its way: its collector, its traffic, and how often something was killed."""

    row: str
    scene: "Scene"
    folder: Path
    file: Path
    """The collector's settings, which it reads at each start."""
    collector: Process
    settings: dict[str, Any]
    ledger: Ledger = field(default_factory=Ledger)
    moments: int = 0
    kills: int = 0
    note: str = ""
    ledger_damaged: bool = False
    """Then nothing vouches for what it told, or did not tell yet: the table is not held against it."""
    began: float = field(default_factory=clock.monotonic)

    @property
    def address(self) -> Address:
        """Where its spans go."""
        return Address(self.settings["port"], self.settings["token"])

    def senders(self, **changes: Any) -> Senders:
        """Traffic for this row."""
        seed = self.scene.dice.getrandbits(32)
        return Senders(self.address, self.row, self.ledger, seed, clock.unix_nanos, **changes)

    def told(self, **changes: Any) -> None:
        """Change what the collector is started with from now on."""
        self.settings = {**self.settings, **changes}
        _write(self.file, self.settings)

    def kill(self, *processes: Process) -> None:
        """SIGKILL all of them, then count it as one moment."""
        for process in processes:
            process.kill()
        self.kills += len(processes)
        self.moments += 1

    def settle(self) -> None:
        """Wait until everything that was acknowledged has landed. Raises Stuck."""
        until(self._settled, f"{self.row}: all has landed: {self._pending()}", within_s=SETTLED_WITHIN_S)

    def books(self) -> dict[str, int]:
        """The collector's own account of the row; empty while it does not answer."""
        status, said = self.collector.get("/books")
        accounts = json.loads(said) if status == 200 else {}
        return dict(accounts.get("gateway", {}))

    def told_books(self, stored: int) -> str:
        """What of the ledger's table is not as the collector and the store say; "" once all is, for it is told in time.

        `stored` are the rows that the store has.
        """
        if self.ledger_damaged:
            return ""
        spool = (Path(self.settings["folder"]) / "identity").read_text("utf-8").strip()
        deadline = clock.monotonic() + TOLD_WITHIN_S
        while said := self._differing(self.scene.books(spool), stored):
            if clock.monotonic() > deadline:
                return said
            threading.Event().wait(0.1)
        return ""

    def _differing(self, told: dict[str, int], stored: int) -> str:
        books = self.books()
        wanted = {fate: books.get(fate, 0) for fate in told} | {"stored": stored, "pending": 0}
        became = told["stored"] + told["duplicate"] + told["parked"] + told["pending"]
        faults = [f"{told[fate]} {fate}, not {count}" for fate, count in wanted.items() if told[fate] != count]
        if told["received"] != became:
            faults.append(f"{told['received']} received and {became} accounted for")
        return "the ledger's table: " + ", ".join(faults) if faults else ""

    def result(self) -> Result:
        """Settle and judge. Raises Stuck."""
        self.settle()
        books = self.books()
        verdict = self.ledger.judge(self.scene.landed(self.row))
        if books.get("drift"):
            self.note = f"the books have a drift of {books['drift']} spans. {self.note}".strip()
        seconds = round(clock.monotonic() - self.began, 1)
        return Result(
            row=self.row,
            moments=self.moments,
            kills=self.kills,
            verdict=verdict,
            seconds=seconds,
            note=self.note,
            books=self.told_books(verdict.stored),
        )

    def _settled(self) -> bool:
        return self._pending() == 0

    def _pending(self) -> int:
        return self.books().get("pending", 1)


class Scene:
    """The store, the folder and the dice of a run. `close` ends everything it started."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.dice = Random(seed)
        self._processes: list[Process] = []
        self.data_dir = folder / "data"
        port = free_port()
        command = (sys.executable, "-m", "sql.embedded", "--data-dir", str(self.data_dir))
        self.store = self.process("store", (*command, "--listen", f"127.0.0.1:{port}"), port=port)

    def open(self) -> None:
        """Start the store, with its schema and the card that prices the generator's model. Raises Stuck."""
        from sql import migrate

        self.store.start()
        with self.client() as client:
            migrate(client, now=clock.utc_now())
        self.load_cards(())

    def load_cards(self, more: "Sequence[RateCard]") -> None:
        """Make the store's cards the generator's own and these."""
        from analytics import rate_cards
        from gateway.domain.rate_card import PER_MILLION, RateCard
        from gateway.domain.usage import TokenClass

        prices = {TokenClass.INPUT_UNCACHED: INPUT_USD * PER_MILLION, TokenClass.OUTPUT: OUTPUT_USD * PER_MILLION}
        own = RateCard(PROVIDER, MODEL, "USD", datetime(2023, 1, 1, tzinfo=UTC), prices)
        with self.client() as client:
            rate_cards.load(client, [own, *more], now=clock.utc_now())

    def close(self) -> None:
        """End every process that was started here."""
        for process in reversed(self._processes):
            process.stop()

    def process(self, name: str, command: Sequence[str], *, port: int, ready_path: str = "/readyz") -> Process:
        """A process that ends with the scene; it is not started yet."""
        self.folder.mkdir(parents=True, exist_ok=True)
        made = Process(name, command, port=port, log=self.folder / f"{name}.log", ready_path=ready_path)
        self._processes.append(made)
        return made

    @contextmanager
    def client(self) -> "Iterator[Client]":
        """A client of the store that may write."""
        from sql import clients, credentials

        password = credentials.read(self.data_dir, credentials.WRITER)
        client = clients.writer(f"http://127.0.0.1:{self.store.port}", password)
        try:
            yield client
        finally:
            client.close()

    @contextmanager
    def stage(self, row: str, *, folder: Path | None = None, start: bool = True, **limits: Any) -> Iterator[Stage]:
        """A row's own collector, ended with the row."""
        folder = folder or self.folder / row.replace(" ", "-")
        port = free_port()
        settings: dict[str, Any] = {
            "folder": str(folder / "collector"),
            "port": port,
            "token": secrets.token_hex(16),
            "store_url": f"http://127.0.0.1:{self.store.port}",
            "secrets_dir": str(self.data_dir / "secrets"),
            "limits": LIMITS | limits,
        }
        name = f"collector-{row.replace(' ', '-')}"
        file = self.folder / f"{name}.json"
        _write(file, settings)
        command = (sys.executable, "-m", "deploy.chaos.collector", str(file))
        collector = self.process(name, command, port=port)
        stage = Stage(row, self, folder, file, collector, settings)
        try:
            if start:
                collector.start()
            yield stage
        finally:
            collector.stop()

    def landed(self, tenant: str) -> Landed:
        """What SQL says of a tenant. Raises Stuck where an attempt has no price."""
        import sql

        with self.client() as client:
            ids = sql.fetch(client, "chaos_landed", tenant=tenant)["ids"].to_list()
            sums = sql.fetch(client, "chaos_sums", tenant=tenant).row(0, named=True)
        if sums["unpriced"]:
            raise Stuck(f"{tenant}: {sums['unpriced']} attempts have no price")
        return Landed.of(ids, sums["usd"])

    def books(self, spool: str) -> dict[str, int]:
        """What that collector told of its ledger."""
        import sql

        with self.client() as client:
            return dict(sql.fetch(client, "chaos_books", spool=spool).row(0, named=True))

    def ensure_store(self) -> None:
        """Start the store if it is down."""
        if not self.store.running:
            self.store.start()


Play = Callable[[Scene, int], Result]
"""Plays a row with that many moments, and says what came of it. Raises Stuck, NeverTaken."""


def _write(path: Path, settings: dict[str, Any]) -> None:
    """For its owner alone: the token is in it."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        json.dump(settings, file)
