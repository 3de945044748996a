"""Sends the planned requests at their times and counts how they ended. Retries nothing.

While nobody accepts at the gateway's address (it was killed and starts again), requests whose time has come wait, for
a bounded time; those that were under way are counted as lost.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from deploy.demo.traffic.client import Reply, Unreachable, ask
from deploy.demo.traffic.plan import Planned
from gateway.domain import clock

CONNECTIONS_MAX = 256
ANSWER_WITHIN_S = 60.0
ACCEPTS_WITHIN_S = 30.0
LOOK_AGAIN_S = 0.1


@dataclass(slots=True)
class Tally:
    """How the requests ended. `errors` counts by code; the three kinds add up to `requests`."""

    requests: int = 0
    ok: int = 0
    cancelled: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    waited: int = 0
    """Requests that had to wait for the gateway to accept; they are among the others."""
    wall_s: float = 0.0

    def count(self, reply: Reply) -> None:
        """Add one reply."""
        self.requests += 1
        if reply.cancelled:
            self.cancelled += 1
        elif reply.error:
            self.errors[reply.error] += 1
        else:
            self.ok += 1


async def replay(
    planned: Sequence[Planned],
    *,
    host: str,
    port: int,
    keys: Mapping[str, str],
    progress: Callable[[int], None] = lambda done: None,
    tally: Tally | None = None,
) -> Tally:
    """Send them all, each at its time after now, with its tenant's key; the tally, which is counted into on the way.

    `progress` gets how many have ended.
    """
    tally, places = tally or Tally(), asyncio.Semaphore(CONNECTIONS_MAX)
    began = clock.monotonic()

    async def one(request: Planned) -> None:
        async with places:
            tally.count(await _send(request, host, port, keys[request.tenant], tally))
        progress(tally.requests)

    async with asyncio.TaskGroup() as group:
        for request in planned:
            await asyncio.sleep(began + request.at_s - clock.monotonic())
            group.create_task(one(request))
    tally.wall_s = clock.monotonic() - began
    return tally


async def _send(request: Planned, host: str, port: int, key: str, tally: Tally) -> Reply:
    """Send once somebody accepts; a request that nobody accepts within ACCEPTS_WITHIN_S was never sent."""
    give_up_at = clock.monotonic() + ACCEPTS_WITHIN_S
    waited = False
    while True:
        try:
            return await ask(host, port, request, key, within_s=ANSWER_WITHIN_S)
        except Unreachable:
            tally.waited += not waited
            waited = True
            if clock.monotonic() >= give_up_at:
                return Reply(status=0, error="gateway_unreachable")
            await asyncio.sleep(LOOK_AGAIN_S)
