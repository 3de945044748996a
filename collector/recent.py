"""Bodies seen lately, by sender and digest: one that comes again is acknowledged without being kept again.

A resend may arrive while the first is on its way to the disk; then it waits, for it may only be acknowledged once the
first is safe. Belongs to the event loop alone, but for `forget`.
"""

import asyncio
from collections import OrderedDict
from queue import Empty, SimpleQueue

Key = tuple[str, bytes]


class RecentBodies:
    """What is known of bodies, for a time and up to a number, whichever is less."""

    def __init__(self, *, horizon_s: float, bodies_max: int) -> None:
        self._horizon_ms = int(horizon_s * 1000)
        self._bodies_max = bodies_max
        self._safe: OrderedDict[Key, tuple[int, int]] = OrderedDict()
        self._lost: SimpleQueue[tuple[str, bytes | None]] = SimpleQueue()
        self._on_their_way: dict[Key, asyncio.Future[None]] = {}

    def __len__(self) -> int:
        return len(self._safe)

    def forget(self, sender: str, digest: bytes | None = None) -> None:
        """What that body held is lost, so it is new when it comes again; None = perhaps any of the sender's. From any
        thread."""
        self._lost.put((sender, digest))

    def _forget_lost(self) -> None:
        while True:
            try:
                sender, digest = self._lost.get_nowait()
            except Empty:
                return
            if digest is not None:
                self._safe.pop((sender, digest), None)
                continue
            for key in [key for key in self._safe if key[0] == sender]:
                del self._safe[key]

    async def begin(self, key: Key) -> int | None:
        """None = it is new, and `settle` must follow; a number = it is safe already and has that many spans."""
        while (first := self._on_their_way.get(key)) is not None:
            await asyncio.wait([first])
        self._forget_lost()
        known = self._safe.get(key)
        if known:
            return known[1]
        self._on_their_way[key] = asyncio.get_running_loop().create_future()
        return None

    def settle(self, key: Key, *, spans: int | None, now_ms: int) -> None:
        """What came of a new body: its spans once it is safe, None when it was not kept; whoever waited goes on."""
        if spans is not None:
            self.remember(key, spans=spans, received_ms=now_ms)
        self._on_their_way.pop(key).set_result(None)

    def remember(self, key: Key, *, spans: int, received_ms: int) -> None:
        """Know a body that is safe."""
        self._safe[key] = (received_ms, spans)
        while self._safe:
            oldest = next(iter(self._safe.values()))
            if len(self._safe) <= self._bodies_max and oldest[0] >= received_ms - self._horizon_ms:
                break
            self._safe.popitem(last=False)
