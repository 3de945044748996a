"""The trace's slice, the requests planned from it, and the driver that sends them."""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Callable
from importlib.resources import files
from itertools import pairwise
from pathlib import Path

import orjson
import pytest

from deploy.demo.traffic import client, plan, replay, trace
from deploy.demo.traffic.plan import HangUp, Planned
from deploy.demo.traffic.trace import Arrival
from gateway.domain import clock
from tests.deploy.demo.vendor_process import KEY, RunningVendor, launch, plain_settings

FAST = {"first_token_s": 0.005, "per_1000_uncached_s": 0, "token_s": 0.001}


def arrivals(*at_s: float) -> list[Arrival]:
    return [Arrival(at, 100, 10) for at in at_s]


def test_the_slice_is_a_thousand_rows_of_the_trace_unchanged() -> None:
    raw = (files("deploy.demo.traffic") / trace.SLICE).read_bytes()
    assert hashlib.sha256(raw).hexdigest() == "243cf9c841461fdceac818957814756724fe477a2750d964128cc2f6d922e492"
    loaded = trace.load()
    assert len(loaded) == 1000
    assert loaded[0] == Arrival(0.0, 7394, 79)
    assert all(a.at_s <= b.at_s for a, b in pairwise(loaded))
    assert loaded[-1].at_s == pytest.approx(165.403, abs=0.001)


def test_the_slice_names_its_publisher_its_licence_and_what_was_changed() -> None:
    note = (files("deploy.demo.traffic") / "ATTRIBUTION.md").read_text("utf-8")
    for said in ("Microsoft Azure", "AzurePublicDataset", "CC-BY-4.0", "Changes: 1,000 consecutive rows", "Splitwise"):
        assert said in note


def test_arrivals_keep_their_proportions_and_end_when_asked() -> None:
    sped = trace.speed_up(arrivals(0, 10, 30, 40, 500), count=4, seconds=8)
    assert [a.at_s for a in sped] == [0, 2, 6, 8]


