"""SIGKILL of the gateway at random moments, and at each call that its journal makes, before a vendor that bills.

The generator's ledger is the vendor's own here: whatever it was asked is in the store once, the killed calls among
them, and where both sides know the usage they agree to the last digit.
"""

import http.client
import json
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

from deploy.chaos.deaths import CANNOT_TRACE, TRACED, NotRun, can_trace, tracing
from deploy.chaos.ledger import Verdict, add
from deploy.chaos.processes import Process, Stuck, free_port, until
from deploy.chaos.scene import Result, Scene, Stage
from gateway.domain import clock

AT_WORK_S = 0.7
CALLERS = 4
KEY = "chaos-key-0123456789"
VENDOR_KEY = "sk-chaos-vendor"
VENDOR_ADMIN_KEY = "sk-chaos-admin"
PROVIDER = "chaos-vendor"
MODEL = "chaos-2"
PRICES = {"input": "0.15", "cached input": "0.075", "output": "0.60"}
NEED_NO_CHARGE = ("lost", "refused")
REST_S = 1.5
"""Nothing moves for this long: longer than a span may wait in an open segment of the journal."""
LANDED_WITHIN_S = 60.0

CONFIG = {
    "tenants": {"chaos-callers": {"keys": [KEY]}},
    "tiers": {"interactive": {"max_inflight": 32, "max_queue": 32}},
    "aliases": {"fast": {"tier": "interactive", "targets": [{"upstream": "vendor", "model": MODEL}]}},
    "rate_cards": [
        {
            "provider": PROVIDER,
            "model": MODEL,
            "effective_from": "2023-01-01T00:00:00Z",
            "per_million_tokens": {
                "input": PRICES["input"],
                "cache_read": PRICES["cached input"],
                "output": PRICES["output"],
            },
        }
    ],
}


def killed(scene: Scene, moments: int) -> Result:
    """At random moments, some of them in its start-up."""
    with _played(scene, "kill gateway") as (stage, house):
        house.gateway.start()
        with house.callers():
            for _ in range(moments):
                threading.Event().wait(scene.dice.random() * AT_WORK_S)
                stage.kill(house.gateway)
                house.gateway.start()
        return house.result()


def traced(scene: Scene, moments: int) -> Result:
    """strace kills it at the n-th call of each kind that one of its threads makes."""
    if not can_trace():
        raise NotRun(CANNOT_TRACE)
    with _played(scene, "each system call of the gateway") as (stage, house):
        with house.callers():
            for call in TRACED:
                for number in range(1, 1 + max(1, moments // len(TRACED))):
                    tracing(house.gateway, call)(number)
                    died = _dies(house.gateway)
                    stage.kill(house.gateway)
                    if not died:
                        break
        house.gateway.start()
        return house.result()


def _dies(gateway: Process) -> bool:
    """Whether it is killed, before it has served for so long that it makes no more such calls."""
    deadline = clock.monotonic() + 20.0
    served_since = None
    while gateway.running and clock.monotonic() < deadline:
        if served_since is None and gateway.is_ready():
            served_since = clock.monotonic()
        if served_since is not None and clock.monotonic() - served_since > REST_S:
            return False
        threading.Event().wait(0.02)
    return not gateway.running


@dataclass
class House:
    """A gateway, the vendor behind it, and those who call."""

    stage: Stage
    gateway: Process
    vendor: Process
    since: datetime
    answers: Counter[int] = field(default_factory=Counter)
    """By status; 0 = there was none."""

    @contextmanager
    def callers(self) -> Iterator[None]:
        """Threads that ask, until the block is left. None asks again what was not answered: each request is new."""
        stop = threading.Event()
        dice = [Random(self.stage.scene.dice.getrandbits(32)) for _ in range(CALLERS)]
        threads = [threading.Thread(target=self._ask, args=(stop, one), daemon=True) for one in dice]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            for thread in threads:
                thread.join(30)

    def result(self) -> Result:
        """Wait until nothing is under way, and judge. Raises Stuck."""
        last: list[object] = [None]
        since = [clock.monotonic()]

        def at_rest() -> bool:
            seen = (self._under_way(), len(self._attempts()))
            if any(seen[0]) or seen != last[0]:
                last[0], since[0] = seen, clock.monotonic()
            return clock.monotonic() - since[0] >= REST_S

        try:
            until(at_rest, f"{self.stage.row}: all has landed", within_s=LANDED_WITHIN_S)
        except Stuck as stuck:
            raise Stuck(f"{stuck}: {last[0]} are under way and stored; {self.gateway.said}") from None
        attempts = self._attempts()
        outcomes = Counter(str(attempt["outcome"]) for attempt in attempts)
        said = ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items()))
        spans = self.stage.books()["stored"]
        return Result(
            row=self.stage.row,
            moments=self.stage.moments,
            kills=self.stage.kills,
            verdict=judge(self._ledger(), attempts),
            seconds=round(clock.monotonic() - self.stage.began, 1),
            note=f"attempts: {said}; {self.answers[200]} requests answered",
            books=self.stage.told_books(spans),
        )

    def _under_way(self) -> tuple[int, int, bool]:
        """At the vendor, in the spool, and whether the gateway is away."""
        open_requests = sum(row["cause"] == "received" for row in self._ledger())
        return open_requests, self.stage.books().get("pending", 1), not self.gateway.is_ready()

    def _ledger(self) -> list[dict[str, Any]]:
        status, said = self.vendor.get("/_witness/ledger")
        if status != 200:
            raise Stuck(f"the vendor answers {status}")
        return list(json.loads(said))

    def _attempts(self) -> list[dict[str, Any]]:
        import sql

        with self.stage.scene.client() as client:
            until_then = clock.utc_now() + timedelta(days=1)
            frame = sql.fetch(client, "demo_attempts", since=self.since, until=until_then)
        return [row for row in frame.iter_rows(named=True) if row["provider"] == PROVIDER]

    def _ask(self, stop: threading.Event, dice: Random) -> None:
        headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
        while not stop.is_set():
            prompt = " ".join(f"word{dice.randint(0, 999)}" for _ in range(dice.randint(5, 50)))
            asked = {
                "model": "fast",
                "messages": [{"role": "user", "content": prompt}],
                "max_tokens": dice.randint(1, 40),
                "stream": dice.random() < 0.5,
            }
            connection = http.client.HTTPConnection("127.0.0.1", self.gateway.port, timeout=10)
            try:
                connection.request("POST", "/v1/chat/completions", json.dumps(asked), headers)
                answer = connection.getresponse()
                answer.read()
                self.answers[answer.status] += 1
            except (OSError, http.client.HTTPException):
                self.answers[0] += 1
                stop.wait(0.05)
            finally:
                connection.close()


