"""The client's connection, byte by byte: framing, order, limits, and who is too slow."""

import asyncio
import json

import pytest

from gateway.domain import clock
from gateway.flow.exchange import Exchange
from gateway.wire import connection as wire
from tests.gateway.fakes import ScriptedUpstream, after, answer, chat, silence
from tests.gateway.serving import ACME, Gateway, chat_request, gateway, post, routing, until

BODY = json.dumps(chat_request()).encode()
GET = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    """One answer with a stated length."""
    head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)).decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
    return int(head[0].split()[1]), headers, await reader.readexactly(int(headers["content-length"]))


async def exchange(served: Gateway, data: bytes) -> tuple[int, dict[str, str], bytes]:
    reader, writer = await served.raw(data)
    got = await read_answer(reader)
    writer.close()
    return got


def code(body: bytes) -> str:
    return str(json.loads(body)["error"]["code"])


async def test_a_connection_is_kept_for_the_next_request_of_either_path(upstream: ScriptedUpstream) -> None:
    async with gateway(routing(upstream.url)) as served:
        reader, writer = await served.raw(b"")
        for data in (post(BODY), GET, post(BODY), GET):
            writer.write(data)
            status, headers, _ = await read_answer(reader)
            assert status == 200
            assert "date" in headers
            assert "connection" not in headers
        writer.close()
        assert served.state.total_requests == 4


@pytest.mark.parametrize("data", [post(BODY, "connection: close"), post(BODY, version="1.0")])
async def test_a_connection_is_closed_when_the_client_wants_it(upstream: ScriptedUpstream, data: bytes) -> None:
    async with gateway(routing(upstream.url)) as served:
        reader, writer = await served.raw(data)
        status, headers, _ = await read_answer(reader)
        assert (status, headers["connection"]) == (200, "close")
        assert await reader.read() == b""
        writer.close()


async def test_pipelined_requests_are_answered_in_their_order(upstream: ScriptedUpstream) -> None:
    for number in range(3):
        upstream.script.append(answer(chat(str(number))))
    async with gateway(routing(upstream.url)) as served:
        reader, writer = await served.raw(post(BODY) + GET + post(BODY) + post(BODY, key="x" * 16) + post(BODY) + GET)
        got = [await read_answer(reader) for _ in range(6)]
        writer.close()
    texts = [json.loads(body)["choices"][0]["message"]["content"] for status, _, body in got if b"choices" in body]
    assert [status for status, _, _ in got] == [200, 200, 200, 401, 200, 200]
    assert texts == ["0", "1", "2"]


async def test_more_requests_than_are_read_ahead_wait_in_the_socket_for_their_turn(upstream: ScriptedUpstream) -> None:
    gate = asyncio.Event()
    upstream.script.append(after(gate))
    count = wire.PIPELINED_MAX + 4
    async with gateway(routing(upstream.url)) as served:
        reader, writer = await served.raw(post(BODY) * count)
        await until(lambda: upstream.received)
        [connection] = served.state.connections
        await until(lambda: connection.flow.read_paused)
        writer.write(post(BODY) * count)
        gate.set()
        assert [(await read_answer(reader))[0] for _ in range(2 * count)] == [200] * (2 * count)


async def test_nothing_behind_an_answer_that_closes_is_served(upstream: ScriptedUpstream) -> None:
    gate = asyncio.Event()
    upstream.script.append(after(gate))
    async with gateway(routing(upstream.url, gateway={"max_body_bytes": 2000})) as served:
        reader, _ = await served.raw(post(BODY) + post(b"x" * 2001) + post(BODY))
        await until(lambda: upstream.received)
        gate.set()
        assert [(await read_answer(reader))[0] for _ in range(2)] == [200, 413]
        assert await reader.read() == b""
    assert len(upstream.received) == 1


async def test_a_request_may_come_a_byte_at_a_time(upstream: ScriptedUpstream) -> None:
    async with gateway(routing(upstream.url)) as served:
        reader, writer = await served.raw(b"")
        for byte in post(BODY):
            writer.write(bytes((byte,)))
            await asyncio.sleep(0)
        assert (await read_answer(reader))[0] == 200
        writer.close()
    assert upstream.received[0].json["messages"] == chat_request()["messages"]


