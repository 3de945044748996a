"""Which host of an upstream takes a call: a pure function of the policy, of how the hosts fare, and of who asks.

A prompt's cache is in one host's memory, so a session is best served where it was served last, as long as that host
lives, has room, and is likely to have kept the cache. Sessions find their first host by rendezvous hashing: take a host
out, and only its own sessions move; add one, and it gets about its share of them and nobody else moves.
"""

import hashlib
from collections.abc import Callable, Set
from dataclasses import dataclass
from enum import StrEnum

from gateway.domain.rate_card import RateCard
from gateway.domain.usage import TokenClass


@dataclass(frozen=True, slots=True)
class Host:
    """One host, as it fares now."""

    name: str
    healthy: bool = True
    full: bool = False
    """It holds as many calls as it may."""
    inflight: int = 0


@dataclass(frozen=True, slots=True)
class Warm:
    """Where a session was served last."""

    host: str
    idle_s: float
    """Since its last call there began or ended."""


class How(StrEnum):
    """How a host came to be chosen."""

    KEPT = "kept"
    """The session stays where it was."""
    PLACED = "placed"
    """By the hash of the session, or of the prompt's start."""
    MOVED = "moved"
    """The session's host was unhealthy or full."""
    SPREAD = "spread"
    """By turn or by load: nothing speaks for a host."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The host, by its place among those given."""

    index: int
    how: How


@dataclass(frozen=True, slots=True)
class Asker:
    """What of a request decides its host."""

    key: bytes | None
    """Its session under `sticky`, its prompt's start under `prefix`; None = it has none."""
    pays: bool = True
    """Whether a warm cache is worth anything: see `warm_cache_pays`."""
    avoid: Set[str] = frozenset()
    """Hosts that failed this request already."""


def choose(
    policy: str, hosts: tuple[Host, ...], asker: Asker, *, warm: Warm | None, idle_s_max: float, turn: int
) -> Choice:
    """The host for a call; `warm` is where the session was last, `turn` counts the calls so far.

    A host that is unhealthy, full, or has failed the request is chosen only if there is no other.
    """
    candidates = _candidates(hosts, asker.avoid)
    if policy == "round_robin":
        return Choice(min(candidates, key=lambda index: (index - turn) % len(hosts)), How.SPREAD)
    if policy == "least_loaded" or asker.key is None:
        return Choice(_least_loaded(hosts, candidates, turn), How.SPREAD)
    if policy == "prefix":
        return Choice(_placed(hosts, candidates, asker.key), How.PLACED)
    if not asker.pays or (warm is not None and warm.idle_s > idle_s_max):
        return Choice(_least_loaded(hosts, candidates, turn), How.SPREAD)
    if warm is None:
        return Choice(_placed(hosts, candidates, asker.key), How.PLACED)
    for index in candidates:
        if hosts[index].name == warm.host:
            return Choice(index, How.KEPT)
    return Choice(_placed(hosts, candidates, asker.key), How.MOVED)


def warm_cache_pays(card: RateCard | None) -> bool:
    """Whether the vendor asks less for a cached token than for another. Without a card nothing is paid by the token, as
    on hosts of one's own, and a warm cache still saves time: that counts as yes."""
    return card is None or cached_is_cheaper(card)


def cached_is_cheaper(card: RateCard) -> bool:
    """Whether the card names a price for cached tokens, and it is below that of others."""
    cached, fresh = card.unit_price(TokenClass.CACHE_READ), card.unit_price(TokenClass.INPUT_UNCACHED)
    return cached is not None and fresh is not None and cached < fresh


def _candidates(hosts: tuple[Host, ...], avoid: Set[str]) -> list[int]:
    """The best that there are: healthy with room, then healthy, then any; new to the request before known to it."""
    tests: tuple[Callable[[Host], bool], ...] = (
        lambda host: host.healthy and not host.full and host.name not in avoid,
        lambda host: host.healthy and host.name not in avoid,
        lambda host: host.healthy,
        lambda host: host.name not in avoid,
    )
    for test in tests:
        if found := [index for index, host in enumerate(hosts) if test(host)]:
            return found
    return list(range(len(hosts)))


def _least_loaded(hosts: tuple[Host, ...], candidates: list[int], turn: int) -> int:
    """The one with the fewest calls; of several, by turn."""
    return min(candidates, key=lambda index: (hosts[index].inflight, (index - turn) % len(hosts)))


def _placed(hosts: tuple[Host, ...], candidates: list[int], key: bytes) -> int:
    """Rendezvous hashing: the host that scores highest with this key."""
    return max(candidates, key=lambda index: _score(key, hosts[index].name))


def _score(key: bytes, name: str) -> bytes:
    return hashlib.blake2b(name.encode(), key=hashlib.blake2b(key, digest_size=32).digest(), digest_size=8).digest()
