"""Everything the data path shares: what the configuration laid down, and the running state of pools, breakers,
connections and books. Made once per process, on its event loop.
"""

import asyncio
import random
import ssl
from collections.abc import Callable, Iterator
from functools import cache
from typing import Protocol

from prometheus_client.core import Metric

from gateway.auth import KeyRing
from gateway.batching.batches import Batches
from gateway.breakers.keeper import Breakers, Health
from gateway.breakers.metrics import breaker_metrics
from gateway.breakers.rules import rules_of
from gateway.budgets.keeper import BudgetKeeper
from gateway.cache.template import Prefixes
from gateway.catalogue import Catalogue
from gateway.config import RoutingConfig, Upstream
from gateway.config.hosts import host_names
from gateway.control.database import Database
from gateway.domain import clock
from gateway.domain.attempt import Attempt, Feedback, Intent, Operation, Transition
from gateway.domain.ids import UpstreamId
from gateway.domain.rate_card import RateCard
from gateway.feedback.answered import LookUp
from gateway.feedback.desk import Desk
from gateway.flow.caching import AnswerCache, answer_cache
from gateway.flow.deadlines import Lanes
from gateway.flow.tasks import Tasks
from gateway.flow.throttle import Throttle
from gateway.identity import Identity
from gateway.ladder.estimate import Forecast
from gateway.limits.sessions import Fuses
from gateway.metrics import Metrics
from gateway.pools.pool import Pool, pool_metrics
from gateway.sla import counted, sla_metrics
from gateway.stored.owners import Owners
from gateway.stored.state import StoredState
from gateway.upstream.client import UpstreamPool
from gateway.upstream.endpoint import Endpoint
from gateway.upstream.hosts import HostSet, host_metrics


class Books(Protocol):
    """Where attempts are recorded: the journal, as far as the data path knows it."""

    def intent(self, intent: Intent) -> None:
        """Append it before the first byte is sent. Raises OSError if it cannot be kept."""

    async def intent_synced(self, intent: Intent) -> None:
        """The same, and on the disk before this returns."""

    def late(self, attempt: Attempt) -> None:
        """An attempt that a vendor made by itself and told of afterwards, without an intent. Raises OSError."""

    async def flushed(self) -> None:
        """Return once all that was recorded until now is on the disk. Raises OSError."""

    def end(self, attempt: Attempt) -> None:
        """How the attempt ended; called exactly once for each intent."""

    def operation(self, operation: Operation) -> None:
        """The client's request, ended."""

    def transition(self, transition: Transition) -> None:
        """A breaker or a region that moved."""

    def feedback(self, feedback: Feedback) -> None:
        """What a tenant said of an answer. Raises OSError if it cannot be kept."""


class Stoppable(Protocol):
    """A request under way."""

    @property
    def has_slot(self) -> bool:
        """Whether it is past its tier's queue."""

    def stop(self) -> None:
        """End it now, and record it."""


