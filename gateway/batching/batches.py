"""The batches that are open, with one timer per tier: who is gathered is told when its batch closes.

A batch under a key is led by its first member, which makes one call for all. A wave, or a batch with one member, has no
leader: each goes by itself. Once the gateway drains nobody is gathered any more.
"""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Protocol

from prometheus_client.core import Metric

from gateway.batching.gather import Batch, Gathering, Limits
from gateway.config import Tier
from gateway.domain import clock
from gateway.metrics import gauge

INPUTS_MAX = {"embeddings": 2048, "completions": 128}
"""What one call may ask for, at most: vendors take no more inputs, or choices of all prompts together, than this."""
EARLY_S = 0.0005
"""A timer may ring this much before its time."""


class Gathered(Protocol):
    """A request that can be gathered. One of these is called, once, unless it leaves before."""

    def go(self) -> None:
        """The wait is over: go on alone."""

    def lead(self, members: Sequence["Gathered"]) -> None:
        """The same for several: make one call for all `members`, of whom this is the first."""


class Batches:
    """What is gathered in all tiers."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._tiers: dict[str, _Line] = {}
        self._draining = False

    def gather(self, who: Gathered, tier: Tier, key: bytes | None, *, kind: str, tokens: int, inputs: int) -> None:
        """Gather it with those of its key, or (None) into the tier's next wave; it may be told before this returns."""
        if self._draining:
            who.go()
            return
        line = self._tiers.get(tier.name)
        if line is None:
            line = self._tiers[tier.name] = _Line(self._loop)
        limits = Limits(
            window_s=tier.micro_batch_ms / 1000,
            tokens_max=tier.max_batch_tokens,
            inputs_max=INPUTS_MAX[kind] if key is not None else tier.max_queue,
            members_max=max(1, tier.max_queue),
        )
        line.gather(who, key, limits, tokens=tokens, inputs=inputs)

    def leave(self, who: Gathered, tier: str) -> bool:
        """Gather it no longer; False if it was not."""
        line = self._tiers.get(tier)
        return line is not None and line.leave(who)

    def gathered(self) -> list[tuple[tuple[str, ...], int]]:
        """How many wait, by tier."""
        return [((name,), len(line)) for name, line in self._tiers.items()]

    def metrics(self) -> Iterator[Metric]:
        """What Prometheus reads."""
        yield gauge("tollway_gathered", "Requests waiting to be batched.", ("tier",), self.gathered())

    def drain(self) -> None:
        """Let all who are gathered go now, and gather nobody from now on."""
        self._draining = True
        self.release()

    def release(self) -> None:
        """Let all who are gathered go now."""
        for line in self._tiers.values():
            line.close()


class _Line:
    """One tier's."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._gathering: Gathering[Gathered] = Gathering()
        self._timer: asyncio.TimerHandle | None = None
        self._rings_at = 0.0

    def __len__(self) -> int:
        return len(self._gathering)

    def gather(self, who: Gathered, key: bytes | None, limits: Limits, *, tokens: int, inputs: int) -> None:
        closed = self._gathering.add(who, key, tokens=tokens, inputs=inputs, limits=limits, now=clock.monotonic())
        self._arm()
        _release(closed)

    def leave(self, who: Gathered) -> bool:
        left = self._gathering.leave(who)
        self._arm()
        return left

    def close(self) -> None:
        closed = self._gathering.close()
        self._arm()
        _release(closed)

    def _ring(self) -> None:
        self._timer = None
        closed = self._gathering.due(clock.monotonic() + EARLY_S)
        self._arm()
        _release(closed)

    def _arm(self) -> None:
        """Keep the timer only while someone waits; one that rings too early does no harm."""
        due = self._gathering.next_due()
        if self._timer is not None and (due is None or due < self._rings_at):
            self._timer.cancel()
            self._timer = None
        if due is not None and self._timer is None:
            self._rings_at = due
            self._timer = self._loop.call_later(max(0.0, due - clock.monotonic()), self._ring)


def _release(closed: Sequence[Batch[Gathered]]) -> None:
    for batch in closed:
        members = list(batch.members)
        if batch.key is None or len(members) == 1:
            for who in members:
                who.go()
        else:
            members[0].lead(members)
