"""The answer cache over real sockets: who is answered from it, what a replay is, and what is written down of it."""

import json
from decimal import Decimal
from typing import Any

import httpx
import pytest

from gateway.domain.attempt import Outcome
from gateway.domain.usage import Completeness, Usage
from gateway.flow.reload import Reread
from tests.gateway.fakes import DONE, ScriptedUpstream, answer, chat, chunk, drop, error, event, events, stream
from tests.gateway.serving import GLOBEX, Gateway, chat_request, gateway, routing, until

EXACT = {"cache": {"mode": "exact"}}
USAGE = Usage(input_uncached=10, output=3)
PRICE = Decimal("0.000016")
"""10 tokens at $1 and 3 at $2 per million."""


def asked(**changes: Any) -> dict[str, Any]:
    return chat_request(**{"temperature": 0, **changes})


async def say(client: httpx.AsyncClient, path: str = "/v1/chat/completions", /, **changes: Any) -> httpx.Response:
    headers = changes.pop("headers", {})
    return await client.post(path, json=asked(**changes), headers=headers)


async def statuses(served: Gateway, *requests: dict[str, Any]) -> list[str]:
    async with served.client() as client:
        return [(await say(client, **request)).headers["x-tollway-cache"] for request in requests]


async def test_the_second_of_two_equal_requests_is_answered_without_a_call(upstream: ScriptedUpstream) -> None:
    async with gateway(routing(upstream.url, **EXACT)) as served, served.client() as client:
        first = await say(client)
        second = await say(client, metadata={"a": "b"}, user="someone else")
    assert [first.headers["x-tollway-cache"], second.headers["x-tollway-cache"]] == ["miss", "hit"]
    assert first.content == second.content
    assert first.headers["content-type"] == second.headers["content-type"]
    assert first.headers["x-request-id"] != second.headers["x-request-id"]
    assert len(upstream.received) == 1


async def test_a_hit_is_an_operation_that_says_what_it_saved_and_no_attempt(upstream: ScriptedUpstream) -> None:
    async with gateway(routing(upstream.url, **EXACT)) as served:
        assert await statuses(served, {}, {}) == ["miss", "hit"]
        missed, hit = served.books.operations
    assert len(served.books.attempts) == len(served.books.intents) == 1
    assert served.books.attempts[0].intent.cache_status == missed.cache_status == "miss"
    assert (hit.cache_status, hit.outcome, hit.http_status, hit.attempts) == ("hit", Outcome.OK, 200, 0)
    assert (hit.saved_usd, hit.usage, hit.completeness) == (PRICE, USAGE, Completeness.MEASURED)
    assert (missed.saved_usd, missed.completeness) == (None, Completeness.UNKNOWN)


async def test_a_saving_without_a_price_is_unknown_and_not_zero(upstream: ScriptedUpstream) -> None:
    async with gateway(routing(upstream.url, rate_cards=[], **EXACT)) as served:
        await statuses(served, {}, {})
        assert served.books.operations[1].saved_usd is None
        assert served.books.operations[1].usage == USAGE


async def test_two_tenants_never_share_an_answer(upstream: ScriptedUpstream) -> None:
    upstream.script.extend([answer(chat("For acme.")), answer(chat("For globex."))])
    async with (
        gateway(routing(upstream.url, **EXACT)) as served,
        served.client() as acme,
        served.client(GLOBEX) as globex,
    ):
        answers = [await say(client) for client in (acme, globex, acme, globex)]
    texts = [one.json()["choices"][0]["message"]["content"] for one in answers]
    assert texts == ["For acme.", "For globex."] * 2
    assert [one.headers["x-tollway-cache"] for one in answers] == ["miss", "miss", "hit", "hit"]


async def test_a_tier_and_an_alias_have_their_own_answers(upstream: ScriptedUpstream) -> None:
    async with gateway(routing(upstream.url, **EXACT)) as served:
        requests = [{}, {"headers": {"x-tollway-tier": "batch"}}, {"model": "bulk"}]
        assert await statuses(served, *requests, *requests) == ["miss"] * 3 + ["hit"] * 3


