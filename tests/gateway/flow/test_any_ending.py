"""However requests end, whatever meets whatever: at the end nothing is held, and the books have one end of everything.

Random walks over real sockets, each repeatable by its seed as far as sockets are: requests of every kind from two
tenants, to two upstreams (one of two hosts) that answer, stream, break off, refuse, fail, hang and keep silent; clients
that stay, hang up or read nothing; a disk that is full or slow; reloads in the middle; and at last a shutdown.
"""

import asyncio
import json
import logging
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from gateway.breakers.breaker import HalfOpen
from gateway.config import RoutingConfig
from gateway.domain import clock
from gateway.domain.attempt import Attempt, Intent, Operation, Outcome, Transition
from gateway.domain.usage import NO_USAGE, Completeness
from gateway.flow.plane import Plane
from gateway.flow.reload import Reread
from gateway.journal.journal import Journal
from tests.gateway.dialects import Script, completion, embeddings, response, response_events
from tests.gateway.fakes import (
    ROLE,
    FakeBooks,
    Line,
    Received,
    Reply,
    ScriptedUpstream,
    StartUpstream,
    answer,
    chat,
    chunk,
    drop,
    error,
    event,
    events,
    silence,
    stream,
)
from tests.gateway.serving import ACME, GLOBEX, Gateway, gateway, merged, routing

WORD = event(chunk("Hi"))
REQUESTS = 60
AT_ONCE = 20


def config(urls: list[str], **changes: Any) -> RoutingConfig:
    """Everything at once, tight enough that each bound is reached."""
    interactive = {
        "max_inflight": 5, "max_queue": 4, "max_queue_seconds": 0.15, "max_inflight_per_session": 3,
        "max_tokens_inflight": 2000, "reserved_share": 0.2, "first_token_timeout_s": 0.15, "answer_timeout_s": 0.2,
        "total_timeout_s": 0.6, "retries": 1, "max_attempts": 4, "fuse": {"calls": 5, "same_tool_calls": 5},
    }  # fmt: skip
    batch = {
        "max_inflight": 2, "max_queue": 6, "max_queue_seconds": 0.2, "micro_batch_ms": 4, "retries": 1,
        "first_token_timeout_s": 0.15, "answer_timeout_s": 0.2, "total_timeout_s": 0.5, "cancel_rule": "finish",
    }  # fmt: skip
    base = {
        "tenants": {
            "acme": {"budget": {"month_usd": "0.0021", "extra_month_usd": "0.001"}, "tokens_per_minute": 60_000},
            "globex": {"tiers": ["interactive", "batch"], "requests_per_minute": 22},
        },
        "tiers": {"interactive": interactive, "batch": batch},
        "upstreams": {
            "u0": {"hosts": [urls[2]], "region": "eu", "max_inflight": 4, "host_max_inflight": 3},
            "u1": {"region": "us", "requests_per_minute": 60, "tokens_per_minute": 60_000},
        },
        "aliases": {
            "fast": {"max_output_tokens": 200},
            "bulk": {"max_output_tokens": 200, "fallback": [{"upstream": "u1", "model": "m1"}], "max_inflight": 2},
        },
        "fallback": {"max_extra_month_usd": "0.01"},
        "breaker": {"consecutive_failures": 2, "cooldown_s": 0.02, "cooldown_max_s": 0.05, "ramp_s": 0.05,
                    "brownout": {"tenants": 1}},
        "cache": {"mode": "exact", "kv_reuse_policy": "sticky"},
    }  # fmt: skip
    return routing(urls[0], urls[1], **merged(base, changes))


class Books(FakeBooks):
    """Tells a real journal too, which then must hold nothing open that has ended."""

    def __init__(self, journal: Journal) -> None:
        super().__init__()
        self.journal = journal

    def intent(self, intent: Intent) -> None:
        super().intent(intent)
        self.journal.intent(intent)

    def end(self, attempt: Attempt) -> None:
        super().end(attempt)
        self.journal.end(attempt)

    def operation(self, operation: Operation) -> None:
        super().operation(operation)
        self.journal.operation(operation)

    def transition(self, transition: Transition) -> None:
        super().transition(transition)
        self.journal.transition(transition)


