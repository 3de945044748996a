"""Batches: run on a tenant's own file, and metered once, when their results are fetched."""

import asyncio
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.control import spend
from gateway.control.database import MEMORY, Database
from gateway.domain.attempt import Attempt
from tests.gateway.fakes import FakeBooks, Line, Received, ScriptedUpstream
from tests.gateway.serving import CARD, GLOBEX, chat_request, gateway, routing, until
from tests.gateway.stored.test_files import line, upload
from tests.gateway.stored.vault import Vault, error_line, result_line


async def run(client: httpx.AsyncClient, **more: Any) -> tuple[str, str]:
    """The ids of a batch and of its input file."""
    file = (await upload(client, line(1) + line(2), "batch")).json()["id"]
    body = {"input_file_id": file, "endpoint": "/v1/chat/completions", "completion_window": "24h", **more}
    got = await client.post("/v1/batches", json=body)
    assert got.status_code == 200, got.text
    return got.json()["id"], file


async def fetch(client: httpx.AsyncClient, batch: str) -> httpx.Response:
    """The content of its results, found as a client finds it."""
    seen = (await client.get(f"/v1/batches/{batch}")).json()
    return await client.get(f"/v1/files/{seen['output_file_id']}/content")


def priced_batches(month_usd: str) -> dict[str, Any]:
    """A bound on acme's month, and cards of which the batch's is half of the other."""
    listed = {**CARD, "provider": "openai", "model": "m0", "per_million_tokens": {"input": "1", "output": "2"}}
    half = {**listed, "processing_tier": "batch", "per_million_tokens": {"input": "0.5", "output": "1"}}
    return {"tenants": {"acme": {"budget": {"month_usd": month_usd}}}, "rate_cards": [listed, half]}


def identities(attempts: list[Attempt]) -> list[tuple[str, str, str]]:
    return [(a.intent.attempt_id, a.intent.span_id, a.intent.trace_id) for a in attempts]


async def test_a_batch_runs_where_its_file_is_and_is_seen_by_its_owner(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream, vault: Vault
) -> None:
    slow = {"slow": {"tier": "interactive", "targets": [{"upstream": "u1", "model": "m1"}]}}
    config = routing(upstream.url, alternate.url, aliases={"fast": {"fallback": []}, **slow})
    async with gateway(config) as served, served.client() as client:
        batch, file = await run(client, metadata={"a": "b"})
        got = (await client.get(f"/v1/batches/{batch}")).json()
        cancelled = (await client.post(f"/v1/batches/{batch}/cancel")).json()
    assert (vault.batches[batch]["input_file_id"], got["metadata"], cancelled["status"]) == (
        file, {"a": "b"}, "cancelling",
    )  # fmt: skip
    assert alternate.received == []


async def test_usage_is_metered_when_the_results_are_fetched_and_a_second_fetch_writes_nothing(
    upstream: ScriptedUpstream, vault: Vault
) -> None:
    async with gateway(routing(upstream.url)) as served, served.client() as client:
        batch, _ = await run(client)
        vault.finish(batch, result_line(1), error_line(2), result_line(3))
        got = await fetch(client, batch)
        await until(lambda: not served.plane.stored.metering)
        first = list(served.books.attempts)
        again = await fetch(client, batch)
        metrics = (await client.get("/metrics")).text
        await until(lambda: not served.plane.stored.metering)
    assert got.content == again.content == result_line(1) + error_line(2) + result_line(3)
    assert served.books.attempts == first
    assert [(a.usage.input_uncached, a.usage.output, a.service_tier, a.completeness) for a in first] == [
        (10, 1, "batch", "measured"), (10, 3, "batch", "measured"),
    ]  # fmt: skip
    one = first[0]
    assert (one.intent.alias, one.intent.tier, one.intent.upstream, one.intent.model) == (
        "fast",
        "interactive",
        "u0",
        "m0",
    )
    assert (one.response_id, one.response_model, one.intent.started_at) == (
        "chatcmpl-1",
        "m0-2026",
        1_790_000_001 * 10**9,
    )
    assert one.intent.route == "/v1/batches"
    created = next(o for o in served.books.operations if o.route == "/v1/batches")
    assert (one.intent.trace_id, one.intent.parent_span_id) == (created.trace_id, created.span_id)
    assert 'tollway_batch_lines_total{result="metered"} 2.0' in metrics
    assert 'tollway_stored_unmetered{kind="batch"} 0.0' in metrics


