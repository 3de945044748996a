"""The routes off the data path."""

import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.wire.kinds import Kind
from tests.gateway.fakes import ScriptedUpstream, drop
from tests.gateway.serving import chat_request, gateway, routing


async def test_health_needs_no_key_and_readiness_ends_with_draining(upstream: ScriptedUpstream) -> None:
    async with gateway(routing(upstream.url)) as served, served.client("none") as client:
        assert (await client.get("/healthz")).json() == {"status": "ok"}
        assert (await client.get("/readyz")).status_code == 200
        served.plane.draining = True
        assert (await client.get("/readyz")).status_code == 503
        assert (await client.get("/healthz")).status_code == 200


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS", "PATCH"])
async def test_what_asks_a_model_takes_nothing_but_post(upstream: ScriptedUpstream, method: str, kind: Kind) -> None:
    async with gateway(routing(upstream.url)) as served, served.client() as client:
        got = await client.request(method, kind.route)
        head = await client.head(kind.route)
    assert (got.status_code, got.json()["error"]["code"]) == (405, "method_not_allowed")
    assert got.headers["allow"] == "POST"
    assert (head.status_code, head.content) == (405, b"")


async def test_an_unknown_route_is_told_in_the_same_envelope(upstream: ScriptedUpstream) -> None:
    async with gateway(routing(upstream.url)) as served, served.client() as client:
        got = await client.post("/v1/chat/completion", json={}, headers={"x-request-id": "mine"})
        other = await client.post("/v1/models")
    assert (got.status_code, got.json()["error"]["code"], got.headers["x-request-id"]) == (404, "unknown_route", "mine")
    assert (other.status_code, other.json()["error"]["code"]) == (405, "method_not_allowed")


async def test_models_need_a_key(upstream: ScriptedUpstream) -> None:
    async with gateway(routing(upstream.url)) as served, served.client("not-a-key-of-anyone") as client:
        got = await client.get("/v1/models")
    assert (got.status_code, got.json()["error"]["code"]) == (401, "invalid_api_key")


async def test_the_api_is_described_without_a_page_that_needs_the_internet(upstream: ScriptedUpstream) -> None:
    async with gateway(routing(upstream.url)) as served, served.client() as client:
        described = (await client.get("/openapi.json")).json()
        pages = [(await client.get(path)).status_code for path in ("/docs", "/redoc")]
    assert {*(kind.route for kind in Kind), "/v1/models", "/healthz", "/readyz", "/metrics"} <= set(described["paths"])
    assert all(described["paths"][kind.route]["post"]["requestBody"]["required"] for kind in Kind)
    assert pages == [404, 404]


async def test_metrics_count_what_happened_under_bounded_labels(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    upstream.script.append(drop)
    async with gateway(routing(upstream.url, alternate.url)) as served, served.client() as client:
        await client.post("/v1/chat/completions", json=chat_request())
        await client.post("/v1/chat/completions", json=chat_request(model="none"))
        text = (await client.get("/metrics")).text
    samples = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }

    def value(name: str, **labels: str) -> float:
        return samples[(name, tuple(sorted(labels.items())))]

    path = {"alias": "fast", "tier": "interactive"}
    assert value("tollway_requests_total", **path, outcome="ok") == 1
    lost = {"upstream": "u0", "outcome": "error", "reason": "connection_lost"}
    assert value("tollway_attempts_total", **path, **lost) == 1
    assert value("tollway_attempts_total", **path, upstream="u1", outcome="ok", reason="") == 1
    assert value("tollway_tokens_total", alias="fast", upstream="u1", token_class="output") == 3
    assert value("tollway_errors_total", code="model_not_found") == 1
    assert value("tollway_request_seconds_count", **path) == 1
    assert value("tollway_request_seconds_bucket", **path, le="+Inf") == 1
    assert value("tollway_inflight", tier="interactive") == 0
    assert value("tollway_breakers_not_closed", alias="fast", upstream="u0") == 0
    assert not re.search("acme|req_|none", text)