class World:
    """The upstreams' moods, the clients, and chance."""

    def __init__(self, seed: int, slow_s: float = 0.0) -> None:
        """Every other answer takes up to `slow_s` longer."""
        self.chance = random.Random(seed)
        self._slow_s = slow_s
        self.routed = 0
        self.whole = 0

    async def reply(self, line: Line, request: Received) -> None:
        await self.turns()
        if self._slow_s and self.chance.random() < 0.5:
            await asyncio.sleep(self.chance.uniform(0, self._slow_s))
        assert request.method == "POST", (request.method, request.path)
        await self._mood(request)(line, request)

    async def turns(self, most: int = 40) -> None:
        """Some turns of the loop."""
        for _ in range(self.chance.choice([0, 0, 1, 2, 5, most])):
            await asyncio.sleep(0)

    def _mood(self, request: Received) -> Reply:
        bad: list[Reply] = [
            drop, silence, error(500), error(400), error(400, "context_length_exceeded"), error(401),
            error(429, retry_after="0.02"), error(429, retry_after="9e99"), error(503, retry_after="soon"),
            error(500, x_should_retry="false"), answer({"error": {"message": "No.", "code": "server_error"}}),
            answer(b"not json"), answer(chat(), content_encoding="gzip"),
        ]  # fmt: skip
        if self.chance.random() < 0.4:
            return self.chance.choice(bad)
        if not request.json.get("stream"):
            return answer(self._whole(request), x_ratelimit_remaining_requests="5")
        if request.path.endswith("/responses"):
            script = Script()
            broken = stream(script.opening(), script.word("Hi"), end=self.chance.choice(["clean", "cut", "hang"]))
            return self.chance.choice([stream(*response_events("Hi")), broken])
        told = event({"error": {"message": "No.", "type": "server_error", "code": None}})
        long = [event(chunk("x" * 60_000))] * 30
        return self.chance.choice(
            [
                stream(*events("Hi", "you")), stream(*events("Hi", "you")), stream(*events("Hi"), end="hang"),
                stream(ROLE, WORD, end="cut"), stream(ROLE, WORD, end="clean"), stream(ROLE, WORD, end="hang"),
                stream(ROLE, end="cut"), stream(ROLE, told), stream(ROLE, WORD, told), stream(ROLE, *long, *events()),
            ]
        )  # fmt: skip

    def _whole(self, request: Received) -> dict[str, Any]:
        body = request.json
        if request.path.endswith("/embeddings"):
            given = body["input"]
            return embeddings(self.chance.choice([len(given), 1]) if isinstance(given, list) else 1)
        if request.path.endswith("/completions") and "prompt" in body:
            return completion()
        if request.path.endswith("/responses"):
            number = self.chance.randrange(10**9)
            return response(self.chance.choice(["completed", "completed", "failed"]), id=f"resp_{number}")
        return chat()

    def _request(self) -> bytes:
        chance = self.chance
        kinds: list[tuple[str, dict[str, Any]]] = [
            ("chat/completions", {"messages": [{"role": "user", "content": str(chance.randrange(4))}]}),
            ("chat/completions", {"messages": [{"role": "user", "content": "Hi"}], "stream": True}),
            ("chat/completions", {"messages": [{"role": "user", "content": "Hi"}], "stream": True}),
            ("responses", {"input": "Hi", "stream": chance.random() < 0.6}),
            ("completions", {"prompt": "Hi", "n": 1}),
            ("embeddings", {"input": chance.choice(["Hi", ["a", "b"]])}),
            ("embeddings", {"input": "Hi"}),
        ]
        path, fields = chance.choice(kinds)
        key, alias = chance.choice([ACME, GLOBEX]), chance.choice(["fast", "bulk"])
        if path in {"completions", "embeddings"}:
            alias = chance.choice(["bulk", "bulk", "fast"])
        body = json.dumps({"model": alias, "temperature": 0, "max_tokens": 50, **fields}).encode()
        lines = [
            f"POST /v1/{path} HTTP/1.1", "host: x", f"authorization: Bearer {key}", "connection: close",
            f"content-length: {len(body)}",
        ]  # fmt: skip
        if chance.random() < 0.5:
            lines.append(f"x-tollway-session: s{chance.randrange(3)}")
        self.routed += 1
        return "\r\n".join([*lines, "", ""]).encode() + body

    async def ask(self, served: Gateway) -> None:
        """One request, by a client that stays, leaves, or reads late."""
        reader, writer = await served.raw(self._request())
        kind = self.chance.choice(["stay", "stay", "stay", "leave", "leave early", "late"])
        if kind == "leave early":
            await self.turns()
        elif kind == "leave":
            await reader.read(1)
        else:
            if kind == "late":
                await self.turns(400)
            check(await asyncio.wait_for(reader.read(-1), 10))
            self.whole += 1
        writer.close()


