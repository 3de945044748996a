"""A stored response's usage lands once, whoever tells of it first, and whatever happens in between."""

import asyncio
from pathlib import Path

import httpx

from gateway.control.database import Database
from gateway.domain.attempt import Attempt
from gateway.domain.usage import Completeness
from gateway.stored.ledger import OWNERS
from tests.gateway.dialects import RESPONSES_USAGE, response, response_events
from tests.gateway.fakes import FakeBooks, ScriptedUpstream, answer, stream
from tests.gateway.serving import ACME, Gateway, gateway, routing, until
from tests.gateway.stored.test_files import break_database
from tests.gateway.stored.test_responses import create

PATH = "/v1/responses/resp_1"
WHOLE = response_events("Hel", "lo")
BODY = b'{"model": "fast", "input": "Hi", "stream": true}'
REQUEST = (
    f"POST /v1/responses HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {ACME}\r\ncontent-length: {len(BODY)}\r\n\r\n"
).encode() + BODY


def landed(*books: FakeBooks) -> list[Attempt]:
    """What of them the collector keeps: the first of each span."""
    told = [attempt for each in books for attempt in each.attempts]
    return list({(each.intent.trace_id, each.intent.span_id): each for each in reversed(told)}.values())


def measured(*books: FakeBooks) -> list[int]:
    """The output tokens of each attempt that landed with a final usage."""
    return [each.usage.output for each in landed(*books) if each.completeness is Completeness.MEASURED]


async def cut(served: Gateway, upstream: ScriptedUpstream) -> None:
    """A client hangs up in the middle of its streamed response."""
    upstream.script.append(stream(*WHOLE[:2], asyncio.Event()))
    reader, writer = await served.raw(REQUEST)
    await reader.readuntil(b"Hel")
    writer.close()
    await until(lambda: served.books.operations)


async def test_usage_of_a_response_whose_client_hung_up_is_metered_when_it_is_retrieved_once(
    upstream: ScriptedUpstream,
) -> None:
    async with gateway(routing(upstream.url)) as served, served.client() as client:
        await cut(served, upstream)
        upstream.always = answer(response("in_progress"))
        assert (await client.get(PATH)).status_code == 200
        assert measured(served.books) == []
        upstream.always = answer(response("incomplete", usage=RESPONSES_USAGE))
        assert [(await client.get(PATH)).status_code for _ in range(2)] == [200, 200]
        await client.delete(PATH)
    first, second = served.books.attempts
    assert (first.outcome, first.completeness, first.finish_reason) == ("cancelled", "unknown", "in_progress")
    assert (first.intent.request_bytes > 0, second.intent.request_bytes) == (True, 0), (
        "by this the store knows the later"
    )
    assert (measured(served.books), second.intent.parent_span_id) == ([3], first.intent.parent_span_id)


async def test_usage_of_a_response_whose_client_hung_up_is_metered_when_it_is_cancelled(
    upstream: ScriptedUpstream,
) -> None:
    async with gateway(routing(upstream.url)) as served, served.client() as client:
        await cut(served, upstream)
        upstream.always = answer(response("cancelled", usage=RESPONSES_USAGE))
        assert (await client.post(f"{PATH}/cancel")).status_code == 200
        assert (await client.get(PATH)).status_code == 200
    assert measured(served.books) == [3]


async def test_a_response_that_was_streamed_whole_adds_nothing_later(upstream: ScriptedUpstream) -> None:
    async with gateway(routing(upstream.url)) as served, served.client() as client:
        upstream.script.append(stream(*WHOLE))
        await create(client, stream=True)
        upstream.always = answer(response(usage=RESPONSES_USAGE))
        await until(lambda: metered(served))
        await client.get(PATH)
    assert len(served.books.attempts) == 1


async def test_a_failed_response_that_told_its_usage_in_band_adds_nothing_later(upstream: ScriptedUpstream) -> None:
    failed = WHOLE[-1].replace(b"response.completed", b"response.failed").replace(b'"completed"', b'"failed"')
    async with gateway(routing(upstream.url)) as served, served.client() as client:
        upstream.script.append(stream(*WHOLE[:-1], failed))
        await create(client, stream=True)
        await until(lambda: metered(served))
        upstream.always = answer(response("failed", usage=RESPONSES_USAGE))
        await client.get(PATH)
    assert (len(served.books.attempts), measured(served.books)) == (1, [3])


async def test_a_gateway_that_dies_before_it_remembers_what_is_metered_meters_it_under_the_same_span(
    upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    gate = asyncio.Event()
    upstream.script.append(stream(*WHOLE[:2], gate, *WHOLE[2:]))
    database = Database.under(tmp_path)
    async with gateway(routing(upstream.url), database=database) as before:
        reader, _ = await before.raw(REQUEST)
        await reader.readuntil(b"Hel")
        break_database(before)
        gate.set()
        await until(lambda: before.books.attempts)
    upstream.always = answer(response(usage=RESPONSES_USAGE, created_at=1_790_000_000))
    async with gateway(routing(upstream.url), database=database) as after, after.client() as client:
        assert (await client.get(PATH)).status_code == 200
    database.close()
    assert (len(before.books.attempts), len(after.books.attempts)) == (1, 1)
    assert measured(before.books, after.books) == [3]


async def test_a_response_that_is_retrieved_while_it_is_still_streamed_lands_once(upstream: ScriptedUpstream) -> None:
    gate = asyncio.Event()
    upstream.script.append(stream(*WHOLE[:2], gate, *WHOLE[2:]))
    async with gateway(routing(upstream.url)) as served, served.client() as client:
        reader, _ = await served.raw(REQUEST)
        await reader.readuntil(b"Hel")
        upstream.always = answer(response(usage=RESPONSES_USAGE))
        assert (await client.get(PATH)).status_code == 200
        gate.set()
        await until(lambda: len(served.books.attempts) == 2)
    assert measured(served.books) == [3]


async def test_answers_under_one_id_are_each_metered(upstream: ScriptedUpstream) -> None:
    """Small servers number their responses anew at each start, and an agent's calls may share one trace."""
    upstream.always = answer(response())
    async with gateway(routing(upstream.url)) as served, served.client() as client:
        client.headers["traceparent"] = f"00-{'ab' * 16}-{'cd' * 8}-01"
        answers: list[httpx.Response] = [await create(client) for _ in range(3)]
    assert [each.status_code for each in answers] == [200] * 3
    assert len(measured(served.books)) == 3


def metered(served: Gateway) -> bool:
    """Whether the table of owners says that all is on the books."""
    rows = served.plane.database.run(lambda db: db.execute(OWNERS.select()).all())
    return all(row.metered_ns for row in rows if row.kind == "response")
