"""The hosts of one upstream: a pool of connections to each, and what has to be remembered to choose between them.

A host that cannot be reached rests for REST_S, twice as long after each failure in a row, then one call probes it; so
does one that failed FAULTS_MAX calls in a row in another way. Where sessions were last is remembered for the
SESSIONS_MAX that were used last. An upstream of a single host has none of this.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, Metric

from gateway.domain.reasons import Reason
from gateway.metrics import gauge
from gateway.upstream.choice import Asker, Choice, Host, How, Warm, choose
from gateway.upstream.client import UpstreamPool

REST_S = 1.0
REST_S_MAX = 30.0
FAULTS_MAX = 3
SESSIONS_MAX = 65_536

FAULTS = frozenset({Reason.CONNECTION_LOST, Reason.SERVER_ERROR, Reason.BAD_RESPONSE, Reason.FIRST_TOKEN_TIMEOUT})
"""Ends that may be the host's fault, or the whole upstream's: the breaker hears of them too."""

ANSWERED = frozenset(
    {
        None,
        Reason.CALLER_ERROR,
        Reason.CONTENT_FILTER,
        Reason.CONTEXT_TOO_LONG,
        Reason.RATE_LIMITED,
        Reason.UPSTREAM_AUTH,
    }
)
"""Ends that show that the host works. All others (the caller left, the tier's time was over) show nothing."""


class _State:
    """What is known of one host."""

    __slots__ = ("faults", "inflight", "pool", "probing", "rest_until", "rests")

    def __init__(self, pool: UpstreamPool) -> None:
        self.pool = pool
        self.inflight = 0
        self.faults = 0
        """Failed calls in a row."""
        self.rests = 0
        """Rests in a row; 0 = healthy."""
        self.rest_until = 0.0
        self.probing = False
        """After a rest, one call finds out whether it is over."""

    def healthy(self, now: float) -> bool:
        return self.rests == 0 or (now >= self.rest_until and not self.probing)

    def rest(self, now: float) -> None:
        self.rests += 1
        self.rest_until = now + min(REST_S * 2 ** min(self.rests - 1, 16), REST_S_MAX)


class Lease:
    """A call's place at a host, from the choice to the call's end."""

    __slots__ = ("_hosts", "_over", "host", "key", "pool", "probes", "state")

    def __init__(self, hosts: "HostSet", state: _State, key: bytes | None) -> None:
        self.pool = state.pool
        self.host = name_of(state.pool)
        self.state = state
        self.key = key
        self.probes = state.rests > 0
        """This call finds out whether the host's rest is over."""
        self._hosts = hosts
        self._over = False

    def over(self, reason: Reason | None, *, stale: bool = False, now: float) -> bool:
        """Give the place back: the call ended for `reason` (None = well), or since a kept connection was `stale`.
        True if the host could not be reached and another one can: then the request is best tried there."""
        if self._over:
            return False
        self._over = True
        return self._hosts.ended(self, reason, stale=stale, now=now)


class HostSet:
    """An upstream of several hosts."""

    def __init__(self, pools: Iterable[UpstreamPool], *, idle_s_max: float, host_max_inflight: int) -> None:
        """`idle_s_max` is how long hosts keep a cache warm; `host_max_inflight` calls make one full, 0 = never."""
        self._states = [_State(pool) for pool in pools]
        self._idle_s_max = idle_s_max
        self._max_inflight = host_max_inflight
        self._sessions: OrderedDict[bytes, tuple[str, float]] = OrderedDict()
        self._turn = 0
        self.choices: dict[How, int] = dict.fromkeys(How, 0)
        """How often, by how the host was chosen."""

    @property
    def pools(self) -> list[UpstreamPool]:
        """The connections, host by host."""
        return [state.pool for state in self._states]

    def take(self, policy: str, asker: Asker, now: float) -> Lease:
        """A place at the host that the policy chooses; it must be given back with `over`."""
        choice = self._choose(policy, asker, now)
        self.choices[choice.how] += 1
        self._turn += 1
        state = self._states[choice.index]
        lease = Lease(self, state, asker.key if policy == "sticky" else None)
        state.inflight += 1
        state.probing = state.probing or lease.probes
        if policy == "sticky" and asker.key is not None and asker.pays:
            self._sessions[asker.key] = (lease.host, now)
            self._sessions.move_to_end(asker.key)
            if len(self._sessions) > SESSIONS_MAX:
                self._sessions.popitem(last=False)
        return lease

    def ended(self, lease: Lease, reason: Reason | None, *, stale: bool, now: float) -> bool:
        """See Lease.over."""
        state, key = lease.state, lease.key
        state.inflight -= 1
        if lease.probes:
            state.probing = False
        last = self._sessions.get(key) if key is not None else None
        if key is not None and last is not None and last[0] == lease.host:
            self._sessions[key] = (last[0], now)
        if stale:
            return False
        if reason is Reason.CONNECT_ERROR:
            state.rest(now)
            return any(other.healthy(now) for other in self._states if other is not state)
        if reason in FAULTS:
            state.faults += 1
            if state.faults >= FAULTS_MAX or state.rests:
                state.rest(now)
        elif reason in ANSWERED:
            state.faults = state.rests = 0
        return False

    def fares(self, now: float) -> tuple[Host, ...]:
        """How each host fares."""
        return tuple(
            Host(
                name_of(state.pool),
                healthy=state.healthy(now),
                full=0 < self._max_inflight <= state.inflight,
                inflight=state.inflight,
            )
            for state in self._states
        )

    def _choose(self, policy: str, asker: Asker, now: float) -> Choice:
        last = self._sessions.get(asker.key) if asker.key is not None else None
        warm = Warm(last[0], now - last[1]) if last is not None else None
        return choose(policy, self.fares(now), asker, warm=warm, idle_s_max=self._idle_s_max, turn=self._turn)


def name_of(pool: UpstreamPool) -> str:
    """A host's name: its base URL, without the query."""
    return pool.endpoint.upstream.base_url.partition("?")[0]


def host_metrics(sets: Mapping[str, HostSet], now: float) -> Iterator[Metric]:
    """How hosts fare, and how they came to be chosen, by upstream."""
    fares = [((name, host.name), host) for name, hosts in sets.items() for host in hosts.fares(now)]
    labels = ("upstream", "host")
    inflight = [(names, float(host.inflight)) for names, host in fares]
    yield gauge("tollway_host_inflight", "Calls under way at a host.", labels, inflight)
    resting = [(names, float(not host.healthy)) for names, host in fares]
    yield gauge("tollway_host_resting", "1 while a host is not called, since it failed.", labels, resting)
    text = "Hosts chosen: kept, placed, moved, spread."
    choices = CounterMetricFamily("tollway_host_choices", text, labels=("upstream", "how"))
    for name, hosts in sets.items():
        for how, count in hosts.choices.items():
            choices.add_metric((name, how), count)
    yield choices