class Plane:
    """The routing plane of one process."""

    def __init__(
        self,
        config: RoutingConfig,
        books: Books,
        loop: asyncio.AbstractEventLoop,
        database: Database,
        draw: Callable[[], float] = random.random,
        look_up: LookUp | None = None,
    ) -> None:
        self.config = config
        self.books = books
        self.loop = loop
        self.database = database
        self.draw = draw
        """A random number from 0 to 1, 1 excluded, for decisions that spread load; it keeps no secret."""
        self.draining = False
        self.retired: list[UpstreamPool] = []
        """Connections to upstreams that a reload took out, for as long as they are open."""
        self.keys = KeyRing(config.tenants.values())
        self.catalogue = Catalogue(config)
        self.identity = Identity(config)
        tenants = tuple(config.tenants.values())
        self.pools: dict[str, Pool] = {tier.name: Pool(tier, loop, tenants) for tier in config.tiers.values()}
        self.slas = counted(config.tiers.values())
        """What is promised, by tier, of those whose requests are held against it."""
        self.breakers = Breakers(rules_of(config), draw)
        self.forecasts: dict[str, Forecast] = {name: Forecast() for name in config.aliases}
        self.fuses = Fuses()
        self.desk = Desk(look_up)
        self.batches = Batches(loop)
        self.gathers = any(tier.micro_batch_ms for tier in config.tiers.values())
        """Whether any tier gathers requests."""
        self.throttle = Throttle(config, self.forecasts)
        self.lanes = Lanes(loop)
        self.tasks = Tasks(loop)
        self.owners = Owners(database, loop, self.tasks)
        self.stored = StoredState(self.owners)
        self.budgets = BudgetKeeper(config, database, loop, self.tasks)
        self.exchanges: set[Stoppable] = set()
        self.metrics = Metrics()
        self.metrics.also(self._gauges)
        self.answers: AnswerCache | None = answer_cache(config.cache)
        """None where the configuration keeps no answers."""
        self.prefixes: Prefixes | None = Prefixes() if config.cache.mode == "template" else None
        """None where the configuration marks no prompts."""
        self.upstreams: dict[str, UpstreamPool] = {
            name: UpstreamPool(endpoint, loop, _client_context() if endpoint.tls else None)
            for name, endpoint in ((u.name, Endpoint(u)) for u in config.upstreams.values())
        }
        self.host_names = host_names(config.hosts, config.upstreams.values())
        """The machine behind an upstream's base URL, where the operator names one."""
        self.hosts: dict[str, HostSet] = {
            upstream.name: self._host_set(upstream) for upstream in config.upstreams.values() if upstream.hosts
        }
        """By upstream, where there are several hosts; the first is the one under `upstreams`."""

    def _host_set(self, upstream: Upstream) -> HostSet:
        more = [Endpoint(upstream.model_copy(update={"base_url": url})) for url in upstream.hosts]
        pools = [UpstreamPool(one, self.loop, _client_context() if one.tls else None) for one in more]
        return HostSet(
            [self.upstreams[upstream.name], *pools],
            idle_s_max=upstream.cache_idle_s,
            host_max_inflight=upstream.host_max_inflight,
        )

    @property
    def health(self) -> Health:
        """Where local hosts tell how short of memory they are."""
        return self.breakers.health

    def drain(self) -> None:
        """Take no new work up where it can be helped; who waits to be batched waits no longer."""
        self.draining = True
        self.batches.drain()

    def stop(self) -> None:
        """End every request that is still under way, and record each."""
        self.draining = True
        # Those in line first: else each slot that is given back would be given to one of them.
        for exchange in sorted(self.exchanges, key=lambda one: one.has_slot):
            exchange.stop()

    async def close(self) -> None:
        """Stop, and give back every connection, timer and task."""
        self.stop()
        await self.tasks.close()
        await self.budgets.close()
        self.lanes.close()
        await self.stored.close()
        self.desk.close()
        further = (pool for hosts in self.hosts.values() for pool in hosts.pools[1:])
        for pool in (*self.upstreams.values(), *further, *self.retired):
            await pool.close()

    def card_of(self, upstream: str, model: str, tier: str = "", prompt_tokens: int = 0) -> RateCard | None:
        """The card in force now for a prompt so long to that model there, in that processing tier; "" = the default."""
        behind = self.config.upstreams[UpstreamId(upstream)]
        return self.config.rate_cards.in_force(
            provider=behind.provider,
            account=behind.account,
            model=model,
            at=clock.utc_now(),
            tier=tier,
            region=behind.region,
            deployment=behind.deployment,
            prompt_tokens=prompt_tokens,
        )

    def _gauges(self) -> Iterator[Metric]:
        yield from self.stored.collect()
        yield self.fuses.trips.family("tollway_fuse_trips", "Requests refused by a session's fuse.", ("tier", "bound"))
        yield from self.batches.metrics()
        yield from pool_metrics(self.pools)
        yield from sla_metrics(self.config.tiers.values())
        yield from self.throttle.metrics()
        yield from breaker_metrics(self.breakers, clock.monotonic())
        if self.answers is not None:
            yield from self.answers.metrics()
        if self.hosts:
            yield from host_metrics(self.hosts, clock.monotonic())
        yield from self.budgets.metrics()


@cache
def _client_context() -> ssl.SSLContext:
    """One context for all https upstreams of the process: making one costs 20 ms, and it may be shared."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context
