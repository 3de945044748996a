"""Marks for a vendor's own cache over real sockets: on the upstream's copy, and only where they can pay."""

from typing import Any

import orjson
import pytest

from gateway.flow.reload import Reread
from tests.gateway.dialects import response
from tests.gateway.fakes import ScriptedUpstream, answer, chat, events, stream
from tests.gateway.serving import ACME, GLOBEX, Gateway, chat_request, gateway, routing

LONG = "You are terse. " * 200


def marking(*urls: str, provider: str = "openrouter", cache_read: str | None = "0.1", **changes: Any) -> Any:
    """A configuration that marks, whose upstreams are of that provider."""
    prices = {"input": "1", "output": "2", **({"cache_read": cache_read} if cache_read else {})}
    card = {"currency": "USD", "effective_from": "2023-01-01T00:00:00Z", "per_million_tokens": prices}
    cards = [{"provider": provider, "model": f"m{i}", **card} for i in range(len(urls))]
    upstreams = {f"u{i}": {"provider": provider} for i in range(len(urls))}
    return routing(*urls, cache={"mode": "template"}, upstreams=upstreams, rate_cards=cards, **changes)


async def say(served: Gateway, text: str = "Hi", key: str = ACME, **changes: Any) -> bytes:
    messages = [{"role": "system", "content": LONG}, {"role": "user", "content": text}]
    async with served.client(key) as client:
        answered = await client.post("/v1/chat/completions", json=chat_request(messages=messages, **changes))
    assert answered.status_code == 200
    return answered.content


def keys(upstream: ScriptedUpstream) -> list[str | None]:
    return [request.json.get("prompt_cache_key") for request in upstream.received]


def marked(upstream: ScriptedUpstream) -> list[bool]:
    return [b"cache_control" in request.body for request in upstream.received]


async def test_from_the_second_time_on_a_prefix_has_a_key_and_a_mark(upstream: ScriptedUpstream) -> None:
    async with gateway(marking(upstream.url)) as served:
        for text in ("a", "b", "c"):
            await say(served, text)
    first, second, third = keys(upstream)
    assert first is None
    assert second == third != None  # noqa: E711
    assert marked(upstream) == [False, True, True]
    part = {"type": "text", "text": LONG, "cache_control": {"type": "ephemeral"}}
    assert upstream.received[1].json["messages"] == [
        {"role": "system", "content": [part]}, {"role": "user", "content": "b"},
    ]  # fmt: skip


async def respond(served: Gateway, **body: Any) -> None:
    async with served.client() as client:
        answered = await client.post("/v1/responses", json={"model": "fast", **body})
    assert answered.status_code == 200, answered.text


RESPONSES: list[tuple[str, list[dict[str, Any]], list[bool]]] = [
    ("instructions and text", [{"instructions": LONG, "input": text} for text in "abc"], [False, True, True]),
    ("items", [{"input": [{"role": "system", "content": LONG}, {"role": "user", "content": t}]} for t in "ab"],
     [False, True]),
    ("other tools", [{"instructions": LONG, "input": "a", "tools": [{"type": t}]} for t in ("web_search", "x")],
     [False, False]),
    ("its own key", [{"instructions": LONG, "input": "a", "prompt_cache_key": "mine"}] * 2, [True, True]),
    ("text alone", [{"input": "a"}, {"input": "a"}, {"input": "b"}], [False, True, False]),
]  # fmt: skip


@pytest.mark.parametrize(("bodies", "keyed"), [case[1:] for case in RESPONSES], ids=[case[0] for case in RESPONSES])
async def test_a_responses_request_gets_a_key_by_its_instructions_and_first_items(
    upstream: ScriptedUpstream, bodies: list[dict[str, Any]], keyed: list[bool]
) -> None:
    upstream.always = answer(response())
    async with gateway(marking(upstream.url, provider="openai")) as served:
        for body in bodies:
            await respond(served, **body)
    assert [key is not None for key in keys(upstream)] == keyed
    assert marked(upstream) == [False] * len(bodies)


async def test_what_is_kept_at_the_vendor_stands_before_a_responses_input(upstream: ScriptedUpstream) -> None:
    upstream.always = answer(response())
    async with gateway(marking(upstream.url, provider="openai")) as served:
        await respond(served, input="a")
        for _ in range(2):
            await respond(served, input="again", previous_response_id="resp_1")
        for _ in range(2):
            await respond(served, input="again", previous_response_id="resp_1", instructions=LONG)
    assert [key is not None for key in keys(upstream)] == [False, False, False, False, True]


@pytest.mark.parametrize("provider", ["litellm", "anthropic", "groq"])
async def test_a_provider_that_is_not_known_to_take_it_gets_no_mark_on_responses(
    upstream: ScriptedUpstream, provider: str
) -> None:
    upstream.always = answer(response())
    async with gateway(marking(upstream.url, provider=provider)) as served:
        for _ in range(2):
            await respond(served, instructions=LONG, input="a")
    assert (keys(upstream), marked(upstream)) == ([None, None], [False, False])