OTHER_TARGET = {"fast": {"targets": [{"upstream": "u0", "model": "m1"}]}}


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, "hit"),
        ({"tiers": {"batch": {"max_inflight": 3}}}, "hit"),
        ({"cache": {"mode": "read_only", "max_bytes": 100_000, "ttl_s": 5}}, "hit"),
        ({"cache": {"mode": "exact", "policy_epoch": "2"}}, "miss"),
        ({"cache": {"mode": "exact", "max_bytes": 0}}, "miss"),
        ({"aliases": OTHER_TARGET}, "miss"),
        ({"cache": {"mode": "off"}}, "off"),
    ],
)
async def test_answers_outlive_a_reload_unless_it_changes_what_they_stand_for(
    upstream: ScriptedUpstream, changes: dict[str, Any], status: str
) -> None:
    again = routing(upstream.url, **{**EXACT, **changes})
    async with gateway(routing(upstream.url, **EXACT), read_again=lambda: Reread(again)) as served:
        assert await statuses(served, {}) == ["miss"]
        await served.serving.reload()
        assert await statuses(served, {}) == [status]


@pytest.mark.parametrize("usage_asked_for", [False, True])
async def test_a_streams_replay_is_the_stream_byte_for_byte(upstream: ScriptedUpstream, usage_asked_for: bool) -> None:
    """As the client had it: with the usage chunk if it asked for that, without it if not."""
    upstream.script.append(stream(*events("One", " two", " \u00e9\U0001f600")))
    options = {"stream_options": {"include_usage": True}} if usage_asked_for else {}
    async with gateway(routing(upstream.url, **EXACT)) as served, served.client() as client:
        first, second = await say(client, stream=True, **options), await say(client, stream=True, **options)
        hit = served.books.operations[1]
    assert second.headers["x-tollway-cache"] == "hit"
    assert second.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert second.headers["transfer-encoding"] == "chunked"
    assert first.content == second.content
    assert second.content.endswith(DONE)
    assert (b'"prompt_tokens":10' in second.content) is usage_asked_for
    assert (hit.usage, hit.stream) == (USAGE, True)


async def test_no_answer_comes_in_another_shape_than_it_was_asked_for(upstream: ScriptedUpstream) -> None:
    """Whole, streamed, and streamed with usage are three answers, each replayed only to who asks for that."""
    shapes: list[dict[str, Any]] = [{}, {"stream": True}, {"stream": True, "stream_options": {"include_usage": True}}]
    upstream.script.extend([answer(chat()), stream(*events("a")), stream(*events("a"))])
    async with gateway(routing(upstream.url, **EXACT)) as served, served.client() as client:
        for status in ("miss", "hit"):
            whole, streamed, with_usage = [await say(client, **shape) for shape in shapes]
            assert {one.headers["x-tollway-cache"] for one in (whole, streamed, with_usage)} == {status}
            assert whole.json()["choices"][0]["message"]["content"] == "Hello."
            assert b"prompt_tokens" not in streamed.content
            assert json.loads(with_usage.content.split(b"data: ")[-2])["usage"]["prompt_tokens"] == 10


async def test_a_replay_needs_no_slot(upstream: ScriptedUpstream) -> None:
    tiers = {"interactive": {"max_inflight": 1, "max_queue": 0}}
    async with gateway(routing(upstream.url, tiers=tiers, **EXACT)) as served:
        await statuses(served, {})
        upstream.script.append(stream(event(chunk("a")), end="hang"))
        async with served.client() as client, client.stream("POST", "/v1/chat/completions", json=asked(stream=True)):
            assert served.plane.pools["interactive"].inflight == 1
            assert await statuses(served, {}) == ["hit"]
        await until(lambda: not served.plane.exchanges)