def test_beyond_its_end_the_trace_starts_again_a_mean_gap_later() -> None:
    sped = trace.speed_up(arrivals(0, 1, 2), count=7, seconds=6)
    assert [round(a.at_s, 9) for a in sped] == [0, 1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("count", [0, 1])
def test_very_little_traffic_comes_at_once(count: int) -> None:
    assert [a.at_s for a in trace.speed_up(arrivals(0, 10), count=count, seconds=5)] == [0.0] * count


def test_the_same_seed_plans_the_same_requests_and_another_seed_others() -> None:
    given = trace.speed_up(trace.load(), count=200, seconds=5)
    assert plan.plan(given, seed=1) == plan.plan(given, seed=1)
    assert plan.plan(given, seed=1) != plan.plan(given, seed=2)


def test_six_hundred_requests_use_every_tenant_alias_and_way_of_leaving() -> None:
    planned = plan.plan(trace.speed_up(trace.load(), count=600, seconds=12), seed=0)
    assert {p.tenant for p in planned} == set(plan.TENANTS)
    assert {p.alias for p in planned} == set(plan.ALIASES)
    assert Counter(p.tier for p in planned)["batch"] > 50
    leaving = Counter((p.hang_up, p.stream) for p in planned)
    assert leaving[HangUp.MID_STREAM, True] >= 10
    assert leaving[HangUp.MID_STREAM, False] == 0
    assert leaving[HangUp.AT_ONCE, True] >= 3
    assert leaving[HangUp.AT_ONCE, False] >= 1
    assert sum(p.include_usage for p in planned) > 100
    assert sum(p.tools for p in planned) > 30
    assert all(p.max_tokens > p.hang_up_chunks >= 4 for p in planned if p.hang_up is HangUp.MID_STREAM)


def test_a_prompt_has_the_words_of_the_trace_and_begins_as_its_tenants_others_do() -> None:
    def words(tenant: str, number: int, length: int) -> list[str]:
        body = planned(number=number, tenant=tenant, prompt_words=length).body()
        return " ".join(m["content"] for m in body["messages"] if m["content"]).split()

    assert [len(words("acme", 1, length)) for length in (1, 2, 7, 7394, 8000)] == [1, 2, 7, 7394, 8000]
    one, other, stranger = words("acme", 1, 3000), words("acme", 2, 3000), words("globex", 3, 3000)
    assert one[:640] == other[:640]
    assert one[640:] != other[640:]
    assert one[:128] != stranger[:128]


def planned(
    *,
    number: int = 0,
    at_s: float = 0,
    tenant: str = "acme",
    prompt_words: int = 20,
    max_tokens: int = 40,
    stream: bool = True,
    hang_up: HangUp = HangUp.NEVER,
) -> Planned:
    return Planned(
        number=number,
        at_s=at_s,
        tenant=tenant,
        alias="fast",
        tier="",
        prompt_words=prompt_words,
        max_tokens=max_tokens,
        stream=stream,
        include_usage=False,
        tools=False,
        hang_up=hang_up,
        hang_up_chunks=5,
        hang_up_s=0.01,
    )


def fast_vendor(start: Callable[..., RunningVendor], **changes: object) -> RunningVendor:
    """A vendor that serves the aliases' names, so that the driver can be pointed straight at it."""
    (model,) = plain_settings(Path("unused"))["models"].values()
    return start(**{"models": dict.fromkeys(plan.ALIASES, model), "pace": FAST, **changes})


async def ask(vendor: RunningVendor, request: Planned) -> client.Reply:
    return await client.ask(*vendor.address, request, KEY, within_s=20)


@pytest.mark.slow
async def test_the_client_tells_whole_answers_from_errors_and_broken_streams(
    start_vendor: Callable[..., RunningVendor],
) -> None:
    good = fast_vendor(start_vendor)
    assert await ask(good, planned()) == client.Reply(200, chunks=42)
    assert await ask(good, planned(stream=False)) == client.Reply(200)
    limited = fast_vendor(start_vendor, faults={"rate_limited": 1})
    assert (await ask(limited, planned())).error == "rate_limit_exceeded"
    breaking = fast_vendor(start_vendor, faults={"break_after_second_chunk": 1})
    assert (await ask(breaking, planned())).error == "connection_lost"


HEAD = "HTTP/1.1 {status} X\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
CHUNK = 'data: {"choices": [{"index": 0, "delta": {"content": "a"}}]}\n\n'
IN_BAND = 'data: {"error": {"message": "it broke", "type": "server_error", "code": "stream_broken_here"}}\n\n'


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (200, CHUNK + "data: [DONE]\n\n", ""),
        (200, CHUNK + IN_BAND, "stream_broken_here"),
        (200, CHUNK, "stream_broken"),
        (503, '{"error": {"message": "no", "type": "overloaded", "code": null}}', "overloaded"),
        (502, "not JSON", "http_502"),
    ],
)
async def test_a_stream_is_ok_only_with_its_end_mark_and_an_error_goes_by_its_code(
    status: int, body: str, error: str
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for byte in (HEAD.format(status=status) + body).encode():
            writer.write(bytes([byte]))
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()
        reply = await client.ask(host, port, planned(), KEY, within_s=20)
    assert (reply.status, reply.error) == (status, error)


@pytest.mark.slow
async def test_the_client_goes_where_it_was_told_to(start_vendor: Callable[..., RunningVendor]) -> None:
    vendor = fast_vendor(start_vendor, pace={**FAST, "first_token_s": 0.2, "token_s": 0.01})
    gone = await ask(vendor, planned(hang_up=HangUp.MID_STREAM, max_tokens=200))
    assert gone.cancelled
    assert 6 <= gone.chunks < 100
    assert await ask(vendor, planned(hang_up=HangUp.AT_ONCE)) in (
        client.Reply(0, cancelled=True),
        client.Reply(200, cancelled=True, chunks=1),
    )
    assert (await ask(vendor, planned(hang_up=HangUp.AT_ONCE, stream=False))).cancelled


@pytest.mark.slow
async def test_every_request_is_counted_once_and_progress_is_told(start_vendor: Callable[..., RunningVendor]) -> None:
    vendor = fast_vendor(start_vendor, faults={"error": 0.2, "break_before_first_token": 0.1})
    requests = plan.plan(trace.speed_up(trace.load(), count=80, seconds=1), seed=3)
    host, port = vendor.address
    told: list[int] = []
    tally = await replay.replay(
        requests, host=host, port=port, keys=dict.fromkeys(plan.TENANTS, KEY), progress=told.append
    )
    assert told == list(range(1, 81))
    assert tally.requests == 80 == tally.ok + tally.cancelled + tally.errors.total()
    assert tally.ok > 40
    assert tally.errors["server_error"] + tally.errors["overloaded"] >= 8
    assert len(vendor.rows()) == 80


async def until(true: Callable[[], bool], within_s: float = 20) -> None:
    deadline = clock.monotonic() + within_s
    while not true():
        assert clock.monotonic() < deadline, "it did not come true"
        await asyncio.sleep(0.01)


@pytest.mark.slow
async def test_while_nobody_accepts_requests_wait_and_what_was_under_way_is_lost(
    start_vendor: Callable[..., RunningVendor],
) -> None:
    vendor = fast_vendor(start_vendor, pace={**FAST, "first_token_s": 30})
    host, port = vendor.address
    tally = replay.Tally()

    async def kill_and_restart() -> RunningVendor:
        await until(lambda: bool(vendor.ledger.read_bytes()))
        vendor.kill()
        config = orjson.loads(vendor.config.read_bytes())
        vendor.config.write_bytes(orjson.dumps({**config, "pace": FAST}))
        await until(lambda: tally.waited == 1)
        return await asyncio.to_thread(launch, vendor.config, vendor.ledger, port)

    async with asyncio.TaskGroup() as group:
        restarting = group.create_task(kill_and_restart())
        sending = [planned(number=0), planned(number=1, at_s=1)]
        await replay.replay(sending, host=host, port=port, keys={"acme": KEY}, tally=tally)
    restarting.result().kill()
    assert dict(tally.errors) == {"connection_lost": 1}
    assert (tally.ok, tally.waited) == (1, 1)
