"""A configuration read again takes the place of the one that serves, between two requests.

The new configuration gets a plane of its own; requests under way keep the plane they began on, with its catalogue, its
keys, its prices and its upstreams, to their end. What lives longer than a configuration is one thing on both planes:
`CARRIED` names it, and what becomes of it. All else (`REBUILT`) is made anew. So a slot taken before is given back to
the pool that later requests ask, a failure counts on the breaker that they meet, and nothing is counted twice.

A file with a fault changes nothing: the last good configuration serves on, and every fault is told.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from prometheus_client.core import Metric

from gateway.breakers.rules import rules_of
from gateway.config import ConfigError, Fault, RoutingConfig, changes, held_back
from gateway.domain import clock
from gateway.domain.ids import TierName, UpstreamId
from gateway.flow.plane import Plane
from gateway.flow.transitions import book_moves
from gateway.metrics import gauge

logger = logging.getLogger(__name__)

CARRIED = {
    "books": "the same",
    "loop": "the same",
    "database": "the same: another control.url takes a restart",
    "draw": "the same",
    "lanes": "the same: deadlines that were set are kept",
    "tasks": "the same",
    "exchanges": "the same: all requests under way, on whichever plane",
    "metrics": "the same counts; gauges read the new plane",
    "pools": "by tier: the same slots and lines, under the new sizes; a tier that is gone lives until its last request",
    "breakers": "the same states, under the new policy; of an upstream whose entry changed, closed",
    "answers": "the same answers, under the new bounds and modes; of an alias whose rungs changed, none is found again",
    "owners": "the same",
    "desk": "the same",
    "stored": "the same clients, each until its upstream's entry changes",
    "batches": "the same; who is gathered goes at once, on the plane it began on",
    "fuses": "the same sessions; one whose bounds changed starts anew",
    "throttle": "the same quotas and calls under way, under the new bounds",
    "budgets": "the same accounts, under the new limits",
    "forecasts": "by alias: what its answers taught",
    "prefixes": "the same, while prompts are marked",
    "upstreams": "the same connections, where the entry did not change; else new ones",
    "hosts": "the same loads, rests and sessions, where the upstream's entry did not change; else new ones",
    "retired": "connections of entries that changed or are gone, until their calls have ended",
}
REBUILT = {"config", "draining", "keys", "catalogue", "identity", "gathers", "slas", "host_names"}


@dataclass(frozen=True, slots=True)
class Reread:
    """The configuration as it stands now."""

    config: RoutingConfig
    next_start: tuple[str, ...] = ()
    """Places beyond the routing sections that changed and hold only from the next start on."""


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What became of a reload."""

    result: Literal["applied", "unchanged", "rejected"]
    fingerprint: str
    """Of the configuration that serves now."""
    changed: tuple[str, ...] = ()
    next_start: tuple[str, ...] = ()
    """Of what changed, what holds only from the next start on."""
    faults: tuple[Fault, ...] = ()


