"""SIGKILL at random moments, under traffic: nothing acknowledged is missing or there twice, and the books balance."""

import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from tests.collector.oracle import Traffic, landed
from tests.collector.processes import RunningCollector, until

pytestmark = pytest.mark.slow

Start = Callable[..., RunningCollector]


def balanced(collector: RunningCollector, traffic: Traffic) -> None:
    """The books after all has settled: every acknowledged span is stored, once, and nothing is unexplained."""
    account = collector.books()["gateway"]
    assert account["stored"] == len(set(traffic.sent))
    assert (account["parked"], account["pending"], account["drift"]) == (0, 0, 0)
    assert account["received"] == account["stored"] + account["duplicate"]


def more_traffic(traffic: Traffic, spans: int) -> Callable[[], bool]:
    """Holds once that many more spans were acknowledged."""
    goal = len(traffic.sent) + spans
    return lambda: len(traffic.sent) >= goal


@pytest.mark.parametrize("seed", [1, 2])
def test_killing_the_collector_loses_nothing_acknowledged_and_stores_nothing_twice(
    start_store: Callable[..., Any], start_collector: Start, seed: int
) -> None:
    store = start_store()
    store.migrate()
    collector = start_collector(store, segment_age_s=0.05)
    traffic = Traffic(collector, seed)
    traffic.start()
    draw = random.Random(seed)
    for _ in range(6):
        until(more_traffic(traffic, draw.randint(20, 400)), "senders are acknowledged")
        collector.kill()
        collector.start()
    traffic.finish()
    until(collector.settled, "all has landed", within_s=60)
    assert landed(store, traffic.sent) == Counter(traffic.sent)
    balanced(collector, traffic)
    assert traffic.resent > 0


def test_killing_the_store_delays_and_loses_nothing(start_store: Callable[..., Any], start_collector: Start) -> None:
    store = start_store()
    store.migrate()
    collector = start_collector(store, segment_age_s=0.05)
    traffic = Traffic(collector, 3)
    traffic.start()
    listen = store.url.removeprefix("http://")
    draw = random.Random(3)
    for _ in range(3):
        until(more_traffic(traffic, draw.randint(50, 500)), "senders are acknowledged")
        store.kill()
        until(more_traffic(traffic, 100), "senders are acknowledged while the store is away")
        store = start_store(store.data_dir, listen=listen)
    traffic.finish()
    until(collector.settled, "all has landed", within_s=60)
    assert landed(store, traffic.sent) == Counter(traffic.sent)
    balanced(collector, traffic)


def test_killing_both_at_once_loses_nothing(start_store: Callable[..., Any], start_collector: Start) -> None:
    store = start_store()
    store.migrate()
    collector = start_collector(store, segment_age_s=0.05)
    traffic = Traffic(collector, 4)
    traffic.start()
    listen = store.url.removeprefix("http://")
    for _ in range(3):
        until(more_traffic(traffic, 300), "senders are acknowledged")
        store.kill()
        collector.kill()
        collector.start()
        until(more_traffic(traffic, 100), "senders are acknowledged while the store is away")
        store = start_store(store.data_dir, listen=listen)
    traffic.finish()
    until(collector.settled, "all has landed", within_s=60)
    assert landed(store, traffic.sent) == Counter(traffic.sent)
    balanced(collector, traffic)