async def test_a_chunked_body_is_taken(upstream: ScriptedUpstream) -> None:
    head = post(b"", "transfer-encoding: chunked").replace(b"content-length: 0\r\n", b"")
    data = head + b"".join(b"%x\r\n%b\r\n" % (1, bytes((byte,))) for byte in BODY) + b"0\r\n\r\n"
    async with gateway(routing(upstream.url)) as served:
        assert (await exchange(served, data))[0] == 200
    assert upstream.received[0].headers["content-length"] == str(len(upstream.received[0].body))


async def test_who_expects_a_100_gets_it_before_the_body(upstream: ScriptedUpstream) -> None:
    async with gateway(routing(upstream.url)) as served:
        reader, writer = await served.raw(post(BODY, "expect: 100-continue").removesuffix(BODY))
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(BODY)
        assert (await read_answer(reader))[0] == 200
        writer.close()


async def test_who_expects_a_100_without_a_key_is_refused_before_the_body(upstream: ScriptedUpstream) -> None:
    async with gateway(routing(upstream.url)) as served:
        reader, writer = await served.raw(post(BODY, "expect: 100-continue", key="x" * 16).removesuffix(BODY))
        status, headers, body = await read_answer(reader)
        assert (status, code(body), headers["connection"]) == (401, "invalid_api_key", "close")
        assert await reader.read() == b""
        writer.close()


async def test_a_refused_request_leaves_its_connection_usable(upstream: ScriptedUpstream) -> None:
    async with gateway(routing(upstream.url)) as served:
        reader, writer = await served.raw(post(BODY, key="x" * 16) + post(BODY))
        assert (await read_answer(reader))[0] == 401
        assert (await read_answer(reader))[0] == 200
        writer.close()


async def test_a_body_that_is_too_long_is_refused_by_its_stated_length(upstream: ScriptedUpstream) -> None:
    async with gateway(routing(upstream.url, gateway={"max_body_bytes": 2000})) as served:
        reader, writer = await served.raw(post(b"x" * 2001).removesuffix(b"x" * 2001))
        status, headers, body = await read_answer(reader)
        assert (status, code(body), headers["connection"]) == (413, "body_too_large", "close")
        writer.write(b"x" * 2001)
        assert await reader.read() == b""
        writer.close()
        assert (await exchange(served, post(BODY)))[0] == 200


async def test_a_body_that_is_too_long_is_refused_as_it_grows(upstream: ScriptedUpstream) -> None:
    head = post(b"", "transfer-encoding: chunked").replace(b"content-length: 0\r\n", b"")
    async with gateway(routing(upstream.url, gateway={"max_body_bytes": 2000})) as served:
        reader, writer = await served.raw(head)
        for _ in range(100):
            writer.write(b"64\r\n" + b"x" * 100 + b"\r\n")
        status, _, body = await read_answer(reader)
        assert (status, code(body)) == (413, "body_too_large")
        assert await reader.read() == b""
        writer.close()
    assert upstream.received == []


async def test_a_head_that_is_too_long_is_refused_in_one_read_or_in_many(upstream: ScriptedUpstream) -> None:
    long = post(BODY, *[f"x-{i}: {'y' * 1000}" for i in range(70)])
    async with gateway(routing(upstream.url)) as served:
        reader, writer = await served.raw(long)
        at_once = await read_answer(reader)
        reader, writer = await served.raw(b"")
        for start in range(0, len(long), 5000):
            writer.write(long[start : start + 5000])
            await writer.drain()
            await asyncio.sleep(0)
        in_pieces = await read_answer(reader)
    assert [(status, code(body)) for status, _, body in (at_once, in_pieces)] == [(431, "headers_too_large")] * 2


async def test_a_trailer_is_no_header(upstream: ScriptedUpstream) -> None:
    head = post(b"", "transfer-encoding: chunked").replace(b"content-length: 0\r\n", b"")
    async with gateway(routing(upstream.url)) as served:
        data = head + b"%x\r\n%b\r\n0\r\nx-sneaked: in\r\n\r\n" % (len(BODY), BODY)
        assert (await exchange(served, data))[0] == 200
    assert "x-sneaked" not in upstream.received[0].headers


