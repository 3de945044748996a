"""Micro-batching over real sockets: who shares a call, what each gets of it, and what is on the books."""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Coroutine
from typing import Any, TypeVar

import httpx
import pytest
from openai import AsyncOpenAI

from gateway.batching.shared import SharedCall
from gateway.domain.attempt import Outcome
from gateway.domain.usage import NO_USAGE, Completeness, TokenClass, Usage
from gateway.flow.reload import successor
from tests.gateway.fakes import Line, Received, ScriptedUpstream, answer, chat, error, events, silence, stream
from tests.gateway.serving import ACME, GLOBEX, NO_TLS, Gateway, gateway, post, routing, until

Answer = TypeVar("Answer")

WINDOW_MS = 40
LONG_MS = 20_000
"""A window that never ends by itself within a test."""


def batching(url: str, *more: str, **changes: Any) -> Any:
    tier = {"max_inflight": 8, "max_queue": 16, "max_queue_seconds": 5, "micro_batch_ms": LONG_MS, **changes}
    tenants = {"globex": {"tiers": ["interactive", "batch"]}}
    return routing(url, *more, tenants=tenants, tiers={"batch": tier}, aliases={"bulk": {"tier": "batch"}})


def embedded(body: dict[str, Any]) -> dict[str, Any]:
    """The answer to an embeddings request: each vector says which input it is of."""
    given = body["input"]
    items = given if isinstance(given, list) and given and isinstance(given[0], str | list) else [given]
    data = [{"object": "embedding", "index": i, "embedding": [float(len(item)), i]} for i, item in enumerate(items)]
    tokens = sum(max(1, len(item) // 2) for item in items)
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "model": "text-embedding-3-small", "usage": usage}


def completed(body: dict[str, Any]) -> dict[str, Any]:
    prompts = body["prompt"] if isinstance(body["prompt"], list) else [body["prompt"]]
    n = body.get("n", 1)
    choices = [
        {"index": i * n + j, "text": f"{prompt}:{j}", "finish_reason": "stop", "logprobs": None}
        for i, prompt in enumerate(prompts)
        for j in range(n)
    ]
    usage = {"prompt_tokens": 7 * len(prompts) + 1, "completion_tokens": 5 * len(choices) + 1}
    usage["total_tokens"] = usage["prompt_tokens"] + usage["completion_tokens"]
    return {"id": "cmpl-1", "object": "text_completion", "model": "m", "choices": choices, "usage": usage}


async def vendor(line: Line, request: Received) -> None:
    """A vendor that takes arrays; an input with "bad" in it is refused, whatever stands beside it."""
    if b"bad" in request.body:
        await error(400, "invalid_request_error", "One input is bad.")(line, request)
        return
    make = embedded if request.path.endswith("/embeddings") else completed if "prompt" in request.json else chatted
    await answer(make(request.json))(line, request)


def chatted(body: dict[str, Any]) -> dict[str, Any]:
    return chat()


@pytest.fixture
def upstream(upstream: ScriptedUpstream) -> ScriptedUpstream:
    upstream.always = vendor
    return upstream


async def embed(served: Gateway, given: Any, key: str = ACME, headers: Any = None, **more: Any) -> httpx.Response:
    async with served.client(key) as client:
        body = {"model": "bulk", "input": given, **more}
        return await client.post("/v1/embeddings", json=body, headers=headers)


async def release(served: Gateway, count: int) -> None:
    """End the windows, once so many are gathered."""
    await until(lambda: sum(waiting for _, waiting in served.plane.batches.gathered()) == count)
    served.plane.batches.release()


async def together(served: Gateway, *asking: Coroutine[Any, Any, Answer]) -> list[Answer]:
    """The answers to requests of one window."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one) for one in asking]
        await release(served, len(tasks))
    return [task.result() for task in tasks]


async def complete(served: Gateway, prompt: Any, **more: Any) -> httpx.Response:
    async with served.client() as client:
        return await client.post("/v1/completions", json={"model": "bulk", "prompt": prompt, **more})


def vectors(got: httpx.Response) -> list[tuple[int, float]]:
    assert got.status_code == 200, got.text
    return [(entry["index"], entry["embedding"][0]) for entry in got.json()["data"]]


def total(usages: list[Usage]) -> tuple[int, ...]:
    return tuple(sum(column) for column in zip(*map(counts, usages), strict=True))


def counts(usage: Usage) -> tuple[int, ...]:
    return tuple(usage.of(name) for name in TokenClass)


async def test_two_callers_are_one_call_and_each_gets_its_own(upstream: ScriptedUpstream) -> None:
    async with gateway(batching(upstream.url)) as served:
        first, second = await together(served, embed(served, ["a", "bbb"]), embed(served, "ccccc"))
        (attempt,) = served.books.attempts
        operations = served.books.operations
    assert [request.json["input"] for request in upstream.received] in (
        [["a", "bbb", "ccccc"]],
        [["ccccc", "a", "bbb"]],
    )
    assert vectors(first) == [(0, 1.0), (1, 3.0)]
    assert vectors(second) == [(0, 5.0)]
    assert (attempt.intent.batch_size, attempt.intent.batch_window_ms) == (2, LONG_MS)
    assert (attempt.usage, attempt.completeness) == (Usage(input_uncached=4), Completeness.MEASURED)
    assert total([operation.usage for operation in operations]) == counts(attempt.usage)
    assert {operation.completeness for operation in operations} == {Completeness.ESTIMATED}
    assert sum(got.json()["usage"]["prompt_tokens"] for got in (first, second)) == 4
    assert sorted(operation.attempts for operation in operations) == [0, 1]


async def test_each_operation_is_linked_to_the_shared_attempt(upstream: ScriptedUpstream) -> None:
    async with gateway(batching(upstream.url)) as served:
        await together(served, embed(served, "a"), embed(served, "b"))
        (attempt,) = served.books.attempts
        operations = served.books.operations
    intent = attempt.intent
    assert {operation.shared_attempt_id for operation in operations} == {intent.attempt_id}
    assert {(o.shared_trace_id, o.shared_span_id) for o in operations} == {(intent.trace_id, intent.span_id)}
    leaders = [operation for operation in operations if operation.span_id == intent.parent_span_id]
    assert [(leader.trace_id, leader.attempts) for leader in leaders] == [(intent.trace_id, 1)]
    assert len({operation.trace_id for operation in operations}) == 2


async def test_each_members_headers_are_its_own(upstream: ScriptedUpstream) -> None:
    async with gateway(batching(upstream.url)) as served:
        got = await together(served, *(embed(served, "a", headers={"x-request-id": f"mine-{i}"}) for i in range(3)))
    assert [one.headers["x-request-id"] for one in got] == ["mine-0", "mine-1", "mine-2"]
    for one in got:
        assert one.headers.get_list("x-request-id", split_commas=True) == [one.headers["x-request-id"]]
        assert (one.headers["x-tollway-upstream"], one.headers["x-tollway-alias"]) == ("u0", "bulk")
        assert (one.headers["x-tollway-batch-size"], one.headers["x-tollway-usage"]) == ("3", "estimated")
        assert 0 < float(one.headers["x-tollway-queue-seconds"]) < 5


async def test_completions_are_cut_by_prompt_and_choice(upstream: ScriptedUpstream) -> None:
    async with gateway(batching(upstream.url)) as served:
        got = await together(served, complete(served, "p", n=2), complete(served, ["q", "r"], n=2))
        (attempt,) = served.books.attempts
    texts = [[(choice["index"], choice["text"]) for choice in one.json()["choices"]] for one in got]
    assert texts == [[(0, "p:0"), (1, "p:1")], [(0, "q:0"), (1, "q:1"), (2, "r:0"), (3, "r:1")]]
    assert [one.json()["id"] for one in got] == ["cmpl-1"] * 2
    usages = [one.json()["usage"] for one in got]
    assert sum(usage["prompt_tokens"] for usage in usages) == attempt.usage.input_total == 22
    assert sum(usage["completion_tokens"] for usage in usages) == attempt.usage.output_total == 31
    assert all(usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"] for usage in usages)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"given": "a", "dimensions": 8}, {"given": "b", "dimensions": 9}),
        ({"given": "a", "user": "ann"}, {"given": "b", "user": "bob"}),
        ({"given": "a", "headers": {"openai-beta": "x"}}, {"given": "b"}),
        ({"given": "a"}, {"given": [1, 2]}),
        ({"given": "a"}, {"given": "b", "key": GLOBEX}),
    ],
    ids=["dimensions", "user", "a header", "form of input", "tenant"],
)
async def test_what_differs_in_anything_but_its_input_is_another_call(
    upstream: ScriptedUpstream, first: Any, second: Any
) -> None:
    async with gateway(batching(upstream.url)) as served:
        got = await together(served, embed(served, **first), embed(served, **second))
    assert [one.status_code for one in got] == [200, 200]
    assert len(upstream.received) == 2
    assert {attempt.intent.batch_size for attempt in served.books.attempts} == {1}


async def test_one_bad_item_fails_alone(upstream: ScriptedUpstream) -> None:
    async with gateway(batching(upstream.url)) as served:
        got = await together(served, *(embed(served, text) for text in ("a", "bad", "ccc")))
        attempts, operations = served.books.attempts, served.books.operations
    assert [one.status_code for one in got] == [200, 400, 200]
    assert vectors(got[2]) == [(0, 3.0)]
    assert got[1].json()["error"]["message"] == "One input is bad."
    assert sorted(request.json["input"] for request in upstream.received[1:]) == ["a", "bad", "ccc"]
    assert Counter(attempt.intent.fallback_reason for attempt in attempts) == {"": 1, "batch_split": 3}
    assert {attempt.intent.batch_size for attempt in attempts[1:]} == {1}
    assert sorted(operation.attempts for operation in operations) == [1, 1, 2]
    assert {operation.shared_attempt_id for operation in operations} == {""}
    assert got[0].headers["x-tollway-fallback-reason"] == "batch_split"


@pytest.mark.parametrize("refused", [413, 422])
async def test_another_refusal_of_the_request_splits_too(upstream: ScriptedUpstream, refused: int) -> None:
    upstream.script.append(error(refused))
    async with gateway(batching(upstream.url)) as served:
        got = await together(served, embed(served, "a"), embed(served, "b"))
    assert [one.status_code for one in got] == [200, 200]
    assert len(upstream.received) == 3


async def test_a_failure_of_the_upstream_is_every_members(upstream: ScriptedUpstream) -> None:
    upstream.script.append(error(500, message="Broken."))
    async with gateway(batching(upstream.url)) as served:
        got = await together(served, embed(served, "a"), embed(served, "b"))
        (attempt,) = served.books.attempts
        operations = served.books.operations
    assert [(one.status_code, one.json()["error"]["message"]) for one in got] == [(500, "Broken.")] * 2
    assert got[0].headers["x-request-id"] != got[1].headers["x-request-id"]
    assert [(o.outcome, o.error_type, o.usage) for o in operations] == [(Outcome.ERROR, "server_error", NO_USAGE)] * 2
    assert {operation.shared_attempt_id for operation in operations} == {attempt.intent.attempt_id}


async def test_a_shared_call_falls_back_once_for_all(upstream: ScriptedUpstream, alternate: ScriptedUpstream) -> None:
    upstream.always, alternate.always = error(500), vendor
    config = routing(
        upstream.url, alternate.url,
        tiers={"batch": {"micro_batch_ms": LONG_MS, "max_queue": 8}},
        aliases={"bulk": {"tier": "batch", "fallback": [{"upstream": "u1", "model": "m1"}]}},
    )  # fmt: skip
    async with gateway(config) as served:
        got = await together(served, embed(served, "a"), embed(served, "bb"))
        operations = served.books.operations
    assert [one.headers["x-tollway-fallback-depth"] for one in got] == ["1", "1"]
    assert (len(upstream.received), len(alternate.received)) == (1, 1)
    assert [operation.fallback_depth for operation in operations] == [1, 1]
    assert sorted(operation.attempts for operation in operations) == [0, 2]


async def test_a_vendor_that_ignores_arrays_is_asked_for_each_alone(upstream: ScriptedUpstream) -> None:
    upstream.script.append(answer(embedded({"input": "x"})))
    async with gateway(batching(upstream.url)) as served:
        got = await together(served, embed(served, "a"), embed(served, "bb"))
    assert [vectors(one) for one in got] == [[(0, 1.0)], [(0, 2.0)]]
    assert len(upstream.received) == 3


async def test_a_batch_closes_when_it_holds_enough_tokens(upstream: ScriptedUpstream) -> None:
    async with gateway(batching(upstream.url, max_batch_tokens=4)) as served:
        got = await asyncio.gather(embed(served, [1, 2]), embed(served, [3, 4]))
    assert [one.status_code for one in got] == [200, 200]
    assert len(upstream.received) == 1


async def test_no_more_wait_to_be_batched_than_the_queue_holds(upstream: ScriptedUpstream) -> None:
    config = batching(upstream.url, max_queue=2)
    async with gateway(config) as served, asyncio.TaskGroup() as asking:
        tasks = [asking.create_task(embed(served, "a")) for _ in range(3)]
        await until(lambda: len(upstream.received) == 1)
        served.plane.drain()
    assert [task.result().status_code for task in tasks] == [200] * 3
    assert sorted(attempt.intent.batch_size for attempt in served.books.attempts) == [1, 2]


async def test_one_alone_in_its_window_is_sent_as_it_came(upstream: ScriptedUpstream) -> None:
    async with gateway(batching(upstream.url, micro_batch_ms=WINDOW_MS)) as served:
        got = await embed(served, "a")
        (attempt,) = served.books.attempts
        (operation,) = served.books.operations
    assert upstream.received[0].json == {"model": "m0", "input": "a"}
    assert (attempt.intent.batch_size, attempt.intent.batch_window_ms, attempt.completeness) == (1, 0, "measured")
    assert (operation.shared_attempt_id, operation.attempts) == ("", 1)
    assert operation.queue_seconds >= WINDOW_MS / 1000 - 0.01
    assert "x-tollway-batch-size" not in got.headers


async def test_another_tier_gathers_nobody(upstream: ScriptedUpstream) -> None:
    async with gateway(batching(upstream.url)) as served, served.client() as client:
        got = await client.post("/v1/embeddings", json={"model": "fast", "input": "a"})
    assert got.headers["x-tollway-queue-seconds"] == "0"
    assert served.books.operations[0].queue_seconds == 0


async def test_chat_goes_in_waves_each_its_own_call(upstream: ScriptedUpstream) -> None:
    async def ask(served: Gateway) -> httpx.Response:
        async with served.client() as client:
            body = {"model": "bulk", "messages": [{"role": "user", "content": "Hi"}]}
            return await client.post("/v1/chat/completions", json=body)

    async with gateway(batching(upstream.url)) as served, asyncio.TaskGroup() as asking:
        tasks = [asking.create_task(ask(served)) for _ in range(3)]
        await until(lambda: dict(served.plane.batches.gathered()) == {("batch",): 3})
        assert upstream.received == []
        served.plane.drain()
    assert [task.result().status_code for task in tasks] == [200] * 3
    assert len(upstream.received) == 3
    assert [operation.attempts for operation in served.books.operations] == [1, 1, 1]


async def test_an_upstream_that_takes_no_arrays_gets_waves(upstream: ScriptedUpstream) -> None:
    config = batching(upstream.url)
    upstreams = {"u0": {"takes_arrays": False}}
    config = routing(upstream.url, tiers={"batch": {"micro_batch_ms": LONG_MS, "max_queue": 8}}, upstreams=upstreams)
    async with gateway(config) as served:
        got = await together(served, embed(served, "a"), embed(served, "b"))
    assert [one.status_code for one in got] == [200, 200]
    assert [request.json["input"] for request in upstream.received] in (["a", "b"], ["b", "a"])


async def test_streams_are_never_joined(upstream: ScriptedUpstream) -> None:
    upstream.always = stream(*events("Hi"))
    async with gateway(batching(upstream.url)) as served:
        got = await together(served, complete(served, "a", stream=True), complete(served, "b", stream=True))
    assert [one.status_code for one in got] == [200, 200]
    assert len(upstream.received) == 2


def raw(text: str) -> bytes:
    body = json.dumps({"model": "bulk", "input": text}).encode()
    return post(body, "accept: */*").replace(b"/v1/chat/completions", b"/v1/embeddings")


async def test_who_leaves_while_it_is_gathered_is_no_part_of_the_call(upstream: ScriptedUpstream) -> None:
    async with gateway(batching(upstream.url)) as served:
        _, writer = await served.raw(raw("gone"))
        async with asyncio.TaskGroup() as asking:
            staying = [asking.create_task(embed(served, text)) for text in ("a", "b")]
            await until(lambda: dict(served.plane.batches.gathered()) == {("batch",): 3})
            writer.close()
            await until(lambda: dict(served.plane.batches.gathered()) == {("batch",): 2})
            served.plane.drain()
        left = served.books.operations[0]
    assert [task.result().status_code for task in staying] == [200, 200]
    assert sorted(upstream.received[0].json["input"]) == ["a", "b"]
    assert (left.outcome, left.error_type, left.shared_attempt_id) == (Outcome.CANCELLED, "client_cancelled", "")


@pytest.mark.parametrize("rule", ["cancel", "finish"])
async def test_who_leaves_a_call_under_way_leaves_its_share_on_the_books(upstream: ScriptedUpstream, rule: str) -> None:
    gate = asyncio.Event()

    async def late(line: Line, request: Received) -> None:
        await gate.wait()
        await vendor(line, request)

    upstream.always = late
    async with gateway(batching(upstream.url, cancel_rule=rule)) as served:
        _, writer = await served.raw(raw("gone"))
        async with asyncio.TaskGroup() as asking:
            staying = asking.create_task(embed(served, "a"))
            await release(served, 2)
            await until(lambda: upstream.received)
            writer.close()
            await until(lambda: len(served.plane.exchanges) == 2)
            gate.set()
        (attempt,) = served.books.attempts
        left, stayed = served.books.operations
    assert vectors(staying.result()) == [(0, 1.0)]
    assert (left.outcome, left.shared_attempt_id, left.usage) == (
        Outcome.CANCELLED,
        attempt.intent.attempt_id,
        NO_USAGE,
    )
    assert (attempt.outcome, attempt.usage.input_total) == (Outcome.OK, 3)
    assert 0 < stayed.usage.input_total < 3


async def test_when_all_have_left_cancel_hangs_up(upstream: ScriptedUpstream) -> None:
    upstream.always = silence
    async with gateway(batching(upstream.url)) as served:
        writers = [(await served.raw(raw(text)))[1] for text in ("a", "b")]
        await release(served, 2)
        await until(lambda: upstream.received)
        for writer in writers:
            writer.close()
        await asyncio.wait_for(upstream.received[0].gone.wait(), 5)
        await until(lambda: len(served.books.operations) == 2)
        (attempt,) = served.books.attempts
        assert served.plane.pools["batch"].inflight == 0
    assert (attempt.outcome, attempt.error_type) == (Outcome.CANCELLED, "client_cancelled")


async def test_when_all_have_left_finish_lets_it_end(upstream: ScriptedUpstream) -> None:
    gate = asyncio.Event()

    async def late(line: Line, request: Received) -> None:
        await gate.wait()
        await vendor(line, request)

    upstream.always = late
    async with gateway(batching(upstream.url, cancel_rule="finish")) as served:
        writers = [(await served.raw(raw(text)))[1] for text in ("a", "b")]
        await release(served, 2)
        await until(lambda: upstream.received)
        for writer in writers:
            writer.close()
        await until(lambda: len(served.plane.exchanges) == 1)
        assert served.plane.pools["batch"].inflight == 1
        gate.set()
        await until(lambda: served.books.attempts)
        (attempt,) = served.books.attempts
        await until(lambda: served.plane.pools["batch"].inflight == 0)
    assert (attempt.outcome, attempt.usage.input_total) == (Outcome.OK, 2)
    assert [operation.outcome for operation in served.books.operations] == [Outcome.CANCELLED] * 2


@pytest.mark.parametrize("rule", ["cancel", "finish"])
async def test_when_all_have_left_before_it_had_a_slot_nothing_is_sent(upstream: ScriptedUpstream, rule: str) -> None:
    upstream.always = silence
    async with gateway(batching(upstream.url, cancel_rule=rule, max_inflight=1)) as served:
        _, holder = await served.raw(raw("holder"))
        await release(served, 1)
        await until(lambda: upstream.received)
        writers = [(await served.raw(raw(text)))[1] for text in ("a", "b")]
        await release(served, 2)
        await until(lambda: served.plane.pools["batch"].queued == 1)
        for writer in writers:
            writer.close()
        await until(lambda: len(served.books.operations) == 2)
        assert served.plane.pools["batch"].queued == 0
        holder.close()
        await until(lambda: len(served.books.operations) == 3)
    assert len(upstream.received) == 1
    assert [attempt.outcome for attempt in served.books.attempts] == [Outcome.REFUSED, Outcome.CANCELLED]


async def test_a_shared_call_that_takes_too_long_is_a_timeout_for_each(upstream: ScriptedUpstream) -> None:
    upstream.always = silence
    async with gateway(batching(upstream.url, total_timeout_s=0.2)) as served:
        got = await together(served, embed(served, "a"), embed(served, "b"))
        (attempt,) = served.books.attempts
    assert [one.status_code for one in got] == [504, 504]
    assert (attempt.outcome, attempt.error_type) == (Outcome.TIMEOUT, "timeout")
    assert [operation.error_type for operation in served.books.operations] == ["timeout"] * 2


async def test_a_stop_ends_a_shared_call_for_all_with_its_reason(upstream: ScriptedUpstream) -> None:
    upstream.always = silence
    async with gateway(batching(upstream.url)) as served:
        async with asyncio.TaskGroup() as asking:
            tasks = [asking.create_task(embed(served, text)) for text in ("a", "b")]
            await release(served, 2)
            await until(lambda: upstream.received)
            for one in sorted(served.plane.exchanges, key=lambda one: isinstance(one, SharedCall)):
                one.stop()
        (attempt,) = served.books.attempts
    assert [task.result().json()["error"]["code"] for task in tasks] == ["shutting_down"] * 2
    assert (attempt.outcome, attempt.error_type) == (Outcome.CANCELLED, "gateway_shutdown")


async def test_a_stop_ends_those_who_are_gathered(upstream: ScriptedUpstream) -> None:
    async with gateway(batching(upstream.url)) as served:
        async with asyncio.TaskGroup() as asking:
            tasks = [asking.create_task(embed(served, text)) for text in ("a", "b")]
            await until(lambda: dict(served.plane.batches.gathered()) == {("batch",): 2})
            served.plane.stop()
        assert dict(served.plane.batches.gathered()) == {("batch",): 0}
    assert [task.result().status_code for task in tasks] == [503, 503]
    assert upstream.received == []


async def test_a_batch_takes_one_slot(upstream: ScriptedUpstream) -> None:
    upstream.always = silence
    async with gateway(batching(upstream.url, max_inflight=1)) as served:
        writers = [(await served.raw(raw(text)))[1] for text in ("a", "b", "c")]
        await release(served, 3)
        await until(lambda: upstream.received)
        pool = served.plane.pools["batch"]
        assert (pool.inflight, pool.queued) == (1, 0)
        for writer in writers:
            writer.close()
        await until(lambda: len(served.books.operations) == 3)


async def test_a_full_queue_refuses_the_whole_batch(upstream: ScriptedUpstream) -> None:
    upstream.always = silence
    async with gateway(batching(upstream.url, max_inflight=1, max_queue=2, max_queue_seconds=0)) as served:
        _, holder = await served.raw(raw("holder"))
        await release(served, 1)
        await until(lambda: upstream.received)
        got = await together(served, embed(served, "a"), embed(served, "b"))
        holder.close()
        await until(lambda: len(served.books.operations) == 3)
    assert {one.json()["error"]["code"] for one in got} <= {"tier_queue_timeout", "tier_queue_full"}
    assert all(int(one.headers["retry-after"]) >= 1 for one in got)
    assert served.plane.metrics.errors[("tier_queue_timeout",)] == 2


async def test_a_sessions_fuse_counts_its_slice(upstream: ScriptedUpstream) -> None:
    fuse = {"tokens": 3}
    async with gateway(batching(upstream.url, fuse=fuse)) as served:
        small, large = {"x-tollway-session": "small"}, {"x-tollway-session": "large"}
        got = await together(served, embed(served, "aa", headers=small), embed(served, "bbbbbb", headers=large))
        assert [one.status_code for one in got] == [200, 200]
        (attempt,) = served.books.attempts
        again = [*await together(served, embed(served, "a", headers=small)), await embed(served, "b", headers=large)]
    assert [one.status_code for one in again] == [200, 403]
    assert attempt.intent.session == ""


async def test_every_token_of_the_vendors_is_on_the_books_exactly_once(upstream: ScriptedUpstream) -> None:
    draw = random.Random(7)
    words = ["a", "bb", "ccc" * 9, "bad", ["x", "yy"], [1, 2, 3], [[4], [5, 6]]]
    asked = [(draw.choice(words), draw.choice([ACME, GLOBEX]), draw.choice([8, 9])) for _ in range(60)]
    vendors = 0

    async def counting(line: Line, request: Received) -> None:
        nonlocal vendors
        if b"bad" not in request.body:
            vendors += embedded(request.json)["usage"]["prompt_tokens"]
        await vendor(line, request)

    upstream.always = counting
    async with gateway(batching(upstream.url, max_queue=100)) as served:
        got = await together(served, *(embed(served, given, key, dimensions=size) for given, key, size in asked))
        attempts, operations = served.books.attempts, served.books.operations
    assert len(upstream.received) < len(asked)
    for one, (given, _, _) in zip(got, asked, strict=True):
        if given == "bad":
            assert one.status_code == 400
        else:
            expected = [(entry["index"], entry["embedding"][0]) for entry in embedded({"input": given})["data"]]
            assert vectors(one) == expected
    assert sum(attempt.usage.input_total for attempt in attempts) == vendors
    assert len({attempt.intent.attempt_id for attempt in attempts}) == len(attempts) == len(upstream.received)
    alone = sum(attempt.usage.input_total for attempt in attempts if attempt.intent.batch_size == 1)
    assert sum(operation.usage.input_total for operation in operations) + alone == vendors
    assert sum(operation.attempts for operation in operations) == len(attempts)
    for attempt in attempts:
        members = [o for o in operations if o.shared_attempt_id == attempt.intent.attempt_id]
        if members:
            assert {operation.tenant for operation in members} == {attempt.intent.tenant}
            assert total([operation.usage for operation in members]) == counts(attempt.usage)


async def test_a_reload_lets_those_who_are_gathered_go(upstream: ScriptedUpstream) -> None:
    async with gateway(batching(upstream.url)) as served, asyncio.TaskGroup() as asking:
        tasks = [asking.create_task(embed(served, text)) for text in ("a", "b")]
        await until(lambda: dict(served.plane.batches.gathered()) == {("batch",): 2})
        successor(served.plane, batching(upstream.url, micro_batch_ms=0))
    assert [task.result().status_code for task in tasks] == [200, 200]
    assert len(upstream.received) == 1


async def test_a_leader_that_left_still_counts_the_shared_attempt(upstream: ScriptedUpstream) -> None:
    gate = asyncio.Event()

    async def late(line: Line, request: Received) -> None:
        await gate.wait()
        await vendor(line, request)

    upstream.script.append(late)
    async with gateway(batching(upstream.url)) as served:
        _, leader = await served.raw(raw("leader"))
        await until(lambda: dict(served.plane.batches.gathered()) == {("batch",): 1})
        async with asyncio.TaskGroup() as asking:
            staying = [asking.create_task(embed(served, text)) for text in ("a", "bad")]
            await release(served, 3)
            await until(lambda: upstream.received)
            leader.close()
            await until(lambda: len(served.plane.exchanges) == 3)
            gate.set()
        attempts, operations = served.books.attempts, served.books.operations
    assert sorted(task.result().status_code for task in staying) == [200, 400]
    assert operations[0].attempts == 1
    assert operations[0].span_id == attempts[0].intent.parent_span_id
    assert sum(operation.attempts for operation in operations) == len(attempts) == 3


async def test_openais_client_gets_its_own_vectors(upstream: ScriptedUpstream) -> None:
    async with gateway(batching(upstream.url)) as served, httpx.AsyncClient(trust_env=False, verify=NO_TLS) as http:
        ai = AsyncOpenAI(base_url=f"{served.url}/v1", api_key=ACME, http_client=http, max_retries=0)
        asking = [ai.embeddings.create(model="bulk", input=text) for text in (["a", "bb"], ["ccc"])]
        first, second = await together(served, *asking)
    assert [entry.embedding[0] for entry in (*first.data, *second.data)] == [1.0, 2.0, 3.0]
    assert [entry.index for entry in (*first.data, *second.data)] == [0, 1, 0]
    assert len(upstream.received) == 1


async def test_a_window_ends_by_itself(upstream: ScriptedUpstream) -> None:
    async with gateway(batching(upstream.url, micro_batch_ms=WINDOW_MS)) as served:
        got = await asyncio.gather(*(embed(served, text) for text in ("a", "b", "c")))
    assert [one.status_code for one in got] == [200] * 3
    assert sum(attempt.intent.batch_size for attempt in served.books.attempts) == 3
