"""Senders that never give up, and the question that matters: is what was acknowledged in the store, once?"""

import random
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.collector.emitting import body, keys
from tests.collector.processes import RunningCollector


def landed(store: Any, sent: list[bytes]) -> Counter[bytes]:
    """How often each of those spans is in the store."""
    wanted = {one.hex() for one in sent}
    rows = store.writer.query("SELECT concat(trace_id, span_id) FROM tollway.spans").result_rows
    return Counter(bytes.fromhex(found) for (found,) in rows if found in wanted)


def column(store: Any, name: str, sent: list[bytes]) -> set[str]:
    """The values of a column of those spans."""
    rows = store.writer.query(
        f"SELECT {name} FROM tollway.spans WHERE trace_id IN {{ids:Array(String)}}",  # noqa: S608 - a column name of the tests
        parameters={"ids": [one[:16].hex() for one in sent]},
    )
    return {value for (value,) in rows.result_rows}


@dataclass
class Traffic:
    """Threads that send bodies until told to stop, each body until it is acknowledged; some twice, some overlapping."""

    collector: RunningCollector
    seed: int
    sent: list[bytes] = field(default_factory=list)
    """Every span that was acknowledged."""
    resent: int = 0
    refused: Counter[int] = field(default_factory=Counter)
    """Answers other than 200, by status."""

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._send, args=(self.seed * 100 + n,)) for n in range(3)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def finish(self) -> None:
        """Send no more, once all that was begun is acknowledged."""
        self._stop.set()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive(), "a body was never acknowledged"

    def _send(self, seed: int) -> None:
        draw = random.Random(seed)
        before: list[bytes] = []
        with httpx.Client(timeout=5) as client:
            while not self._stop.is_set():
                fresh = keys(draw.randint(1, 40))
                overlap = draw.sample(before, min(len(before), 3)) if draw.random() < 0.3 else []
                content = body(fresh + overlap, name=f"body {draw.random()}")
                self._until_acknowledged(client, content)
                if draw.random() < 0.2:
                    self._until_acknowledged(client, content)
                    self.resent += 1
                with self._lock:
                    self.sent += fresh
                before = (before + fresh)[-200:]
                self._stop.wait(draw.random() * 0.02)

    def _until_acknowledged(self, client: httpx.Client, content: bytes) -> None:
        headers = {"content-type": "application/x-protobuf", "authorization": f"Bearer {self.collector.token}"}
        while True:
            try:
                answer = client.post(f"{self.collector.url}/v1/traces", content=content, headers=headers)
            except httpx.TransportError:
                threading.Event().wait(0.05)
                continue
            if answer.status_code == 200:
                return
            assert answer.status_code == 503, answer.content
            self.refused[answer.status_code] += 1
            threading.Event().wait(0.05)