async def test_two_tenants_with_one_prompt_have_two_keys(upstream: ScriptedUpstream) -> None:
    async with gateway(marking(upstream.url)) as served:
        for key in (ACME, ACME, GLOBEX, GLOBEX):
            await say(served, key=key)
    first, acme, third, globex = keys(upstream)
    assert (first, third) == (None, None)
    assert acme != globex


async def test_nothing_but_the_marks_is_changed(upstream: ScriptedUpstream) -> None:
    async with gateway(marking(upstream.url, provider="openai")) as served:
        for _ in range(2):
            await say(served, temperature=1.0, unknown={"b": 1.50, "a": None})
    plain, keyed = (request.body for request in upstream.received)
    assert orjson.loads(keyed) == {**orjson.loads(plain), "prompt_cache_key": keys(upstream)[1]}
    assert plain.removeprefix(b"{") in keyed


@pytest.mark.parametrize("cache_read", [None, "1", "2"])
async def test_where_cached_tokens_are_not_cheaper_nothing_is_marked(
    upstream: ScriptedUpstream, cache_read: str | None
) -> None:
    async with gateway(marking(upstream.url, cache_read=cache_read)) as served:
        for _ in range(3):
            await say(served)
    assert keys(upstream) == [None] * 3
    assert marked(upstream) == [False] * 3


@pytest.mark.parametrize(
    ("provider", "key", "mark"), [("openai", True, False), ("anthropic", False, True), ("groq", False, False)]
)
async def test_a_provider_gets_what_it_takes(upstream: ScriptedUpstream, provider: str, key: bool, mark: bool) -> None:
    async with gateway(marking(upstream.url, provider=provider)) as served:
        for _ in range(2):
            await say(served)
    assert (keys(upstream)[1] is not None, marked(upstream)[1]) == (key, mark)


async def test_an_attempt_after_the_first_does_not_count_as_having_been_seen(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    upstream.script.append(answer({"error": {"message": "No."}}, 503))
    async with gateway(marking(upstream.url, alternate.url)) as served:
        await say(served)
    assert marked(alternate) == [False]


async def test_a_tier_may_forbid_marks(upstream: ScriptedUpstream) -> None:
    tiers = {"interactive": {"cache_allowed": ["exact"]}}
    async with gateway(marking(upstream.url, tiers=tiers)) as served:
        for _ in range(2):
            await say(served)
    assert marked(upstream) == [False, False]


async def test_a_vendors_cache_hits_are_told_apart_from_the_gateways_own(upstream: ScriptedUpstream) -> None:
    usage = {"prompt_tokens": 900, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 800}}
    upstream.always = answer(chat(usage=usage))
    async with gateway(marking(upstream.url)) as served, served.client() as client:
        for _ in range(2):
            await say(served)
        lines = (await client.get("/metrics")).text.splitlines()
        hit = served.books.attempts[1]
    assert 'tollway_provider_cache_hits_total{alias="fast",upstream="u0"} 2.0' in lines
    assert 'tollway_tokens_total{alias="fast",token_class="cache_read",upstream="u0"} 1600.0' in lines
    assert 'tollway_template_marks_total{alias="fast",mark="cache_control",upstream="u0"} 1.0' in lines
    assert 'tollway_template_marks_total{alias="fast",mark="prompt_cache_key",upstream="u0"} 1.0' in lines
    assert not [line for line in lines if line.startswith("tollway_cache_")]
    assert (hit.usage.cache_read, hit.intent.cache_status) == (800, "off")


async def test_a_gateway_hit_is_no_hit_of_the_vendors(upstream: ScriptedUpstream) -> None:
    usage = {"prompt_tokens": 900, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 800}}
    upstream.always = answer(chat(usage=usage))
    async with gateway(routing(upstream.url, cache={"mode": "exact"})) as served, served.client() as client:
        for _ in range(3):
            await say(served, temperature=0)
        lines = (await client.get("/metrics")).text.splitlines()
    assert 'tollway_cache_hits_total{alias="fast"} 2.0' in lines
    assert 'tollway_provider_cache_hits_total{alias="fast",upstream="u0"} 1.0' in lines
    assert 'tollway_tokens_total{alias="fast",token_class="cache_read",upstream="u0"} 800.0' in lines


async def test_streams_are_marked_too_and_what_was_seen_outlives_a_reload(upstream: ScriptedUpstream) -> None:
    upstream.always = stream(*events("a"))
    again = marking(upstream.url, tiers={"batch": {"max_inflight": 3}})
    async with gateway(marking(upstream.url), read_again=lambda: Reread(again)) as served:
        await say(served, stream=True)
        await served.serving.reload()
        await say(served, stream=True)
    assert marked(upstream) == [False, True]
    assert upstream.received[1].json["stream_options"] == {"include_usage": True}