def check(got: bytes) -> None:
    """A client that stays gets one answer, framed to its end, unless it read too late and was cut off."""
    head, _, body = got.partition(b"\r\n\r\n")
    assert b"internal" not in got.partition(b"\n")[0], got
    if b"transfer-encoding: chunked" in head:
        if b"data: [DONE]" in body or b'"error"' in body or b"response.completed" in body:
            assert body.endswith(b"0\r\n\r\n"), got[-300:]
        else:
            assert not body.endswith(b"0\r\n\r\n"), "a stream that was broken off ended as if it were whole"
    else:
        length = next(line for line in head.split(b"\r\n") if line.startswith(b"content-length: "))
        assert len(body) == int(length[16:])


async def upset(
    world: World, served: Gateway, books: Books, configs: list[RoutingConfig], now: list[RoutingConfig]
) -> None:
    """Now and then the disk fails or the configuration changes."""
    while True:
        await world.turns(300)
        match world.chance.randrange(6):
            case 0:
                books.full = True
                await world.turns(30)
                books.full = False
            case 1:
                books.disk.clear()
                await world.turns(100)
                books.disk.set()
            case 2:
                now[0] = world.chance.choice(configs)
                await served.serving.reload()
        await asyncio.sleep(0)


def held(plane: Plane) -> dict[str, object]:
    """All that is held for anyone; empty if it is nothing."""
    counts: dict[str, object] = {
        "requests": len(plane.exchanges),
        "gathered": sum(n for _, n in plane.batches.gathered()),
    }
    for name, pool in plane.pools.items():
        slots = pool._queue.slots
        counts |= {f"{name} slots": pool.inflight, f"{name} tokens": slots.tokens, f"{name} line": pool.queued}
        counts |= {f"{name} {owner}": n for owner, n in (*slots._tenants.items(), *slots._aliases.items())}
        counts |= {f"{name} sessions": len(slots._sessions), f"{name} going": len(pool._queue.going)}
    counts |= {f"{name} calls": limits.inflight for name, limits in plane.throttle._upstreams.items()}
    for name, hosts in plane.hosts.items():
        counts |= {f"{name} host {i}": s.inflight + s.probing for i, s in enumerate(hosts._states)}
    counts |= {str(key): 1 for key, state in plane.breakers.states().items() if isinstance(state, HalfOpen)}
    keeper = plane.budgets
    counts |= {"holds": len(keeper.open)}
    for bound in (*keeper._bounds.values(), *keeper._old):
        counts |= {f"{bound.name} reserved": bound.account.reserved_usd, f"{bound.name} asked": bound.asked_usd}
    counts |= {f"lane {seconds}": len(lane) for seconds, lane in plane.lanes._lanes.items()}
    counts |= {"tasks": len(plane.tasks._running)}
    return {name: count for name, count in counts.items() if count}


async def settled(plane: Plane) -> None:
    """Return once nothing is held; fail with what is."""
    deadline = clock.monotonic() + 8
    while left := held(plane):
        assert clock.monotonic() < deadline, left
        await asyncio.sleep(0.01)


def audit(books: FakeBooks, routed: int) -> None:
    """One end for each intent, one operation for each request, each after all that is below it."""
    place = {id(fact): i for i, fact in enumerate(books.told)}
    ends: dict[str, Attempt] = {}
    for attempt in books.attempts:
        key = attempt.intent.attempt_id
        assert key not in ends, f"two ends: {attempt}, {ends[key]}"
        ends[key] = attempt
    for intent in books.intents:
        assert intent.attempt_id in ends, f"no end: {intent}"
    intents = {intent.attempt_id: intent for intent in books.intents}
    assert len(intents) == len(books.intents)
    operations: dict[str, Operation] = {op.span_id: op for op in books.operations}
    assert len(operations) == len(books.operations) == routed
    made: Counter[str] = Counter(attempt.intent.parent_span_id for attempt in ends.values())
    for attempt in ends.values():
        operation = operations[attempt.intent.parent_span_id]
        assert place[id(attempt)] < place[id(operation)], (attempt, operation)
        check_attempt(attempt, intents.get(attempt.intent.attempt_id), place)
    for span_id, operation in operations.items():
        assert operation.attempts == made[span_id], operation
        if operation.shared_attempt_id:
            assert operation.shared_attempt_id in ends


def check_attempt(attempt: Attempt, intent: Intent | None, place: dict[int, int]) -> None:
    if attempt.outcome is Outcome.REFUSED:
        assert (attempt.usage, attempt.http_status, attempt.usage_raw) == (NO_USAGE, 0, ""), attempt
        assert attempt.completeness is Completeness.UNKNOWN
    else:
        assert intent is not None, f"sent without an intent: {attempt}"
        assert place[id(intent)] < place[id(attempt)]
    if attempt.outcome is Outcome.OK:
        assert not attempt.error_type
    else:
        assert attempt.error_type, attempt


