"""A pool per tier: its own slots, its own queue, its own patience. No tier ever uses another's slots.

The fair queue decides; this shell reads the clock, keeps one timer per pool for those who wait too long, and tells
each request what became of it.
"""

import asyncio
import math
from typing import Protocol

from gateway.config import Tier
from gateway.domain import clock
from gateway.errors import QueueFull, QueueTimeout
from gateway.fair_queue import FairQueue, Full, Granted, Limits, Queued

RETRY_AFTER_S_MAX = 60
SMOOTHING = 0.1
"""How much the last request weighs in the running mean of how long a slot is held."""


class Applicant(Protocol):
    """A request that asks a pool for a slot. Exactly one of these is called, once, unless it withdraws before."""

    def slot_granted(self, waited_s: float) -> None:
        """It has a slot, and must give it back with `release`."""

    def slot_denied(self, error: QueueFull | QueueTimeout, waited_s: float) -> None:
        """It gets none."""


class Pool:
    """One tier's slots."""

    def __init__(self, tier: Tier, loop: asyncio.AbstractEventLoop) -> None:
        self.tier = tier
        self._loop = loop
        self._queue: FairQueue[Applicant] = FairQueue(Limits(tier.max_inflight, tier.max_queue, tier.max_queue_seconds))
        self._arrived: dict[Applicant, float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._held_s_mean = 1.0
        self.turned_away = {"tier_queue_full": 0, "tier_queue_timeout": 0}

    @property
    def inflight(self) -> int:
        """Slots in use."""
        return self._queue.inflight

    @property
    def queued(self) -> int:
        """Requests in line."""
        return self._queue.queued

    def arrive(self, who: Applicant, *, tenant: str, weight: int, now: float) -> None:
        """Ask for a slot; the answer comes through `who`, before this returns if there is nothing to wait for."""
        match self._queue.arrive(who, tenant, weight, now):
            case Granted():
                who.slot_granted(0.0)
            case Full():
                self._deny_full(who, 0.0)
            case Queued(displaced):
                self._arrived[who] = now
                self._arm()
                if displaced is not None:
                    self._deny_full(displaced, now - self._arrived.pop(displaced))

    def withdraw(self, who: Applicant, *, tenant: str) -> bool:
        """Leave the line; False if `who` was not in it."""
        self._arrived.pop(who, None)
        return self._queue.leave(who, tenant)

    def release(self, held_s: float) -> None:
        """Give a slot back after `held_s` seconds; the next in line has it before this returns."""
        self._held_s_mean += SMOOTHING * (held_s - self._held_s_mean)
        successor = self._queue.release()
        if successor is not None:
            successor.slot_granted(clock.monotonic() - self._arrived.pop(successor))

    def resize(self, tier: Tier) -> None:
        """Go on under the tier's new sizes: those who hold a slot or wait keep it, and more slots go to who waits."""
        self.tier = tier
        now = clock.monotonic()
        for successor in self._queue.resize(Limits(tier.max_inflight, tier.max_queue, tier.max_queue_seconds)):
            successor.slot_granted(now - self._arrived.pop(successor))
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._arm()

    def retry_after_s(self) -> int:
        """Whole seconds until the queue, at its present pace, will have drained."""
        drain_s = (self._queue.queued + 1) * self._held_s_mean / self.tier.max_inflight
        return max(1, min(RETRY_AFTER_S_MAX, math.ceil(drain_s)))

    def _deny_full(self, who: Applicant, waited_s: float) -> None:
        self.turned_away["tier_queue_full"] += 1
        message = f"The tier {self.tier.name!r} has no free slot and its queue is full. Retry later."
        who.slot_denied(QueueFull(message, retry_after_s=self.retry_after_s()), waited_s)

    def _arm(self) -> None:
        expiry = self._queue.next_expiry()
        if self._timer is None and expiry is not None:
            self._timer = self._loop.call_later(max(0.0, expiry - clock.monotonic()), self._expire)

    def _expire(self) -> None:
        self._timer = None
        now = clock.monotonic()
        for who in self._queue.expire(now):
            self.turned_away["tier_queue_timeout"] += 1
            message = f"No slot of the tier {self.tier.name!r} came free in time. Retry later."
            error = QueueTimeout(message, retry_after_s=self.retry_after_s())
            who.slot_denied(error, now - self._arrived.pop(who))
        self._arm()