class Serving:
    """The plane that serves now."""

    def __init__(self, plane: Plane, read_again: Callable[[], Reread] | None = None) -> None:
        """`read_again` may block (it is called in a thread) and raises ConfigError with every fault."""
        self.plane = plane
        self.loaded_at: datetime = clock.utc_now()
        self.last: Reloaded | None = None
        """What became of the last reload; None before the first."""
        self._read_again = read_again
        self._reloading = asyncio.Lock()
        self._followers: list[Callable[[Plane], None]] = []
        self.follow(lambda served: served.metrics.also(self._gauges))

    def follow(self, follower: Callable[[Plane], None]) -> None:
        """Call it with the plane that serves, now and after each change."""
        self._followers.append(follower)
        follower(self.plane)

    async def reload(self) -> Reloaded:
        """Read the configuration again and serve by it; by the last good one if there is a fault. Never raises."""
        async with self._reloading:
            try:
                outcome = await self._reload()
            except Exception:
                logger.exception("a reload failed")
                outcome = self._rejected(Fault("", "the gateway made a mistake with it, which is in its log"))
            self.last = outcome
        self.plane.metrics.reloads.add(outcome.result)
        for fault in outcome.faults:
            logger.error("the configuration was not reloaded: %s", fault)
        if not outcome.faults:
            logger.info("reload: %s, now %s; changed: %s", outcome.result, outcome.fingerprint, outcome.changed or "-")
        if outcome.next_start:
            logger.warning("these changes need a restart: %s", ", ".join(outcome.next_start))
        return outcome

    async def _reload(self) -> Reloaded:
        if self._read_again is None:
            return self._rejected(Fault("", "this gateway was not started from a file"))
        try:
            again = await asyncio.to_thread(self._read_again)
        except ConfigError as error:
            return self._rejected(*error.faults)
        except OSError as error:
            return self._rejected(Fault("", f"cannot read the configuration: {error.strerror or error}"))
        if self.plane.draining:
            return self._rejected(Fault("", "the gateway is stopping"))
        changed = changes(self.plane.config, again.config)
        if changed:
            self.plane = successor(self.plane, again.config)
            self.loaded_at = clock.utc_now()
            for follower in self._followers:
                follower(self.plane)
        result: Literal["applied", "unchanged"] = "applied" if changed else "unchanged"
        waiting = (*held_back(changed), *again.next_start)
        return Reloaded(result, self.plane.config.fingerprint, changed, waiting)

    def _rejected(self, *faults: Fault) -> Reloaded:
        return Reloaded("rejected", self.plane.config.fingerprint, faults=faults)

    def _gauges(self) -> Iterator[Metric]:
        labels = (self.plane.config.fingerprint,)
        text = "Unix time at which the configuration that serves was loaded."
        yield gauge("tollway_config_loaded_seconds", text, ("hash",), ((labels, self.loaded_at.timestamp()),))


def successor(old: Plane, config: RoutingConfig) -> Plane:
    """The plane of that configuration, with what is carried over from the one that served before. There is no await in
    here, so no request sees a half of each."""
    old.batches.release()
    new = Plane(config, old.books, old.loop, old.database, old.draw)
    new.lanes, new.tasks, new.exchanges, new.fuses = old.lanes, old.tasks, old.exchanges, old.fuses
    new.owners, new.stored, new.desk = old.owners, old.stored, old.desk
    new.batches = old.batches
    old.budgets.follow(config)
    new.budgets = old.budgets
    new.metrics.continues(old.metrics)
    new.forecasts.update({name: known for name, known in old.forecasts.items() if name in config.aliases})
    if new.prefixes is not None:
        new.prefixes = old.prefixes or new.prefixes
    if old.answers is not None and new.answers is not None:
        old.answers.follow(config.cache)
        new.answers = old.answers
    old.throttle.follow(config, new.forecasts)
    new.throttle = old.throttle
    _upstreams(old, new)
    _breakers(old, new)
    _pools(old, new)  # Last: those in line to whom a larger pool gives a slot set out at once.
    return new


def _pools(old: Plane, new: Plane) -> None:
    kept = {name: pool for name, pool in old.pools.items() if name in new.pools}
    new.pools.update(kept)
    for name, pool in kept.items():
        pool.resize(new.config.tiers[TierName(name)], tuple(new.config.tenants.values()))


def _breakers(old: Plane, new: Plane) -> None:
    same = {name for name, pool in new.upstreams.items() if old.upstreams.get(name) is pool}
    rules = rules_of(new.config)
    old.breakers.follow(rules, lambda key: key.upstream in same and key.alias in new.config.aliases)
    book_moves(old)
    new.breakers = old.breakers


def _upstreams(old: Plane, new: Plane) -> None:
    for name, pool in old.upstreams.items():
        if new.config.upstreams.get(UpstreamId(name)) == pool.endpoint.upstream:
            new.upstreams[name] = pool
            if name in old.hosts:
                new.hosts[name] = old.hosts[name]
        else:
            for one in old.hosts[name].pools if name in old.hosts else (pool,):
                one.retire()
                old.retired.append(one)
    new.retired = [pool for pool in old.retired if pool.busy or new.exchanges]