GARBAGE = [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"hello\r\n\r\n",
    b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: x\r\n\r\n",
    b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n{}",
]


@pytest.mark.parametrize("data", GARBAGE, ids=lambda data: repr(data[:20]))
async def test_what_is_no_request_is_told_so_in_the_same_envelope(upstream: ScriptedUpstream, data: bytes) -> None:
    async with gateway(routing(upstream.url)) as served:
        status, headers, body = await exchange(served, data)
    assert (status, code(body), headers["connection"]) == (400, "invalid_request", "close")


async def test_a_compressed_body_is_refused(upstream: ScriptedUpstream) -> None:
    async with gateway(routing(upstream.url)) as served:
        status, _, body = await exchange(served, post(BODY, "content-encoding: gzip"))
    assert (status, code(body)) == (400, "invalid_request")


@pytest.mark.parametrize("target", [b"/v1/chat/completions?x=1", b"/v1/chat/completions"])
async def test_a_query_does_not_lead_off_the_data_path(upstream: ScriptedUpstream, target: bytes) -> None:
    async with gateway(routing(upstream.url)) as served:
        assert (await exchange(served, post(BODY).replace(b"/v1/chat/completions", target)))[0] == 200
    assert len(served.books.operations) == 1


async def test_an_offer_to_upgrade_is_ignored_and_the_request_answered(upstream: ScriptedUpstream) -> None:
    offer = ("connection: Upgrade, HTTP2-Settings", "upgrade: h2c", "http2-settings: AAMAAABkAARAAAAA")
    async with gateway(routing(upstream.url)) as served:
        reader, writer = await served.raw(post(BODY, *offer)[:-7])
        await until(lambda: served.state.connections)
        writer.write(BODY[-7:] + post(BODY))
        assert (await read_answer(reader))[0] == 200
        assert (await read_answer(reader))[0] == 200
        writer.close()
    assert [received.json["model"] for received in upstream.received] == ["m0", "m0"]


OFFER = ("connection: Upgrade, HTTP2-Settings", "upgrade: h2c", "http2-settings: AAMAAABkAARAAAAA")


async def test_an_offer_to_upgrade_with_a_chunked_body_is_like_one_with_a_length(upstream: ScriptedUpstream) -> None:
    head = post(b"", *OFFER, "transfer-encoding: chunked").replace(b"content-length: 0\r\n", b"")
    pieces = b"".join(b"%x\r\n%b\r\n" % (1, bytes((byte,))) for byte in BODY) + b"0\r\nx-trailer: 1\r\n\r\n"
    data = head + pieces + post(BODY)
    async with gateway(routing(upstream.url)) as served:
        for cut in (len(data), len(head), len(head) + 1, len(head) + len(pieces) - 1):
            reader, writer = await served.raw(data[:cut])
            await asyncio.sleep(0)
            writer.write(data[cut:])
            assert [(await read_answer(reader))[0] for _ in range(2)] == [200, 200]
            writer.close()
    assert all(json.loads(got.body) == {**chat_request(), "model": "m0"} for got in upstream.received)
    assert len(upstream.received) == 8


async def test_an_offer_to_upgrade_on_any_other_route_drops_nothing_behind_it(upstream: ScriptedUpstream) -> None:
    get = b"\r\n".join([b"GET /healthz HTTP/1.1", b"host: x", *(line.encode() for line in OFFER), b"", b""])
    form = b"POST /v1/models HTTP/1.1\r\ncontent-length: 5\r\n%b\r\n\r\nhello" % b"\r\n".join(
        line.encode() for line in OFFER
    )
    async with gateway(routing(upstream.url)) as served:
        reader, writer = await served.raw(get + form + post(BODY) + get[:-2])
        assert [(await read_answer(reader))[0] for _ in range(3)] == [200, 405, 200]
        writer.write(get[-2:])
        assert (await read_answer(reader))[0] == 200
        writer.close()


