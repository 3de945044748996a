"""Senders that never give up: each body is sent until it is acknowledged; some come twice, some overlap others.

Each is a thread with a connection of its own. What is not a 200 is sent again, as OTLP's senders do; a 4xx is a fault
of the generator or the collector and ends the row.
"""

import gzip
import http.client
import random
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from deploy.chaos import spans
from deploy.chaos.ledger import Ledger, SpanSent

TIMEOUT_S = 5.0
AGAIN_S = 0.03
PAUSE_S = 0.02
JOIN_S = 120.0


class NeverTaken(RuntimeError):
    """A body was refused for good, or a sender could not end."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where the collector takes spans, and as whom."""

    port: int
    token: str


@dataclass
class Senders:
    """Some threads of traffic for one tenant; `start`, then `finish`."""

    to: Address
    tenant: str
    ledger: Ledger
    seed: int
    now_ns: Callable[[], int]
    threads: int = 3
    timeout_s: float = TIMEOUT_S
    spans_max: int = 40
    answers: Counter[int] = field(default_factory=Counter)
    """By status; 0 = there was none."""

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._faults: list[str] = []
        self._threads = [
            threading.Thread(target=self._run, args=(number,), daemon=True) for number in range(self.threads)
        ]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def finish(self) -> None:
        """Begin no more bodies, and wait until those begun are acknowledged. Raises NeverTaken."""
        self._stop.set()
        for thread in self._threads:
            thread.join(JOIN_S)
            if thread.is_alive():
                raise NeverTaken(f"a body was not acknowledged within {JOIN_S:.0f} s; answers: {dict(self.answers)}")
        if self._faults:
            raise NeverTaken(self._faults[0])

    def _run(self, number: int) -> None:
        dice = random.Random(f"{self.seed}/{self.tenant}/{number}")
        before: list[SpanSent] = []
        while not self._stop.is_set() and not self._faults:
            fresh = spans.draw(dice, dice.randint(1, self.spans_max))
            overlap = dice.sample(before, min(3, len(before))) if dice.random() < 0.3 else []
            mark = f"{number}/{dice.random()}"
            content = spans.body([*fresh, *overlap], tenant=self.tenant, now_ns=self.now_ns(), mark=mark)
            for _ in range(2 if dice.random() < 0.2 else 1):
                self.deliver(content, fresh, zipped=dice.random() < 0.5)
            before = (before + fresh)[-200:]
            self._stop.wait(dice.random() * PAUSE_S)

    def deliver(self, content: bytes, fresh: list[SpanSent], *, zipped: bool = False) -> None:
        """Send one body until it is acknowledged, or a fault was met."""
        self.ledger.sent(fresh)
        headers = {"content-type": "application/x-protobuf", "authorization": f"Bearer {self.to.token}"}
        if zipped:
            headers["content-encoding"], content = "gzip", gzip.compress(content, 1)
        while not self._faults:
            status, said = self._post(content, headers)
            self.answers[status] += 1
            if status == 200:
                self.ledger.acknowledged(fresh)
                return
            if 400 <= status < 500 and status != 429:
                self._faults.append(f"answered {status}: {said[:200]!r}")
                return
            threading.Event().wait(AGAIN_S)

    def _post(self, content: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.to.port, timeout=self.timeout_s)
        try:
            connection.request("POST", "/v1/traces", content, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            return 0, b""
        finally:
            connection.close()
