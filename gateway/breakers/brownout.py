"""A region of a provider that fails for several tenants at once: pure functions over the breakers that are open there.

              breakers of enough tenants are open                 fewer, but not none
    Closed ---------------------------------------> Open ---------------------------> HalfOpen
      ^                                               ^---------- enough again ----------' |
      `------------------------------------ none is open any more -------------------------'

While a region is Open, new requests skip it; a tenant whose own breaker there is not closed is judged by that breaker
alone, so that its probes go on and the region can recover. Enough is `tenants` distinct tenants (all that are
configured, if fewer) and never one breaker alone: one alias's trouble is no region's. An open breaker that nobody
probes says nothing any more after a while; else tenants who went home would keep a region shut for everyone.

Recovery takes from the first opening to the last closing. Nothing here reads a clock.
"""

from collections.abc import Hashable
from dataclasses import dataclass, replace
from enum import StrEnum

BREAKERS_MIN = 2


class Status(StrEnum):
    """Of a region."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True)
class Evidence:
    """A breaker that is not closed."""

    breaker: Hashable
    tenant: str
    stale_at: float
    """From then on it says nothing; infinite while its probe is out."""


@dataclass(frozen=True, slots=True)
class Region:
    """One region of one provider."""

    status: Status = Status.CLOSED
    since: float = 0.0
    """When the first of the breakers opened; means nothing while `evidence` is empty."""
    evidence: tuple[Evidence, ...] = ()


CALM = Region()


def opened(region: Region, found: Evidence, *, tenants: int, now: float) -> Region:
    """After a breaker opened, or went from open to half-open or back. `tenants` is how many distinct ones it takes."""
    fresh = _fresh(region, now)
    others = tuple(known for known in fresh if known.breaker != found.breaker)
    return judged(replace(region, since=region.since if fresh else now, evidence=(*others, found)), tenants)


def closed(region: Region, breaker: Hashable, *, tenants: int, now: float) -> Region:
    """After a breaker closed."""
    left = tuple(known for known in _fresh(region, now) if known.breaker != breaker)
    return judged(replace(region, evidence=left), tenants)


def settled(region: Region, *, tenants: int, now: float) -> Region:
    """As time passes: without the evidence that is stale."""
    left = _fresh(region, now)
    return region if len(left) == len(region.evidence) else judged(replace(region, evidence=left), tenants)


def judged(region: Region, tenants: int) -> Region:
    """What its evidence says where so many distinct tenants are enough."""
    if not region.evidence:
        return CALM
    enough = len(region.evidence) >= BREAKERS_MIN and len({known.tenant for known in region.evidence}) >= tenants
    if enough:
        return replace(region, status=Status.OPEN)
    return region if region.status is Status.CLOSED else replace(region, status=Status.HALF_OPEN)


def _fresh(region: Region, now: float) -> tuple[Evidence, ...]:
    return tuple(known for known in region.evidence if now < known.stale_at)