@pytest.mark.parametrize(
    ("request_", "wish", "status"),
    [
        ({"temperature": 0.7}, None, "bypass"),
        ({"temperature": None}, None, "bypass"),
        ({"temperature": 0.7}, "use", "miss"),
        ({}, "no-store", "bypass"),
        ({"store": True}, "use", "bypass"),
    ],
)
async def test_chance_and_the_callers_wish_decide(
    upstream: ScriptedUpstream, request_: dict[str, Any], wish: str | None, status: str
) -> None:
    request = {**request_, "headers": {"x-tollway-cache": wish} if wish else {}}
    async with gateway(routing(upstream.url, **EXACT)) as served:
        again = "hit" if status == "miss" else status
        assert await statuses(served, request, request) == [status, again]
        assert served.books.operations[0].cache_status == served.books.attempts[0].intent.cache_status == status


async def test_a_wish_that_is_none_is_an_error_that_says_what_may_be_wished(upstream: ScriptedUpstream) -> None:
    async with gateway(routing(upstream.url, **EXACT)) as served, served.client() as client:
        refused = await say(client, headers={"x-tollway-cache": "always"})
        assert refused.status_code == 400
        assert refused.json()["error"]["param"] == "x-tollway-cache"
        assert "`use` or `no-store`" in refused.json()["error"]["message"]
        assert served.plane.pools["interactive"].inflight == 0
        assert (await say(client)).status_code == 200
    assert served.books.operations[0].outcome is Outcome.REFUSED


async def test_a_tier_may_forbid_the_cache(upstream: ScriptedUpstream) -> None:
    tiers = {"interactive": {"cache_allowed": ["template"]}}
    async with gateway(routing(upstream.url, tiers=tiers, **EXACT)) as served:
        assert await statuses(served, {}, {}, {"model": "bulk"}, {"model": "bulk"}) == ["off", "off", "miss", "hit"]


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("off", ["off", "off"]),
        ("template", ["off", "off"]),
        ("exact", ["miss", "hit"]),
        ("read_only", ["miss", "miss"]),
        ("write_only", ["bypass", "bypass"]),
    ],
)
async def test_the_mode_decides_which_way_the_cache_is_used(
    upstream: ScriptedUpstream, mode: str, expected: list[str]
) -> None:
    async with gateway(routing(upstream.url, cache={"mode": mode})) as served:
        assert await statuses(served, {}, {}) == expected
        kept = len(served.plane.answers.store) if served.plane.answers is not None else 0
        assert kept == (mode in ("exact", "write_only"))


CUT = stream(*events("a")[:2], end="cut")
ERROR_IN_BAND = stream(*events("a")[:2], event({"error": {"message": "No.", "code": 500}}))


@pytest.mark.parametrize(
    ("reply", "streamed"),
    [
        (error(400), False),
        (error(500), False),
        (drop, False),
        (answer(b"x"), False),
        (CUT, True),
        (ERROR_IN_BAND, True),
    ],
)
async def test_an_answer_that_is_not_whole_and_good_is_never_kept(
    upstream: ScriptedUpstream, reply: Any, streamed: bool
) -> None:
    upstream.script.append(reply)
    upstream.always = stream(*events("a")) if streamed else answer(chat())
    async with gateway(routing(upstream.url, **EXACT)) as served:
        assert await statuses(served, {"stream": streamed}, {"stream": streamed}) == ["miss", "miss"]


async def test_a_stream_whose_client_left_is_not_kept(upstream: ScriptedUpstream) -> None:
    upstream.script.append(stream(event(chunk("a")), end="hang"))
    upstream.always = stream(*events("a"))
    async with gateway(routing(upstream.url, **EXACT)) as served:
        async with served.client() as client, client.stream("POST", "/v1/chat/completions", json=asked(stream=True)):
            pass
        await until(lambda: served.books.operations)
        assert await statuses(served, {"stream": True}) == ["miss"]