async def test_many_offers_in_one_read_are_each_answered(upstream: ScriptedUpstream) -> None:
    count = 600
    offer = post(b"{}", "connection: upgrade", "upgrade: h2c")
    async with gateway(routing(upstream.url)) as served:
        reader, _ = await served.raw(offer * count)
        assert [(await read_answer(reader))[0] for _ in range(count)] == [400] * count


async def test_an_offer_to_upgrade_may_end_the_connection_too(upstream: ScriptedUpstream) -> None:
    async with gateway(routing(upstream.url)) as served:
        for data in (post(BODY, "connection: upgrade, close", "upgrade: h2c"), post(BODY, "connection: close")):
            reader, _ = await served.raw(data)
            assert (await read_answer(reader))[1]["connection"] == "close"
            assert await reader.read() == b""


async def test_a_stalled_body_behind_an_offer_to_upgrade_is_given_up_too(upstream: ScriptedUpstream) -> None:
    async with gateway(routing(upstream.url)) as served:
        await served.raw(post(BODY, *OFFER)[:-3])
        await until(lambda: served.state.connections)
        [connection] = served.state.connections
        await until(lambda: connection.reading_since)  # type: ignore[union-attr]
        connection.expire(clock.monotonic() + wire.READ_S + 5)  # type: ignore[union-attr]
        await until(lambda: not served.state.connections)


async def test_a_fault_of_ours_is_a_500_that_is_logged_and_tells_nothing(
    upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(exchange: Exchange) -> None:
        raise RuntimeError("a secret detail")

    async with gateway(routing(upstream.url)) as served:
        monkeypatch.setattr(Exchange, "start", broken)
        status, headers, body = await exchange(served, post(BODY))
        assert (status, code(body), headers["connection"]) == (500, "internal_error", "close")
        monkeypatch.undo()
        assert (await exchange(served, post(BODY)))[0] == 200
    assert b"secret" not in body
    assert "a secret detail" in caplog.text


async def test_idle_and_stalled_connections_are_closed_and_busy_ones_are_not(upstream: ScriptedUpstream) -> None:
    upstream.script.append(silence)
    async with gateway(routing(upstream.url)) as served:
        lines = [await served.raw(data) for data in (b"", GET, post(BODY)[:-3], b"POST /v1/ch", post(BODY))]
        await read_answer(lines[1][0])
        await until(lambda: upstream.received and len(served.state.connections) == 5)
        connections = tuple(served.state.connections)

        def expire(after_s: float) -> None:
            for connection in connections:
                connection.expire(clock.monotonic() + after_s)  # type: ignore[union-attr]

        expire(min(wire.READ_S, wire.IDLE_S) - 5)
        await asyncio.sleep(0)
        assert len(served.state.connections) == 5
        expire(max(wire.READ_S, wire.IDLE_S) + 5)
        await until(lambda: len(served.state.connections) == 1)
        assert not upstream.received[0].gone.is_set()
        for _, writer in lines:
            writer.close()


async def test_shutting_down_closes_idle_connections_and_lets_answers_finish(upstream: ScriptedUpstream) -> None:
    gate = asyncio.Event()
    upstream.script.append(after(gate))
    async with gateway(routing(upstream.url)) as served:
        idle, first = await served.raw(GET)
        await read_answer(idle)
        busy, second = await served.raw(post(BODY))
        await until(lambda: upstream.received)
        for connection in tuple(served.state.connections):
            connection.shutdown()
        assert await idle.read() == b""
        gate.set()
        status, headers, _ = await read_answer(busy)
        assert (status, headers["connection"]) == (200, "close")
        assert await busy.read() == b""
        first.close()
        second.close()


async def test_the_key_is_read_from_the_header_alone(upstream: ScriptedUpstream) -> None:
    body = json.dumps({**chat_request(), "api_key": ACME}).encode()
    async with gateway(routing(upstream.url)) as served:
        data = post(body).replace(f"authorization: Bearer {ACME}\r\n".encode(), b"")
        status, _, answered = await exchange(served, data)
    assert (status, code(answered)) == (401, "invalid_api_key")
    assert ACME.encode() not in answered
