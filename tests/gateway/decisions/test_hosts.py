"""The choice of a host: who stays, who moves, and that nobody moves who need not."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.rate_card import RateCard
from gateway.domain.usage import TokenClass
from gateway.upstream.choice import Asker, Choice, Host, How, Warm, choose, warm_cache_pays

POLICIES = ("sticky", "prefix", "round_robin", "least_loaded")
HOSTS = tuple(Host(f"http://h{number}/v1") for number in range(4))
SESSIONS = [f"session {number}".encode() for number in range(400)]

names = st.lists(st.text(min_size=1, max_size=8), min_size=2, max_size=6, unique=True)


def chosen(policy: str, hosts: tuple[Host, ...], key: bytes | None = b"k", **changes: object) -> Choice:
    asker = Asker(key, pays=bool(changes.get("pays", True)), avoid=changes.get("avoid", frozenset()))  # type: ignore[arg-type]
    warm, turn = changes.get("warm"), changes.get("turn", 0)
    return choose(policy, hosts, asker, warm=warm, idle_s_max=300, turn=turn)  # type: ignore[arg-type]


def homes(hosts: tuple[Host, ...]) -> dict[bytes, str]:
    return {key: hosts[chosen("sticky", hosts, key).index].name for key in SESSIONS}


@given(names, st.data())
def test_taking_a_host_out_moves_its_own_sessions_and_no_others(given_names: list[str], data: st.DataObject) -> None:
    hosts = tuple(Host(name) for name in given_names)
    gone = data.draw(st.sampled_from(hosts))
    before, after = homes(hosts), homes(tuple(host for host in hosts if host is not gone))
    assert {key for key in SESSIONS if before[key] != after[key]} == {
        key for key in SESSIONS if before[key] == gone.name
    }


@given(names, st.data())
def test_a_host_that_is_unhealthy_or_full_moves_the_same_sessions_as_one_that_is_gone(
    given_names: list[str], data: st.DataObject
) -> None:
    hosts = tuple(Host(name) for name in given_names)
    gone = data.draw(st.sampled_from(hosts))
    ailing = data.draw(st.sampled_from([{"healthy": False}, {"full": True}]))
    marked = tuple(replace(host, **ailing) if host is gone else host for host in hosts)
    assert homes(marked) == homes(tuple(host for host in hosts if host is not gone))


@given(names, st.text(min_size=1, max_size=8))
def test_a_new_host_gets_about_its_share_and_nobody_else_moves(given_names: list[str], new: str) -> None:
    hosts = tuple(Host(name) for name in given_names if name != new)
    before, after = homes(hosts), homes((*hosts, Host(new)))
    moved = [key for key in SESSIONS if before[key] != after[key]]
    assert {after[key] for key in moved} <= {new}
    share = len(SESSIONS) / (len(hosts) + 1)
    assert len(moved) <= share + 6 * share**0.5  # Six standard deviations: of a fair hash, one in a billion.


def test_sessions_spread_evenly() -> None:
    counts = Counter(homes(HOSTS).values())
    assert all(70 <= counts[host.name] <= 130 for host in HOSTS)


def test_the_order_in_which_hosts_are_listed_does_not_matter() -> None:
    assert homes(HOSTS) == homes(HOSTS[::-1])


@pytest.mark.parametrize(("idle_s", "how"), [(0, How.KEPT), (300, How.KEPT), (300.001, How.SPREAD)])
def test_a_session_stays_while_its_host_may_still_be_warm(idle_s: float, how: How) -> None:
    loads = tuple(replace(host, inflight=load) for host, load in zip(HOSTS, (9, 9, 9, 1), strict=True))
    for host in HOSTS[:3]:
        choice = chosen("sticky", loads, warm=Warm(host.name, idle_s))
        assert choice.how is how
        assert HOSTS[choice.index].name == (host.name if how is How.KEPT else HOSTS[3].name)


def test_a_session_stays_where_it_went_though_its_first_host_is_back() -> None:
    for key, host in product(SESSIONS[:20], HOSTS):
        assert HOSTS[chosen("sticky", HOSTS, key, warm=Warm(host.name, 1)).index] is host


@pytest.mark.parametrize("ailing", [{"healthy": False}, {"full": True}])
def test_a_session_moves_when_its_host_is_unhealthy_or_full(ailing: dict[str, bool]) -> None:
    hosts = (replace(HOSTS[0], **ailing), *HOSTS[1:])
    choice = chosen("sticky", hosts, warm=Warm(HOSTS[0].name, 1))
    assert (choice.index != 0, choice.how) == (True, How.MOVED)


def test_a_session_whose_host_is_gone_from_the_configuration_moves() -> None:
    assert chosen("sticky", HOSTS, warm=Warm("http://gone/v1", 1)).how is How.MOVED


def test_where_a_warm_cache_saves_nothing_load_decides() -> None:
    hosts = (HOSTS[0], replace(HOSTS[1], inflight=0), *(replace(host, inflight=5) for host in HOSTS[2:]))
    hosts = (replace(hosts[0], inflight=3), *hosts[1:])
    assert chosen("sticky", hosts, pays=False, warm=Warm(HOSTS[0].name, 1)) == Choice(1, How.SPREAD)
    assert chosen("sticky", hosts, None) == Choice(1, How.SPREAD)


def test_round_robin_takes_each_in_turn_and_passes_over_the_sick() -> None:
    assert [chosen("round_robin", HOSTS, turn=turn).index for turn in range(6)] == [0, 1, 2, 3, 0, 1]
    hosts = (HOSTS[0], replace(HOSTS[1], healthy=False), *HOSTS[2:])
    assert [chosen("round_robin", hosts, turn=turn).index for turn in range(4)] == [0, 2, 2, 3]


def test_least_loaded_takes_the_idlest_and_among_equals_each_in_turn() -> None:
    loads = tuple(replace(host, inflight=load) for host, load in zip(HOSTS, (2, 1, 1, 3), strict=True))
    assert [chosen("least_loaded", loads, turn=turn).index for turn in range(4)] == [1, 1, 2, 1]


@pytest.mark.parametrize("policy", POLICIES)
def test_every_policy_prefers_a_host_that_can_take_the_call_over_every_small_combination(policy: str) -> None:
    """Healthy with room before healthy before sick, and not yet tried before tried, whatever else speaks for a host."""
    for marks in product(product([True, False], [False, True], [False, True]), repeat=3):
        hosts = tuple(Host(f"h{i}", healthy=healthy, full=full) for i, (healthy, full, _) in enumerate(marks))
        avoid = frozenset(f"h{i}" for i, (_, _, tried) in enumerate(marks) if tried)

        def rank(index: int, hosts: tuple[Host, ...] = hosts, avoid: frozenset[str] = avoid) -> int:
            host = hosts[index]
            if host.healthy and host.name not in avoid:
                return 1 if host.full else 0
            return 2 if host.healthy else 3 if host.name not in avoid else 4

        for turn, warm in product(range(3), (None, Warm("h0", 1))):
            index = chosen(policy, hosts, avoid=avoid, turn=turn, warm=warm).index
            assert rank(index) == min(rank(other) for other in range(3))


PRICES = {TokenClass.INPUT_UNCACHED: Decimal(1), TokenClass.OUTPUT: Decimal(2)}


@pytest.mark.parametrize(
    ("cache_read", "pays"), [("0.5", True), ("0.999", True), ("1", False), ("1.25", False), (None, False)]
)
def test_a_warm_cache_pays_where_the_card_asks_less_for_cached_tokens(cache_read: str | None, pays: bool) -> None:
    prices = {**PRICES, **({TokenClass.CACHE_READ: Decimal(cache_read)} if cache_read else {})}
    assert warm_cache_pays(RateCard("p", "m", "USD", datetime(2026, 1, 1, tzinfo=UTC), prices)) is pays


def test_without_a_card_a_warm_cache_saves_time_at_least() -> None:
    assert warm_cache_pays(None)
