"""The fourteen environment names of the operators' runbooks: each, when set, changes what it should, through the
example configuration as it is shipped and a real gateway."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from deploy.settings import TollwayFile
from gateway.config import RoutingConfig, load_text
from tests.deploy.test_cli import tollway
from tests.deploy.test_settings import ENV, EXAMPLE, RUNBOOK_NAMES
from tests.gateway.conftest import alternate, pytest_asyncio_loop_factories, start_upstream, upstream
from tests.gateway.fakes import Line, Received, ScriptedUpstream, after, answer, chat, error, events, stream
from tests.gateway.serving import Gateway, gateway, post, until

__all__ = ["alternate", "pytest_asyncio_loop_factories", "start_upstream", "upstream"]
VENDORS = ("https://api.openai.com/v1", "https://example.openai.azure.com/openai/v1")
CHAT, EMBEDDINGS = "/v1/chat/completions", "/v1/embeddings"


def example(*urls: str, **names: str) -> RoutingConfig:
    """The example with those names set, its vendors (the first, the other) being at `urls`."""
    text = EXAMPLE.read_text("utf-8")
    for vendor, url in zip(VENDORS, urls, strict=False):
        assert vendor in text
        text = text.replace(vendor, url)
    return load_text(text, TollwayFile, env={**ENV, **names}).routing()


@asynccontextmanager
async def served(*upstreams: ScriptedUpstream, **names: str) -> AsyncIterator[Gateway]:
    async with gateway(example(*(one.url for one in upstreams), **names)) as running:
        yield running


async def ask(running: Gateway, model: str, path: str = CHAT, **fields: Any) -> Any:
    content = {"input": fields.pop("input")} if "input" in fields else {"messages": [{"role": "user", "content": "Hi"}]}
    headers = fields.pop("headers", {})
    async with running.client(ENV["ACME_KEY"]) as client:
        return await client.post(path, json={"model": model, **content, **fields}, headers=headers)


def told(command: str, *more: str, **names: str) -> Any:
    return json.loads(tollway(command, "--config", str(EXAMPLE), "--json", *more, env={**ENV, **names}).stdout)


def test_all_fourteen_names_have_a_test_here() -> None:
    text = Path(__file__).read_text("utf-8")
    assert len(RUNBOOK_NAMES) == 14
    assert [name for name in RUNBOOK_NAMES if f"def test_{name.lower()}_" not in text and name not in TIER_NAMES] == []


@pytest.mark.slow
def test_openai_base_url_is_what_clients_are_told_to_point_at() -> None:
    assert told("check")["client_base_url"] == "http://127.0.0.1:8080/v1"
    both = {"OPENAI_BASE_URL": "https://in.example/v1", "AGGREGATION_BASE_URL": "https://llm.example"}
    assert told("check", **both)["client_base_url"] == "https://in.example/v1"


@pytest.mark.slow
def test_aggregation_base_url_is_the_public_address_that_clients_are_told_of() -> None:
    assert told("check", AGGREGATION_BASE_URL="https://llm.example/")["client_base_url"] == "https://llm.example/v1"
    assert example(AGGREGATION_BASE_URL="https://llm.example/").public_url == "https://llm.example"


TIER_NAMES = {
    "ROUTING_TIER_INTERACTIVE_MAX_INFLIGHT": "fast",
    "ROUTING_TIER_AGENT_MAX_INFLIGHT": "coder",
    "ROUTING_TIER_BATCH_MAX_INFLIGHT": "bulk",
}


@pytest.mark.parametrize("name", TIER_NAMES)
async def test_each_tiers_max_inflight_bounds_what_runs_at_once(upstream: ScriptedUpstream, name: str) -> None:
    for bound, running_at_once in (({name: "1"}, 1), ({}, 2)):
        gate = asyncio.Event()
        upstream.always = after(gate)
        upstream.received.clear()
        async with served(upstream, **bound) as running:
            asked = [asyncio.ensure_future(ask(running, TIER_NAMES[name])) for _ in range(2)]  # noqa: TID251
            pools = running.plane.pools.values()
            await until(lambda pools=pools: sum(pool.inflight + pool.queued for pool in pools) == 2)
            await until(lambda expected=running_at_once: len(upstream.received) == expected)
            assert sum(pool.inflight for pool in pools) == running_at_once
            gate.set()
            assert [got.status_code for got in await asyncio.gather(*asked)] == [200, 200]


def embedded(*inputs: str) -> Any:
    """A vendor's answer to that many inputs."""
    data = [{"object": "embedding", "index": i, "embedding": [0.5]} for i in range(len(inputs))]
    usage = {"prompt_tokens": len(inputs), "total_tokens": len(inputs)}
    return {"object": "list", "model": "text-embedding-3-small", "data": data, "usage": usage}


async def embed_two(upstream: ScriptedUpstream, **names: str) -> list[Any]:
    """The inputs of each call that two equal requests, made at once, came to."""
    upstream.always = answer(embedded("one"))
    if names:
        upstream.script.append(answer(embedded("one", "two")))
    upstream.received.clear()
    async with served(upstream, **names) as running:
        asked = [ask(running, "embed", EMBEDDINGS, input=text) for text in ("one", "two")]
        assert [got.status_code for got in await asyncio.gather(*asked)] == [200, 200]
    return [request.json["input"] for request in upstream.received]