async def walk(
    world: World, upstreams: list[ScriptedUpstream], configs: list[RoutingConfig], folder: Path
) -> tuple[Books, Counter[str]]:
    """Play it to its end and beyond; returns the books, audited, and what became of hedges."""
    journal = Journal(folder, "w0", keep=False)
    books = Books(journal)
    for upstream in upstreams:
        upstream.always = world.reply
    now = [configs[0]]
    async with gateway(configs[0], books, read_again=lambda: Reread(now[0]), draw=world.chance.random) as served:
        upsetting = asyncio.ensure_future(upset(world, served, books, configs, now))  # noqa: TID251
        limit = asyncio.Semaphore(AT_ONCE)

        async def one() -> None:
            async with limit:
                await world.ask(served)

        async with asyncio.TaskGroup() as clients:
            for _ in range(REQUESTS):
                clients.create_task(one())
        upsetting.cancel()
        await asyncio.gather(upsetting, return_exceptions=True)
        books.full = False
        books.disk.set()
        await settled(served.plane)
        audit(books, world.routed)
        late = [asyncio.ensure_future(world.ask(served)) for _ in range(8)]  # noqa: TID251
        await world.turns()
        served.plane.stop()
        await asyncio.gather(*late)
        await settled(served.plane)
    audit(books, world.routed)
    stats = journal.stats()
    assert (stats.open_intents, stats.open_operations, stats.uncounted_operations) == (0, 0, 0)
    journal.close()
    assert world.whole > REQUESTS / 4
    assert {attempt.outcome for attempt in books.attempts} >= {Outcome.OK, Outcome.ERROR, Outcome.REFUSED}
    hedges: Counter[str] = Counter()
    for (_, _, result), count in served.plane.metrics.hedges.items():
        hedges[result] += count
    assert hedges["won"] + hedges["lost"] <= hedges["started"]
    return books, hedges


def check_log(caplog: pytest.LogCaptureFixture) -> None:
    """No error was logged."""
    # These upstreams number what they store, so two tenants get one id now and then.
    told = [record for record in caplog.records if record.name != "gateway.stored.owners"]
    assert [record for record in told if record.levelno >= logging.ERROR] == []


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_meets_whatever_nothing_is_held_and_every_end_is_on_the_books_once(
    start_upstream: StartUpstream, tmp_path: Path, caplog: pytest.LogCaptureFixture, seed: int
) -> None:
    world, upstreams = World(seed), [await start_upstream() for _ in range(3)]
    urls = [upstream.url for upstream in upstreams]
    loose = {"interactive": {"max_inflight": 8, "max_tokens_inflight": 0}, "batch": {"cancel_rule": "cancel"}}
    configs = [
        config(urls),
        config(urls, tiers=loose, tenants={"acme": {"budget": {"month_usd": None}}}, cache={"mode": "off"}),
        config(urls, upstreams={"u1": {"account": "another"}}, tiers={"batch": {"micro_batch_ms": 0}}),
        config(
            [urls[2], urls[1], urls[0]], cache={"kv_reuse_policy": "least_loaded"}, gateway={"stream_chunk_bytes": 64}
        ),
    ]
    await walk(world, upstreams, configs, tmp_path)
    check_log(caplog)


async def test_the_same_holds_where_late_calls_are_hedged(
    start_upstream: StartUpstream, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world, upstreams = World(1, slow_s=0.06), [await start_upstream() for _ in range(3)]
    roomy = {"max_inflight": 24, "max_tokens_inflight": 0, "hedge_after_s": 0.02, "fuse": {"calls": 0}}
    hedging = {
        "tenants": {"acme": {"budget": {"month_usd": "0.1", "extra_month_usd": "0.1"}}},
        "tiers": {"interactive": roomy, "batch": {"max_inflight": 12, "hedge_after_s": 0.02}},
        "upstreams": {"u0": {"max_inflight": 20, "host_max_inflight": 20}, "u1": {"requests_per_minute": 0}},
        "breaker": {"consecutive_failures": 20},
        "cache": {"mode": "off"},
    }
    urls = [upstream.url for upstream in upstreams]
    books, hedges = await walk(world, upstreams, [config(urls, **hedging)], tmp_path)
    check_log(caplog)
    assert hedges["won"] + hedges["lost"] > 0
    assert (Outcome.CANCELLED, "hedge_lost") in {(attempt.outcome, attempt.error_type) for attempt in books.attempts}