async def test_what_a_batch_cost_is_on_its_tenants_month_once_and_is_never_refused_though_it_goes_beyond_it(
    upstream: ScriptedUpstream, vault: Vault
) -> None:
    """Three million tokens in and one out, at half of $1 and $2 a million."""
    dear = {"prompt_tokens": 3_000_000, "completion_tokens": 1_000_000, "total_tokens": 4_000_000}
    async with gateway(routing(upstream.url, **priced_batches("2"))) as served, served.client() as client:
        batch, _ = await run(client)
        vault.finish(batch, result_line(1, usage=dear), error_line(2))
        for _ in range(2):
            assert (await fetch(client, batch)).status_code == 200
            await until(lambda: not served.plane.stored.metering)
        (state,) = served.plane.budgets.state()
        refused = await client.post("/v1/chat/completions", json=chat_request(max_tokens=1))
    assert (state["used_usd"], state["left_usd"]) == ("2.5", "0")
    assert (refused.status_code, refused.json()["error"]["code"]) == (402, "budget_exhausted")


async def begin(client: httpx.AsyncClient, file: str, endpoint: str = "/v1/chat/completions") -> httpx.Response:
    body = {"input_file_id": file, "endpoint": endpoint, "completion_window": "24h"}
    return await client.post("/v1/batches", json=body)


async def test_a_batch_that_the_month_cannot_pay_for_is_not_begun_and_what_was_begun_stays_free_to_use(
    upstream: ScriptedUpstream, vault: Vault, tmp_path: Path
) -> None:
    """Another gateway on the same control database spent the month."""
    control = Database.under(tmp_path)
    config = routing(upstream.url, **priced_batches("1"))
    async with gateway(config, database=control) as served, served.client() as client:
        batch, file = await run(client)
        month = served.plane.budgets.state()[0]["month"]
        control.run(partial(spend.add, bound="tenant/acme", month=month, usd=Decimal("0.999")))
        refused = await begin(client, file)
        free = [
            await client.get(f"/v1/batches/{batch}"),
            await client.get("/v1/batches"),
            await client.post(f"/v1/batches/{batch}/cancel"),
            await upload(client, line(1), "batch"),
        ]
    control.close()
    error = refused.json()["error"]
    assert (refused.status_code, error["code"], error["type"]) == (402, "budget_exhausted", "insufficient_quota")
    assert "has $0.001 left" in error["message"]
    assert (len(vault.batches), [got.status_code for got in free]) == (1, [200] * 4)
    assert [op.error_type for op in served.books.operations if op.http_status == 402] == ["budget_exhausted"]


async def test_a_batch_of_a_model_without_a_price_is_not_begun_under_a_budget(
    upstream: ScriptedUpstream, vault: Vault
) -> None:
    changes = {**priced_batches("1"), "rate_cards": []}
    async with gateway(routing(upstream.url, **changes)) as served, served.client() as client:
        file = (await upload(client, line(1), "batch")).json()["id"]
        refused = await begin(client, file)
    assert (refused.status_code, refused.json()["error"]["param"]) == (402, "model")


async def test_a_batch_is_not_begun_where_its_tenants_budget_cannot_be_asked(
    upstream: ScriptedUpstream, vault: Vault
) -> None:
    async with gateway(routing(upstream.url, **priced_batches("1"))) as served, served.client() as client:
        file = (await upload(client, line(1), "batch")).json()["id"]
        served.plane.budgets._database = Database("sqlite:////nonexistent/x.sqlite3")
        refused = await begin(client, file)
        served.plane.budgets._database = served.plane.database
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "budget_unavailable")


async def test_embeddings_need_no_price_of_answers(upstream: ScriptedUpstream, vault: Vault) -> None:
    changes = priced_batches("1")
    for card in changes["rate_cards"]:
        card["per_million_tokens"] = {"input": "1"}
    async with gateway(routing(upstream.url, **changes)) as served, served.client() as client:
        file = (await upload(client, line(1), "batch")).json()["id"]
        got = [(await begin(client, file, f"/v1/{kind}")).status_code for kind in ("embeddings", "chat/completions")]
    assert got == [200, 402]


async def test_a_batch_and_a_background_response_count_among_their_tenants_requests_per_minute(
    upstream: ScriptedUpstream, vault: Vault
) -> None:
    tenants = {"acme": {"requests_per_minute": 2}}
    async with gateway(routing(upstream.url, tenants=tenants)) as served, served.client() as client:
        batch, file = await run(client)
        made = await client.post("/v1/responses", json={"model": "fast", "input": "Hi", "background": True})
        refused = await begin(client, file)
        chat = await client.post("/v1/chat/completions", json=chat_request())
        free = [await client.get(f"/v1/batches/{batch}"), await client.get(f"/v1/responses/{made.json()['id']}")]
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "quota_exhausted")
    assert 0 < int(refused.headers["retry-after"]) <= 60
    assert ([got.status_code for got in free], chat.status_code, len(vault.batches)) == ([200, 200], 429, 1)


