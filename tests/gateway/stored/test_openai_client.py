"""Files, batches and stored responses with the official `openai` client for Python, as its users write them."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import openai
import pytest
from openai import AsyncOpenAI

from tests.gateway.dialects import Script, response_events
from tests.gateway.dialects import response as response_body
from tests.gateway.fakes import ScriptedUpstream, answer, event, stream
from tests.gateway.serving import ACME, GLOBEX, NO_TLS, Gateway, gateway, routing, until
from tests.gateway.stored.test_files import line
from tests.gateway.stored.vault import Vault, error_line, result_line


@asynccontextmanager
async def clients(upstream: ScriptedUpstream) -> AsyncIterator[tuple[Gateway, AsyncOpenAI, AsyncOpenAI]]:
    """A gateway, acme's client and globex's."""
    async with gateway(routing(upstream.url)) as served, httpx.AsyncClient(trust_env=False, verify=NO_TLS) as http:
        acme, globex = (
            AsyncOpenAI(base_url=f"{served.url}/v1", api_key=key, http_client=http, max_retries=0)
            for key in (ACME, GLOBEX)
        )
        yield served, acme, globex


async def batch(client: AsyncOpenAI) -> Any:
    lines = line(1) + line(2)
    file = await client.files.create(file=("requests.jsonl", lines), purpose="batch")
    return await client.batches.create(
        input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h", metadata={"job": "nightly"}
    )


async def test_files_are_made_listed_read_and_deleted(upstream: ScriptedUpstream, vault: Vault) -> None:
    async with clients(upstream) as (_, acme, globex):
        made = await acme.files.create(file=("a.txt", b"text"), purpose="user_data")
        await acme.files.create(file=("b.txt", b"more"), purpose="user_data")
        pages = [one.filename async for one in acme.files.list(limit=1, order="asc")]
        filtered = [one.id async for one in acme.files.list(purpose="batch")]
        content = await acme.files.content(made.id)
        seen = await acme.files.retrieve(made.id)
        assert [one async for one in globex.files.list()] == []
        gone = await acme.files.delete(made.id)
        with pytest.raises(openai.NotFoundError) as caught:
            await acme.files.retrieve(made.id)
    assert (pages, filtered, content.content, seen.filename) == (["a.txt", "b.txt"], [], b"text", "a.txt")
    assert (gone.deleted, caught.value.code) == (True, "object_not_found")


async def test_a_batch_is_run_watched_and_its_results_fetched(upstream: ScriptedUpstream, vault: Vault) -> None:
    async with clients(upstream) as (served, acme, globex):
        made = await batch(acme)
        file = vault.finish(made.id, result_line(1), error_line(2))
        seen = await acme.batches.retrieve(made.id)
        results = (await acme.files.content(seen.output_file_id or "")).text
        await until(lambda: not served.plane.stored.metering)
        listed = [one.id async for one in acme.batches.list(limit=1)]
        for barred in (globex.batches.retrieve(made.id), globex.batches.cancel(made.id), globex.files.content(file)):
            with pytest.raises(openai.NotFoundError):
                await barred
        cancelled = await acme.batches.cancel(made.id)
    assert (seen.status, seen.metadata, listed) == ("completed", {"job": "nightly"}, [made.id])
    assert [json.loads(text)["custom_id"] for text in results.splitlines()] == ["r-1", "r-2"]
    assert [attempt.response_id for attempt in served.books.attempts] == ["chatcmpl-1"]
    assert cancelled.status == "cancelling"


async def test_a_fault_in_a_batchs_file_is_a_bad_request_that_names_its_line(
    upstream: ScriptedUpstream, vault: Vault
) -> None:
    async with clients(upstream) as (_, acme, _globex):
        with pytest.raises(openai.BadRequestError) as caught:
            await acme.files.create(file=("a.jsonl", line(1) + b"{oops"), purpose="batch")
    assert ("Line 2" in str(caught.value), caught.value.param) == (True, "file")


async def test_a_stored_response_is_followed_up_read_listed_cancelled_and_deleted(
    upstream: ScriptedUpstream, vault: Vault
) -> None:
    async with clients(upstream) as (_, acme, globex):
        first = await acme.responses.create(model="fast", input="Hi")
        second = await acme.responses.create(model="fast", input="And?", previous_response_id=first.id)
        again = await acme.responses.retrieve(second.id)
        items = [item.id async for item in acme.responses.input_items.list(second.id)]
        running = await acme.responses.create(model="fast", input="Hi", background=True)
        cancelled = await acme.responses.cancel(running.id)
        with pytest.raises(openai.NotFoundError):
            await globex.responses.create(model="fast", input="Hi", previous_response_id=first.id)
        await acme.responses.delete(first.id)
        with pytest.raises(openai.NotFoundError):
            await acme.responses.retrieve(first.id)
    assert (again.id, items, running.status, cancelled.status) == (second.id, ["msg_in"], "queued", "cancelled")
    assert upstream.received[1].json["previous_response_id"] == first.id


async def test_a_background_response_is_listened_to_from_where_one_left_off(
    upstream: ScriptedUpstream, vault: Vault
) -> None:
    async with clients(upstream) as (served, acme, _):
        running = await acme.responses.create(model="fast", input="Hi", background=True)
        upstream.script.append(stream(*response_events("Hel", "lo")))
        heard = await acme.responses.retrieve(running.id, stream=True, starting_after=0)
        kinds = [part.type async for part in heard]
        await until(lambda: len(served.books.operations) == 2)
        path, _, query = upstream.received[-1].path.partition("?")
    assert (kinds[0], kinds[-1]) == ("response.created", "response.completed")
    assert (path, sorted(query.split("&"))) == (f"/v1/responses/{running.id}", ["starting_after=0", "stream=true"])


async def test_a_response_that_is_not_stored_is_nobodys_to_read(upstream: ScriptedUpstream) -> None:
    upstream.always = answer(response_body(id="resp_1", store=False))
    async with clients(upstream) as (_, acme, _globex):
        made = await acme.responses.create(model="fast", input="Hi", store=False)
        for barred in (
            acme.responses.retrieve(made.id),
            acme.responses.create(model="fast", input="Hi", previous_response_id=made.id),
        ):
            with pytest.raises(openai.NotFoundError):
                await barred
    assert len(upstream.received) == 1


async def test_a_stream_is_numbered_without_a_gap_to_its_end_and_to_its_break(upstream: ScriptedUpstream) -> None:
    script = Script()
    upstream.script.append(stream(*response_events("Hel", "lo")))
    upstream.script.append(stream(script.opening(), script.word("Hi"), end="cut"))
    async with clients(upstream) as (_, acme, _globex):
        whole = [part async for part in await acme.responses.create(model="fast", input="Hi", stream=True)]
        broken: list[Any] = []
        parts = await acme.responses.create(model="fast", input="Hi", stream=True)
        try:
            async for part in parts:
                broken.append(part)
        except openai.APIError as error:
            broken.append(error)
    assert [part.sequence_number for part in whole] == list(range(len(whole)))
    assert [part.sequence_number for part in broken] == list(range(len(broken)))
    assert (broken[-1].type, broken[-1].code) == ("error", "stream_broken")


async def test_a_failed_response_keeps_the_vendors_words_in_band(upstream: ScriptedUpstream) -> None:
    script = Script()
    failed = {"type": "response.failed", "sequence_number": 9, "response": response_body("failed", error={
        "code": "server_error", "message": "The model overloaded."})}  # fmt: skip
    upstream.script.append(stream(script.opening(), script.word("Hi"), event(failed)))
    async with clients(upstream) as (_, acme, _globex):
        parts = [part async for part in await acme.responses.create(model="fast", input="Hi", stream=True)]
    last: Any = parts[-1]
    assert (last.type, last.response.error.message) == ("response.failed", "The model overloaded.")
