"""The keeper of hosts: rests, probes, loads and sessions, with the time passed in."""

import asyncio

import pytest

from gateway.config import Upstream
from gateway.domain.reasons import Reason
from gateway.upstream import hosts as module
from gateway.upstream.choice import Asker, How
from gateway.upstream.client import UpstreamPool
from gateway.upstream.endpoint import Endpoint
from gateway.upstream.hosts import FAULTS_MAX, REST_S, REST_S_MAX, HostSet

URLS = ["http://a:1/v1", "http://b:2/v1", "http://c:3/v1"]


def host_set(count: int = 2, **changes: float) -> HostSet:
    loop = asyncio.get_running_loop()
    upstreams = [Upstream(name="u", base_url=url, provider="p", account="a") for url in URLS[:count]]
    pools = [UpstreamPool(Endpoint(upstream), loop, None) for upstream in upstreams]
    return HostSet(pools, idle_s_max=changes.get("idle_s_max", 300), host_max_inflight=int(changes.get("full_at", 0)))


def healthy(hosts: HostSet, now: float) -> list[bool]:
    return [host.healthy for host in hosts.fares(now)]


def fail(hosts: HostSet, index: int, now: float, reason: Reason = Reason.CONNECT_ERROR) -> bool:
    """A call of that host that fails."""
    others = frozenset(url for i, url in enumerate(URLS) if i != index)
    lease = hosts.take("round_robin", Asker(None, avoid=others), now)
    assert lease.host == URLS[index]
    return lease.over(reason, now=now)


async def test_a_host_that_cannot_be_reached_rests_and_longer_each_time() -> None:
    hosts, now = host_set(), 100.0
    for rest_s in [REST_S, 2 * REST_S, 4 * REST_S]:
        assert fail(hosts, 0, now)
        assert healthy(hosts, now + rest_s - 0.001) == [False, True]
        now += rest_s
        assert healthy(hosts, now) == [True, True]
    for _ in range(20):
        fail(hosts, 0, now)
        now += REST_S_MAX
        assert healthy(hosts, now) == [True, True]


async def test_after_a_rest_one_call_probes_and_the_others_go_elsewhere() -> None:
    hosts = host_set()
    fail(hosts, 0, 0.0)
    probe = hosts.take("round_robin", Asker(None, avoid={URLS[1]}), REST_S)
    assert probe.host == URLS[0]
    assert healthy(hosts, REST_S) == [False, True]
    probe.over(None, now=REST_S)
    assert healthy(hosts, REST_S) == [True, True]
    fail(hosts, 0, 50.0)
    assert healthy(hosts, 50.0 + REST_S) == [True, True], "what was answered ended the row of failures"


async def test_another_host_is_worth_a_try_only_while_one_lives() -> None:
    hosts = host_set()
    assert fail(hosts, 0, 0.0)
    assert not fail(hosts, 1, 0.0)


async def test_an_end_that_shows_nothing_of_the_host_changes_nothing() -> None:
    hosts = host_set()
    fail(hosts, 0, 0.0)
    for reason, stale in ((Reason.CLIENT_CANCELLED, False), (Reason.CONNECTION_LOST, True)):
        hosts.take("round_robin", Asker(None, avoid={URLS[1]}), 0.0).over(reason, stale=stale, now=0.0)
        assert healthy(hosts, REST_S - 0.001) == [False, True]
    assert healthy(hosts, REST_S) == [True, True]


@pytest.mark.parametrize("reason", sorted(module.FAULTS))
async def test_a_host_that_fails_call_after_call_rests_too(reason: Reason) -> None:
    hosts = host_set()
    for _ in range(FAULTS_MAX - 1):
        assert not fail(hosts, 0, 0.0, reason)
    assert healthy(hosts, 0.0) == [True, True]
    assert not fail(hosts, 0, 0.0, reason), "the breaker hears of it"
    assert healthy(hosts, 0.0) == [False, True]


async def test_a_place_is_given_back_once() -> None:
    hosts = host_set(full_at=1)
    lease = hosts.take("sticky", Asker(b"k"), 0.0)
    assert sum(host.inflight for host in hosts.fares(0.0)) == sum(host.full for host in hosts.fares(0.0)) == 1
    lease.over(None, now=1.0)
    lease.over(Reason.CONNECT_ERROR, now=1.0)
    assert [host.inflight for host in hosts.fares(1.0)] == [0, 0]
    assert healthy(hosts, 1.0) == [True, True]


async def test_a_session_stays_with_its_last_call_and_not_with_its_first() -> None:
    """Idle time counts from the end of a call, so a long answer does not use it up."""
    hosts = host_set(3, idle_s_max=10)
    first = hosts.take("sticky", Asker(b"k"), 0.0)
    first.over(None, now=100.0)
    second = hosts.take("sticky", Asker(b"k"), 110.0)
    assert second.host == first.host
    second.over(None, now=110.0)
    hosts.take("sticky", Asker(b"k"), 120.5)
    assert hosts.choices == {How.KEPT: 1, How.PLACED: 1, How.MOVED: 0, How.SPREAD: 1}


async def test_a_session_that_moved_stays_where_it_moved_to() -> None:
    hosts = host_set()
    first = hosts.take("sticky", Asker(b"k"), 0.0)
    first.over(Reason.CONNECT_ERROR, now=0.0)
    second = hosts.take("sticky", Asker(b"k"), 0.1)
    assert second.host != first.host
    second.over(None, now=0.2)
    assert healthy(hosts, 50.0) == [True, True]
    assert hosts.take("sticky", Asker(b"k"), 50.0).host == second.host


async def test_sessions_are_remembered_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SESSIONS_MAX", 10)
    hosts = host_set()
    for number in range(50):
        hosts.take("sticky", Asker(b"%d" % number), float(number)).over(None, now=float(number))
    assert sorted(hosts._sessions) == sorted(b"%d" % number for number in range(40, 50))


async def test_what_does_not_stick_is_not_remembered() -> None:
    hosts = host_set()
    for policy, asker in (("sticky", Asker(b"k", pays=False)), ("sticky", Asker(None)), ("prefix", Asker(b"k"))):
        hosts.take(policy, asker, 0.0).over(None, now=0.0)
    assert not hosts._sessions