async def test_an_alternates_answer_is_not_kept(upstream: ScriptedUpstream, alternate: ScriptedUpstream) -> None:
    """The first choice may be back in a moment; what stood in for it would be given for as long as the cache keeps."""
    upstream.script.append(error(503))
    async with gateway(routing(upstream.url, alternate.url, **EXACT)) as served:
        assert await statuses(served, {}, {}, {}) == ["miss", "miss", "hit"]
    assert (len(upstream.received), len(alternate.received)) == (2, 1)


@pytest.mark.parametrize("streamed", [False, True])
async def test_an_answer_that_is_too_long_is_not_kept(upstream: ScriptedUpstream, streamed: bool) -> None:
    upstream.always = stream(*events("a" * 600, "b" * 600)) if streamed else answer(chat("a" * 1200))
    async with gateway(routing(upstream.url, cache={"mode": "exact", "answer_bytes_max": 1000})) as served:
        assert await statuses(served, {"stream": streamed}, {"stream": streamed}) == ["miss", "miss"]
        assert served.plane.answers is not None
        assert served.plane.answers.store.bytes == 0


async def test_a_very_long_request_passes_by(upstream: ScriptedUpstream) -> None:
    """It would hold all others up while it is looked at."""
    long, longer = {"x": "a" * 2**19}, {"x": "a" * 2**20}
    async with gateway(routing(upstream.url, **EXACT)) as served:
        assert await statuses(served, long, long, longer, longer) == ["miss", "hit", "bypass", "bypass"]


async def test_embeddings_have_no_chance_in_them(upstream: ScriptedUpstream) -> None:
    usage = {"prompt_tokens": 2, "total_tokens": 2}
    data = [{"object": "embedding", "index": 0, "embedding": [0.5]}]
    upstream.always = answer({"object": "list", "model": "e", "data": data, "usage": usage})
    async with gateway(routing(upstream.url, **EXACT)) as served, served.client() as client:
        answers = [await client.post("/v1/embeddings", json={"model": "fast", "input": "Hi"}) for _ in range(2)]
    assert [one.headers["x-tollway-cache"] for one in answers] == ["miss", "hit"]
    assert answers[0].content == answers[1].content


async def test_what_the_vendor_said_of_its_limits_is_not_repeated_later(upstream: ScriptedUpstream) -> None:
    upstream.script.append(answer(chat(), x_ratelimit_remaining_requests="3"))
    async with gateway(routing(upstream.url, **EXACT)) as served, served.client() as client:
        first, second = await say(client), await say(client)
    assert first.headers["x-ratelimit-remaining-requests"] == "3"
    assert "x-ratelimit-remaining-requests" not in second.headers


async def test_metrics_tell_hits_misses_bytes_and_savings(upstream: ScriptedUpstream) -> None:
    async with gateway(routing(upstream.url, **EXACT)) as served, served.client() as client:
        await statuses(served, {}, {}, {"seed": 1}, {"temperature": 1})
        lines = (await client.get("/metrics")).text.splitlines()
        assert served.plane.answers is not None
        kept = served.plane.answers.store.bytes
    for line in (
        'tollway_cache_hits_total{alias="fast"} 1.0',
        'tollway_cache_misses_total{alias="fast"} 2.0',
        'tollway_cache_bypasses_total{alias="fast"} 1.0',
        'tollway_cache_saved_usd_total{alias="fast"} 1.6e-05',
        'tollway_cache_saved_tokens_total{alias="fast"} 13.0',
        'tollway_cache_evictions_total{cause="size"} 0.0',
        f"tollway_cache_bytes {float(kept)}",
        "tollway_cache_entries 2.0",
    ):
        assert line in lines


async def test_a_cache_that_is_off_has_no_metrics_and_no_store(upstream: ScriptedUpstream) -> None:
    async with gateway(routing(upstream.url)) as served, served.client() as client:
        assert served.plane.answers is None
        assert "tollway_cache_hits" not in (await client.get("/metrics")).text
