"""From the journal through the shipper and the real collector into a real store: once each, though both are killed."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.breakers.keeper import Key
from gateway.domain.attempt import Intent
from gateway.journal.journal import Journal
from gateway.journal.limits import Limits
from gateway.journal.shipper import Backoff, Endpoint, Shipper
from tests.collector.processes import GATEWAY_TOKEN, RunningCollector, until
from tests.conftest import RunningStore
from tests.gateway import facts
from tests.gateway.fakes import ScriptedUpstream, answer, chat, error, silence
from tests.gateway.journal.reading import die
from tests.gateway.serving import chat_request, gateway, routing
from tests.gateway.serving import until as until_in_loop

pytestmark = pytest.mark.slow

QUICK = Backoff(first_s=0.02, max_s=0.1)
LANDED = (
    "SELECT attempt_id, outcome, completeness FROM tollway.attempts WHERE tenant = {tenant:String} ORDER BY attempt_id"
)


@pytest.fixture
def collector(store: RunningStore, tmp_path: Path) -> Iterator[RunningCollector]:
    running = RunningCollector(tmp_path / "collector" / "spool", store.url, store.data_dir / "secrets")
    running.start()
    yield running
    if running.running:
        running.kill()


def started(journal_root: Path, collector: RunningCollector, token: str = GATEWAY_TOKEN) -> tuple[Journal, Shipper]:
    books = Journal(journal_root, "worker-0", limits=Limits(segment_bytes=8192, seal_after_s=0.05))
    shipper = Shipper(books, Endpoint(collector.url, token), backoff=QUICK)
    shipper.start()
    return books, shipper


def finish(books: Journal, tenant: str, count: int) -> list[Intent]:
    intents = [facts.intent(tenant=tenant) for _ in range(count)]
    for intent in intents:
        books.intent(intent)
        books.end(facts.attempt(intent))
        books.operation(facts.operation(intent))
    return intents


def landed(store: RunningStore, tenant: str) -> list[tuple[str, str, str]]:
    return [tuple(row) for row in store.writer.query(LANDED, parameters={"tenant": tenant}).result_rows]


def test_what_the_journal_recorded_is_in_the_store_once_each_though_gateway_and_collector_were_killed(
    store: RunningStore, collector: RunningCollector, tmp_path: Path
) -> None:
    books, shipper = started(tmp_path / "journal", collector)
    before = finish(books, "delivery-kill", 40)
    until(lambda: shipper.stats(0.0).shipped_spans > 0, "something was shipped")
    collector.kill()
    during = finish(books, "delivery-kill", 40)
    running = facts.intent(tenant="delivery-kill")
    books.intent(running)
    shipper.stop()
    die(books)

    collector.start()
    successor, shipper = started(tmp_path / "journal", collector)
    assert shipper.drain(30)
    successor.close()
    expected = [(intent.attempt_id, "ok", "measured") for intent in before + during]
    expected.append((running.attempt_id, "lost", "unknown"))
    until(lambda: len(landed(store, "delivery-kill")) >= len(expected), "everything has landed")
    until(collector.settled, "nothing more is on its way")
    assert landed(store, "delivery-kill") == sorted(expected)


def test_a_wrong_token_lands_nothing_and_loses_nothing(
    store: RunningStore, collector: RunningCollector, tmp_path: Path
) -> None:
    books, shipper = started(tmp_path / "journal", collector, token="not-the-token")
    (intent,) = finish(books, "delivery-token", 1)
    until(lambda: shipper.stats(0.0).retries > 2, "the token was refused")
    assert not shipper.drain(0.1)
    books.close()
    assert landed(store, "delivery-token") == []
    successor, shipper = started(tmp_path / "journal", collector)
    assert shipper.drain(30)
    successor.close()
    until(lambda: landed(store, "delivery-token") == [(intent.attempt_id, "ok", "measured")], "it has landed")


MOVES = (
    "SELECT breaker_from, breaker_to, breaker_cause, failures, open_seconds > 0, alias, tier, upstream, region"
    " FROM tollway.transitions WHERE tenant = 'acme' AND region = 'delivery-region' ORDER BY at"
)


async def test_a_breakers_moves_are_in_the_store_from_the_request_that_made_them(
    store: RunningStore, collector: RunningCollector, tmp_path: Path
) -> None:
    upstream, (books, shipper) = ScriptedUpstream(), started(tmp_path / "journal", collector)
    await upstream.start()
    upstream.script.extend([error(500), error(503), answer(chat())])
    breaker = {"consecutive_failures": 2, "cooldown_s": 0.02, "jitter": 0}
    config = routing(upstream.url, breaker=breaker, upstreams={"u0": {"region": "delivery-region"}})
    async with gateway(config, books=books) as served, served.client() as client:
        (rested, loop) = served.plane.breakers.retry_in_s, served.plane.loop
        for _ in range(3):
            await until_in_loop(lambda: rested([Key("fast", "acme", "u0")], loop.time()) == 0)
            await client.post("/v1/chat/completions", json=chat_request())
    await upstream.stop()
    assert await asyncio.to_thread(shipper.drain, 30)
    books.close()
    where = ("fast", "interactive", "u0", "delivery-region")
    expected = [
        ("closed", "open", "server_error", 2, None, *where),
        ("open", "half_open", "cooldown_over", 2, None, *where),
        ("half_open", "closed", "answered", 2, True, *where),
    ]
    until(lambda: store.writer.query(MOVES).result_rows == expected, "the moves have landed")


HEDGED = (
    "SELECT fallback_depth, fallback_reason, outcome, error_type, completeness, billable, unmeasured,"
    " estimated_cost_usd > 0, upstream FROM tollway.rated_attempts WHERE tenant = 'acme' AND account LIKE 'hedged-%'"
    " ORDER BY fallback_depth"
)


async def test_the_loser_of_a_hedge_is_in_the_store_as_a_call_that_its_vendor_may_bill(
    store: RunningStore, collector: RunningCollector, tmp_path: Path
) -> None:
    first, second = ScriptedUpstream(), ScriptedUpstream()
    books, shipper = started(tmp_path / "journal", collector)
    await first.start()
    await second.start()
    first.always = silence
    accounts = {f"u{i}": {"account": f"hedged-{i}"} for i in range(2)}
    config = routing(first.url, second.url, upstreams=accounts, tiers={"interactive": {"hedge_after_s": 0.02}})
    async with gateway(config, books=books) as served, served.client() as client:
        got = await client.post("/v1/chat/completions", json=chat_request())
        assert got.headers["x-tollway-fallback-reason"] == "hedge"
    await first.stop()
    await second.stop()
    assert await asyncio.to_thread(shipper.drain, 30)
    books.close()
    expected = [
        (0, "", "cancelled", "hedge_lost", "unknown", True, True, None, "u0"),
        (1, "hedge", "ok", "", "measured", True, False, True, "u1"),
    ]
    until(lambda: store.writer.query(HEDGED).result_rows == expected, "both calls have landed")