async def test_completion_micro_batch_ms_gathers_equal_requests_into_one_call(upstream: ScriptedUpstream) -> None:
    assert sorted(await embed_two(upstream)) == ["one", "two"]
    (call,) = await embed_two(upstream, COMPLETION_MICRO_BATCH_MS="300")
    assert sorted(call) == ["one", "two"]


async def test_completion_max_batch_tokens_sends_a_batch_before_its_time_is_over(upstream: ScriptedUpstream) -> None:
    names = {"COMPLETION_MICRO_BATCH_MS": "60000", "COMPLETION_MAX_BATCH_TOKENS": "2"}
    async with asyncio.timeout(10):
        (call,) = await embed_two(upstream, **names)
    assert sorted(call) == ["one", "two"]


async def test_stream_chunk_bytes_gathers_small_pieces(upstream: ScriptedUpstream) -> None:
    upstream.always = stream(*events(*"abcdefghij"))
    pieces: dict[str, int] = {}
    body = json.dumps({"model": "fast", "messages": [], "stream": True}).encode()
    for size in ("0", "1000000"):
        async with served(upstream, STREAM_CHUNK_BYTES=size) as running:
            reader, _ = await running.raw(post(body, key=ENV["ACME_KEY"]))
            whole = await asyncio.wait_for(reader.readuntil(b"\r\n0\r\n\r\n"), 5)
            assert whole.count(b"data: ") >= 12
            chunked = whole.partition(b"\r\n\r\n")[2]
            pieces[size] = sum(
                1 for line in chunked.split(b"\r\n") if line and all(c in b"0123456789abcdef" for c in line)
            )
    assert pieces["0"] > pieces["1000000"]
    assert pieces["1000000"] <= 3


async def test_prompt_cache_mode_answers_an_equal_request_without_a_call(upstream: ScriptedUpstream) -> None:
    async with served(upstream) as running:
        for _ in range(2):
            assert (await ask(running, "fast", temperature=0)).headers["x-tollway-cache"] == "off"
        assert len(upstream.received) == 2
    async with served(upstream, PROMPT_CACHE_MODE="exact") as running:
        statuses = [(await ask(running, "fast", temperature=0)).headers["x-tollway-cache"] for _ in range(2)]
        assert statuses == ["miss", "hit"]
        assert len(upstream.received) == 3


async def test_kv_cache_reuse_policy_keeps_a_session_on_its_host(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    def with_hosts(**names: str) -> RoutingConfig:
        text = EXAMPLE.read_text("utf-8").replace(f'"{VENDORS[0]}"', f'"{upstream.url}", hosts: ["{alternate.url}"]')
        return load_text(text, TollwayFile, env={**ENV, **names}).routing()

    async def spread(config: RoutingConfig) -> set[int]:
        upstream.received.clear()
        alternate.received.clear()
        async with gateway(config) as running:
            for _ in range(6):
                got = await ask(running, "coder", headers={"x-tollway-session": "one"})
                assert got.status_code == 200
        return {len(upstream.received), len(alternate.received)}

    upstream.always = alternate.always = answer(chat())
    assert await spread(with_hosts()) == {3}
    assert await spread(with_hosts(KV_CACHE_REUSE_POLICY="sticky")) == {0, 6}


async def test_fallback_model_alias_chain_is_the_ladder_of_an_alias_that_names_none(
    upstream: ScriptedUpstream,
) -> None:
    async def coder_fails(line: Line, request: Received) -> None:
        reply = error(500) if request.json["model"] == "gpt-4.1" else answer(chat())
        await reply(line, request)

    upstream.always = coder_fails
    async with served(upstream) as running:
        assert (await ask(running, "coder", max_tokens=10)).status_code == 500
    async with served(upstream, FALLBACK_MODEL_ALIAS_CHAIN="bulk, fast") as running:
        got = await ask(running, "coder", max_tokens=10)
    assert got.status_code == 200
    assert (got.headers["x-tollway-fallback-depth"], got.headers["x-tollway-fallback-reason"]) == ("1", "server_error")
    assert upstream.received[-1].json["model"] == "gpt-4.1-nano"


async def test_fallback_max_extra_spend_usd_bounds_what_a_request_may_cost_more(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    upstream.always = error(500)
    async with served(upstream, alternate) as running:
        assert (await ask(running, "fast", max_tokens=10)).status_code == 200
    async with served(upstream, alternate, FALLBACK_MAX_EXTRA_SPEND_USD="0.0000001") as running:
        assert (await ask(running, "fast", max_tokens=10)).status_code == 500
        assert running.books.attempts[-1].error_type == "budget_exhausted"
    assert len(alternate.received) == 1


@pytest.mark.slow
def test_remote_mac_soak_hours_is_shown_by_the_doctor() -> None:
    assert finding() == "none configured"
    assert "soak 72 h" in finding(REMOTE_MAC_SOAK_HOURS="72")


@pytest.mark.slow
def test_remote_mac_notarized_checklist_id_is_shown_by_the_doctor() -> None:
    assert "notarized checklist: NC-2026-11" in finding(REMOTE_MAC_NOTARIZED_CHECKLIST_ID="NC-2026-11")


def finding(**names: str) -> str:
    return next(str(one["words"]) for one in told("doctor", **names) if one["what"] == "remote macs")