def judge(ledger: Sequence[Mapping[str, Any]], attempts: Sequence[Mapping[str, Any]]) -> Verdict:
    """Hold the vendor's rows against the store's attempts. Pure.

    A request of the vendor's without an attempt is missing; an attempt of which the vendor never heard is a stranger
    unless it was lost or refused. Sums are of what both sides know: attempts with the vendor's final usage.
    """
    billed = {str(row["request_id"]): add(map(Decimal, row["billed"].values())) for row in ledger}
    found = Counter(str(attempt["attempt_id"]) for attempt in attempts)
    measured = [attempt for attempt in attempts if attempt["completeness"] == "measured"]
    strangers = {str(one["attempt_id"]) for one in attempts if one["outcome"] not in NEED_NO_CHARGE} - billed.keys()
    return Verdict(
        acknowledged=len(billed),
        stored=len(attempts),
        duplicates=len(attempts) - len(found),
        missing=len(billed.keys() - found.keys()),
        strangers=len(strangers),
        expected_usd=add(billed.get(str(one["attempt_id"]), Decimal(0)) for one in measured),
        stored_usd=add(one["cost_usd"] for one in measured),
    )


@contextmanager
def _played(scene: Scene, row: str) -> "Iterator[tuple[Stage, House]]":
    """The processes of such a row; the gateway is not started yet."""
    with scene.stage(row) as stage:
        since = clock.utc_now().astimezone(UTC) - timedelta(seconds=1)
        folder = scene.folder / row.replace(" ", "-")
        vendor = _vendor(scene, folder)
        gateway = _gateway(scene, stage, folder, vendor.port)
        try:
            vendor.start()
            _load_cards(scene, folder / "tollway.yaml")
            yield stage, House(stage, gateway, vendor, since)
        finally:
            gateway.stop()
            vendor.stop()


def _vendor(scene: Scene, folder: Path) -> Process:
    port = free_port()
    settings = {
        "name": "chaos",
        "organization_id": "org-chaos",
        "project_id": "proj-chaos",
        "keys": {VENDOR_KEY: "key-chaos"},
        "admin_key": VENDOR_ADMIN_KEY,
        "models": {MODEL: {"snapshot": f"{MODEL}-2026", "per_million": PRICES}},
        "ledger": str(folder / "vendor.jsonl"),
        "witness": True,
    }
    file = folder / "vendor.json"
    file.write_text(json.dumps(settings), "utf-8")
    command = (sys.executable, "-m", "deploy.demo.vendor", "--config", str(file), "--listen", f"127.0.0.1:{port}")
    return scene.process(f"vendor-{folder.name}", command, port=port, ready_path="/healthz")


def _gateway(scene: Scene, stage: Stage, folder: Path, vendor_port: int) -> Process:
    port = free_port()
    upstream = {
        "base_url": f"http://127.0.0.1:{vendor_port}/v1",
        "api_key": VENDOR_KEY,
        "provider": PROVIDER,
        "account": "org-chaos",
    }
    config = CONFIG | {
        "gateway": {"listen": f"127.0.0.1:{port}"},
        "collector": {"otlp_http": f"127.0.0.1:{stage.address.port}", "otlp_grpc": ""},
        "data_dir": str(folder / "data"),
        "upstreams": {"vendor": upstream},
    }
    (folder / "data" / "secrets").mkdir(parents=True, mode=0o700)
    token = folder / "data" / "secrets" / "otlp-gateway"
    token.touch(mode=0o600)
    token.write_text(stage.address.token, "utf-8")
    (folder / "tollway.yaml").write_text(json.dumps(config), "utf-8")
    command = (sys.executable, "-m", "deploy.cli", "serve", "gateway", "--config", str(folder / "tollway.yaml"))
    return scene.process(f"gateway-{folder.name}", command, port=port)


def _load_cards(scene: Scene, config: Path) -> None:
    """The store's cards become the gateway's and the generator's."""
    from deploy.settings import read

    scene.load_cards(read(config).routing().rate_cards.cards)
