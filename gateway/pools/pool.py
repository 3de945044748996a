"""A pool per tier: its own slots, its own queue, its own patience. No tier ever uses another's slots.

The fair queue decides; this shell reads the clock, keeps one timer per pool for those who wait too long, and tells
each request what became of it.
"""

import asyncio
import math
from collections.abc import Iterator, Mapping
from typing import Protocol

from prometheus_client.core import CounterMetricFamily, Metric

from gateway.config import Tenant, Tier
from gateway.domain import clock
from gateway.errors import QueueFull, QueueTimeout
from gateway.metrics import gauge
from gateway.pools.fair_queue import FairQueue, Full, Granted, Place, Queued
from gateway.pools.slots import Claim, Limits

RETRY_AFTER_S_MAX = 60
SMOOTHING = 0.1
"""How much the last request weighs in the running mean of how long a slot is held."""


ANYONE = Claim("")
"""No cap but the tier's own concerns it."""


class Applicant(Protocol):
    """A request that asks a pool for a slot. Exactly one of these is called, once, unless it withdraws before."""

    def slot_granted(self, waited_s: float) -> None:
        """It has a slot, and must give it back with `release`."""

    def slot_denied(self, error: QueueFull | QueueTimeout, waited_s: float) -> None:
        """It gets none."""


def limits_of(tier: Tier, tenants: tuple[Tenant, ...] = ()) -> Limits:
    """A tier's limits; `tenants` are those of the configuration, of whom some may use it."""
    users = [tenant for tenant in tenants if not tenant.tiers or tier.name in tenant.tiers]
    return Limits(
        max_inflight=tier.max_inflight,
        max_queue=tier.max_queue,
        max_queue_seconds=tier.max_queue_seconds,
        per_tenant=tier.max_inflight_per_tenant,
        per_session=tier.max_inflight_per_session,
        tokens=tier.max_tokens_inflight,
        reserved_share=float(tier.reserved_share),
        weights=sum(tenant.weight for tenant in users),
    )


class Pool:
    """One tier's slots."""

    def __init__(self, tier: Tier, loop: asyncio.AbstractEventLoop, tenants: tuple[Tenant, ...] = ()) -> None:
        self.tier = tier
        self._loop = loop
        self._queue: FairQueue[Applicant] = FairQueue(limits_of(tier, tenants))
        self._timer: asyncio.TimerHandle | None = None
        self._telling = False
        self._held_s_mean = 1.0
        self.turned_away = {QueueFull.code: 0, QueueTimeout.code: 0}
        """How many requests to this tier were refused, by the error's code."""

    @property
    def inflight(self) -> int:
        """Slots in use."""
        return self._queue.slots.inflight

    @property
    def tokens(self) -> int:
        """Tokens in flight, estimated; counted where the tier bounds them."""
        return self._queue.slots.tokens

    @property
    def queued(self) -> int:
        """Requests in line."""
        return self._queue.queued

    def arrive(self, who: Applicant, claim: Claim, now: float) -> None:
        """Ask for a slot; the answer comes through `who`, before this returns if there is nothing to wait for."""
        match self._queue.arrive(who, claim, now):
            case Granted():
                who.slot_granted(0.0)
            case Full():
                self._deny_full(who, claim, 0.0)
            case Queued(displaced):
                self._arm()
                if displaced is not None:
                    self._deny_full(displaced.who, displaced.claim, now - displaced.arrived)
                self._tell()

    def spares(self, claim: Claim) -> bool:
        """Whether a slot is free that nobody waits for."""
        return self._queue.spares(claim)

    def take_spare(self, claim: Claim) -> None:
        """Take such a slot; it must be given back with `release`."""
        self._queue.slots.take(claim)

    def withdraw(self, who: Applicant) -> bool:
        """Leave the line; False if `who` was not in it."""
        left = self._queue.leave(who)
        self._tell()
        return left

    def release(self, claim: Claim, held_s: float) -> None:
        """Give back what was claimed after `held_s` seconds; who has room now is told before this returns, but for a
        release that comes of such telling."""
        self._held_s_mean += SMOOTHING * (held_s - self._held_s_mean)
        self._queue.release(claim)
        self._tell()

    def resize(self, tier: Tier, tenants: tuple[Tenant, ...]) -> None:
        """From now on the tier is as `tier` says, for those who wait too; what runs runs on."""
        self.tier = tier
        self._queue.resize(limits_of(tier, tenants))
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._arm()
        self._tell()

    def retry_after_s(self, claim: Claim = ANYONE) -> int:
        """Whole seconds until, at the present pace, all who would go before one like it have gone."""
        return max(1, min(RETRY_AFTER_S_MAX, math.ceil(self._queue.backlog(claim) * self._held_s_mean)))

    def count_refusal(self, code: str) -> None:
        """A request to this tier was refused with that error."""
        self.turned_away[code] = self.turned_away.get(code, 0) + 1

    def _tell(self) -> None:
        """Tell those who have a slot now. In a loop, since who is told may end at once and give its slot back."""
        going = self._queue.going
        if not going or self._telling:
            return
        self._telling = True
        try:
            while going:
                who, place = going.popitem(last=False)
                who.slot_granted(clock.monotonic() - place.arrived)
        finally:
            self._telling = False
            if going:  # Telling one of them failed; the others hold slots that they must hear of.
                self._loop.call_soon(self._tell)

    def _deny_full(self, who: Applicant, claim: Claim, waited_s: float) -> None:
        self.count_refusal(QueueFull.code)
        message = f"The tier {self.tier.name!r} has no free slot and its queue is full. Retry later."
        who.slot_denied(QueueFull(message, retry_after_s=self.retry_after_s(claim)), waited_s)

    def _deny_late(self, place: Place[Applicant], now: float) -> None:
        self.count_refusal(QueueTimeout.code)
        message = f"No slot of the tier {self.tier.name!r} came free in time. Retry later."
        error = QueueTimeout(message, retry_after_s=self.retry_after_s(place.claim))
        place.who.slot_denied(error, now - place.arrived)

    def _arm(self) -> None:
        if self._timer is None and (expiry := self._queue.next_expiry()) is not None:
            self._timer = self._loop.call_later(max(0.0, expiry - clock.monotonic()), self._expire)

    def _expire(self) -> None:
        self._timer = None
        now = clock.monotonic()
        for place in self._queue.expire(now):
            self._deny_late(place, now)
        self._arm()
        self._tell()


def pool_metrics(pools: Mapping[str, Pool]) -> Iterator[Metric]:
    """What Prometheus reads of all pools."""
    named = pools.items()
    yield gauge("tollway_inflight", "Slots in use.", ("tier",), (((n,), p.inflight) for n, p in named))
    yield gauge("tollway_queued", "Requests in line.", ("tier",), (((n,), p.queued) for n, p in named))
    bounded = (((n,), p.tokens) for n, p in named if p.tier.max_tokens_inflight)
    yield gauge("tollway_tokens_inflight", "Tokens in flight, estimated.", ("tier",), bounded)
    refused = CounterMetricFamily("tollway_refused", "Requests refused, by error code.", labels=("tier", "cause"))
    for name, pool in named:
        for cause, count in pool.turned_away.items():
            refused.add_metric((name, cause), count)
    yield refused
