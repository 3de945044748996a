"""Load for a bench: connections that ask, read the answer to its end, and ask again; open loop or closed loop."""

import asyncio
from dataclasses import dataclass, field
from typing import cast

from gateway.domain import clock


@dataclass
class Load:
    """What a run brought."""

    requests: int = 0
    chunks: int = 0
    errors: int = 0
    seconds: float = 0.0
    latencies_s: list[float] = field(default_factory=list)

    def percentile_ms(self, share: float) -> float:
        """A latency in milliseconds."""
        ordered = sorted(self.latencies_s) or [0.0]
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class Asker(asyncio.Protocol):
    """One connection in a closed loop: it asks again when an answer has ended, until it is told to stop."""

    def __init__(self, request: bytes, load: Load, *, every_s: float = 0.0) -> None:
        self._request = request
        self._load = load
        self._every_s = every_s
        self._loop = asyncio.get_running_loop()
        self._buffer = b""
        self._asked_at = 0.0
        self.stopping = False
        self.done: asyncio.Future[None] = self._loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._due = clock.monotonic()
        self._ask()

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        if not self._ended():
            return
        now = clock.monotonic()
        self._load.requests += 1
        self._load.chunks += self._buffer.count(b"data: {")
        self._load.errors += not self._buffer.startswith(b"HTTP/1.1 200")
        self._load.latencies_s.append(now - self._asked_at)
        self._buffer = b""
        if self.stopping:
            self._transport.close()
        elif self._every_s:
            self._due += self._every_s
            self._loop.call_later(max(0.0, self._due - now), self._ask)
        else:
            self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        self._load.errors += not self.stopping
        if not self.done.done():
            self.done.set_result(None)

    def _ask(self) -> None:
        if self.stopping:
            self._transport.close()
            return
        self._asked_at = clock.monotonic()
        self._transport.write(self._request)

    def _ended(self) -> bool:
        head = self._buffer.find(b"\r\n\r\n")
        if head < 0:
            return False
        length = self._buffer.find(b"content-length: ", 0, head)
        if length < 0:
            return self._buffer.endswith(b"0\r\n\r\n")
        stated = int(self._buffer[length + 16 : self._buffer.find(b"\r\n", length)])
        return len(self._buffer) >= head + 4 + stated


async def drive(port: int, request: bytes, *, connections: int, seconds: float, every_s: float = 0.0) -> Load:
    """Ask over that many connections for that long; `every_s` makes each ask at a fixed pace."""
    load = Load()
    loop = asyncio.get_running_loop()
    askers = []
    began = clock.monotonic()
    for _ in range(connections):
        _, asker = await loop.create_connection(lambda: Asker(request, load, every_s=every_s), "127.0.0.1", port)
        askers.append(asker)
    await asyncio.sleep(seconds)
    load.seconds = clock.monotonic() - began
    for asker in askers:
        asker.stopping = True
    await asyncio.wait([asker.done for asker in askers], timeout=5)
    return load