@pytest.mark.parametrize("kind", [{"store": True}, {"background": True}])
async def test_a_response_that_the_month_cannot_pay_for_is_not_made(
    upstream: ScriptedUpstream, vault: Vault, kind: dict[str, bool]
) -> None:
    async with gateway(routing(upstream.url, **priced_batches("0.001"))) as served, served.client() as client:
        refused = await client.post("/v1/responses", json={"model": "fast", "input": "Hi", **kind})
    assert (refused.status_code, refused.json()["error"]["code"], vault.responses) == (402, "budget_exhausted", {})


async def test_a_batch_without_a_card_of_its_tier_is_charged_at_the_default_price_and_not_nothing(
    upstream: ScriptedUpstream, vault: Vault
) -> None:
    tenants = {"acme": {"budget": {"month_usd": "1"}}}
    async with gateway(routing(upstream.url, tenants=tenants)) as served, served.client() as client:
        batch, _ = await run(client)
        vault.finish(batch, result_line(1))
        await fetch(client, batch)
        await until(lambda: not served.plane.stored.metering)
        (state,) = served.plane.budgets.state()
    assert state["used_usd"] == "0.000012"
    assert served.books.attempts[0].intent.rate_card == "", "on the books it has no price"


async def test_a_batch_whose_results_were_never_fetched_is_told(
    upstream: ScriptedUpstream, vault: Vault, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    async with gateway(routing(upstream.url)) as served, served.client() as client:
        batch, _ = await run(client)
        vault.finish(batch, result_line(1))
        await client.get(f"/v1/batches/{batch}")
        await client.get(f"/v1/batches/{batch}")
        metrics = (await client.get("/metrics")).text
    assert 'tollway_stored_unmetered{kind="batch"} 1.0' in metrics
    told = [record.getMessage() for record in caplog.records if record.name.startswith("gateway.")]
    assert [batch in text for text in told] == [True]
    assert served.books.attempts == []


async def test_a_fetch_after_a_crash_writes_the_same_spans(upstream: ScriptedUpstream, vault: Vault) -> None:
    """The first gateway dies before it remembers what it wrote; the next one, on the same database, writes it again."""
    database = Database(MEMORY)
    database.open()
    books = FakeBooks()
    try:
        async with gateway(routing(upstream.url), books, database=database) as served, served.client() as client:
            batch, _ = await run(client)
            vault.finish(batch, *(result_line(number) for number in range(1, 9)))
            books.disk.clear()  # What was written is never on the disk, so it is never remembered.
            seen = (await client.get(f"/v1/batches/{batch}")).json()
            head = f"GET /v1/files/{seen['output_file_id']}/content HTTP/1.1\r\nhost: x\r\nauthorization: Bearer "
            await served.raw(f"{head}acme-key-0123456789\r\n\r\n".encode())
            await until(lambda: len(books.attempts) == 8)
            lost = identities(books.attempts)
            books.disk.set()
            served.plane.owners._database = Database("sqlite:////nonexistent/x.sqlite3")
            await until(lambda: not served.plane.stored.metering)
        async with gateway(routing(upstream.url), database=database) as served, served.client() as client:
            await fetch(client, batch)
            await until(lambda: not served.plane.stored.metering)
            assert identities(served.books.attempts) == lost
            assert len(set(lost)) == 8
    finally:
        database.close()


async def test_two_fetches_at_once_write_the_lines_once(upstream: ScriptedUpstream, vault: Vault) -> None:
    content = b"".join(result_line(number) for number in range(200))
    async with gateway(routing(upstream.url)) as served, served.client() as one, served.client() as other:
        batch, _ = await run(one)
        vault.finish(batch, content)
        both = await asyncio.gather(fetch(one, batch), fetch(other, batch))
        await until(lambda: not served.plane.stored.metering)
    assert [got.content for got in both] == [content, content]
    assert len(set(identities(served.books.attempts))) == 200


async def test_a_fetch_that_is_broken_off_is_taken_up_where_it_got_to(upstream: ScriptedUpstream, vault: Vault) -> None:
    async with gateway(routing(upstream.url, **priced_batches("1"))) as served, served.client() as client:
        batch, _ = await run(client)
        file = vault.finish(batch, *(result_line(number) for number in range(1, 5)))
        await client.get(f"/v1/batches/{batch}")

        async def broken(line: Line, request: Received) -> None:
            line.head(200, "application/octet-stream")
            line.chunk(result_line(1) + result_line(2) + result_line(3)[:40])
            await until(lambda: len(served.books.attempts) == 2)
            line.transport.abort()

        upstream.script.append(broken)
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get(f"/v1/files/{file}/content")
        await until(lambda: not served.plane.stored.metering)
        assert served.books.operations[-1].outcome == "error"
        got = await client.get(f"/v1/files/{file}/content")
        await until(lambda: not served.plane.stored.metering)
        (budget,) = served.plane.budgets.state()
    assert budget["used_usd"] == "0.00003", "each line is charged once"
    assert got.status_code == 200
    assert [a.response_id for a in served.books.attempts] == [f"chatcmpl-{n}" for n in range(1, 5)]


async def test_results_that_cannot_be_recorded_are_not_handed_out_whole(
    upstream: ScriptedUpstream, vault: Vault
) -> None:
    async with gateway(routing(upstream.url)) as served, served.client() as client:
        batch, _ = await run(client)
        vault.finish(batch, result_line(1))
        served.books.full = True
        with pytest.raises(httpx.RemoteProtocolError):
            await fetch(client, batch)
        served.books.full = False
        assert (await fetch(client, batch)).content == result_line(1)
        await until(lambda: not served.plane.stored.metering)
    assert len(served.books.attempts) == 1


async def test_results_that_are_deleted_unread_are_metered_first(upstream: ScriptedUpstream, vault: Vault) -> None:
    async with gateway(routing(upstream.url)) as served, served.client() as client:
        batch, _ = await run(client)
        file = vault.finish(batch, result_line(1))
        await client.get(f"/v1/batches/{batch}")
        gone = await client.delete(f"/v1/files/{file}")
        metrics = (await client.get("/metrics")).text
    assert (gone.status_code, [a.response_id for a in served.books.attempts]) == (200, ["chatcmpl-1"])
    assert 'tollway_stored_unmetered{kind="batch"} 0.0' in metrics


async def test_a_batchs_results_are_listed_among_the_files_of_its_tenant_alone(
    upstream: ScriptedUpstream, vault: Vault
) -> None:
    async with gateway(routing(upstream.url)) as served, served.client() as acme, served.client(GLOBEX) as globex:
        batch, file = await run(acme)
        results = vault.finish(batch, result_line(1))
        assert [one["id"] for one in (await acme.get("/v1/files")).json()["data"]] == [file]
        listed = (await acme.get("/v1/batches")).json()
        files = (await acme.get("/v1/files")).json()["data"]
        assert (await globex.get("/v1/files")).json()["data"] == []
        assert (await globex.get("/v1/batches")).json()["data"] == []
    assert [(one["id"], one["status"]) for one in listed["data"]] == [(batch, "completed")]
    assert [(one["id"], one["purpose"]) for one in files] == [(results, "batch_output"), (file, "batch")]


async def test_batches_are_listed_newest_first_page_by_page(upstream: ScriptedUpstream, vault: Vault) -> None:
    async with gateway(routing(upstream.url)) as served, served.client() as client:
        made = [(await run(client))[0] for _ in range(3)]
        first = (await client.get("/v1/batches", params={"limit": 2})).json()
        second = (await client.get("/v1/batches", params={"limit": 2, "after": first["last_id"]})).json()
    assert [one["id"] for one in first["data"] + second["data"]] == made[::-1]
    assert (first["has_more"], second["has_more"]) == (True, False)


@pytest.mark.parametrize("body", [{}, {"input_file_id": 7}, {"input_file_id": ""}, [], "x"])
async def test_a_batch_without_a_file_is_refused(upstream: ScriptedUpstream, body: object) -> None:
    async with gateway(routing(upstream.url)) as served, served.client() as client:
        got = await client.post("/v1/batches", json=body)
    assert (got.status_code, got.json()["error"]["code"], upstream.received) == (400, "invalid_request", [])


async def test_only_a_file_whose_models_were_checked_makes_a_batch(upstream: ScriptedUpstream, vault: Vault) -> None:
    """Else a file uploaded for another purpose could name the upstream's own models."""
    async with gateway(routing(upstream.url)) as served, served.client() as client:
        file = (await upload(client, line(1, model="gpt-secret"))).json()["id"]
        got = await client.post("/v1/batches", json={"input_file_id": file, "endpoint": "/v1/chat/completions"})
    assert (got.status_code, got.json()["error"]["param"], vault.batches) == (400, "input_file_id", {})
