"""Requests that two readers could read differently, and ways to another door: each is one request, or none."""

import asyncio
import logging

import pytest

from gateway.domain import clock
from gateway.wire import connection as wire
from tests.gateway.fakes import Line, Received, ScriptedUpstream
from tests.gateway.serving import ACME, gateway, post, routing, until
from tests.gateway.wire.test_connection import BODY, GET, code, read_answer

AUTHORIZED = f"host: x\r\nauthorization: Bearer {ACME}\r\n".encode()
CHUNKED = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)


def request(*lines: bytes, body: bytes = b"") -> bytes:
    head = b"".join(line + b"\r\n" for line in lines)
    return b"POST /v1/chat/completions HTTP/1.1\r\n" + AUTHORIZED + head + b"\r\n" + body


LENGTH = b"content-length: %d" % len(BODY)
AMBIGUOUS = {
    "a length and chunks": request(LENGTH, b"transfer-encoding: chunked", body=CHUNKED),
    "chunks and a length": request(b"transfer-encoding: chunked", b"content-length: 4", body=CHUNKED),
    "two lengths": request(LENGTH, b"content-length: 3", body=BODY),
    "the same length twice": request(LENGTH, LENGTH, body=BODY),
    "a list of lengths": request(LENGTH + b", 3", body=BODY),
    "a signed length": request(b"content-length: +%d" % len(BODY), body=BODY),
    "chunked twice": request(b"transfer-encoding: chunked", b"transfer-encoding: chunked", body=CHUNKED),
    "chunked before another coding": request(b"transfer-encoding: chunked, identity", body=CHUNKED),
    "another coding alone": request(b"transfer-encoding: xchunked", body=CHUNKED),
    "a space before the colon": request(b"transfer-encoding : chunked", body=CHUNKED),
    "a folded line": request(LENGTH, b"x-a: b\r\n c: d", body=BODY),
    "a NUL": request(LENGTH, b"x-a: b\0c", body=BODY),
    "a bare CR": request(LENGTH, b"x-a: b\rx-evil: c", body=BODY),
    "a bare LF": request(LENGTH, b"x-a: b\nx-evil: c", body=BODY),
    "bare LFs throughout": post(BODY).replace(b"\r\n", b"\n"),
    "a chunk with a bare LF": request(b"transfer-encoding: chunked", body=CHUNKED.replace(b"\r\n", b"\n", 1)),
}


@pytest.mark.parametrize("data", AMBIGUOUS.values(), ids=AMBIGUOUS.keys())
async def test_what_two_readers_could_read_differently_is_no_request_and_ends_the_connection(
    upstream: ScriptedUpstream, data: bytes
) -> None:
    async with gateway(routing(upstream.url)) as served:
        reader, _ = await served.raw(data + GET)
        said = await asyncio.wait_for(reader.read(), 5)
        assert said == b"" or said.startswith(b"HTTP/1.1 400 ")
        assert (said.count(b"HTTP/1.1 4") <= 1, b"HTTP/1.1 2" in said) == (True, False)
    assert upstream.received == []


@pytest.mark.parametrize("target", [b"CONNECT x:1", b"CONNECT localhost:443"])
async def test_a_target_that_is_none_is_the_clients_fault_and_leaves_no_traceback(
    upstream: ScriptedUpstream, caplog: pytest.LogCaptureFixture, target: bytes
) -> None:
    async with gateway(routing(upstream.url)) as served:
        reader, _ = await served.raw(target + b" HTTP/1.1\r\nhost: x\r\n\r\n" + post(BODY))
        status, _, body = await read_answer(reader)
    assert (status, code(body)) == (400, "invalid_request")
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
    assert upstream.received == []


@pytest.mark.parametrize("path", ["/v1/chat/completions/", "/v1/files/", "/v1/models", "/admin/state/", "//v1/files"])
async def test_no_path_is_redirected_so_no_key_is_sent_where_a_host_header_says(
    upstream: ScriptedUpstream, path: str
) -> None:
    async with gateway(routing(upstream.url)) as served, served.client() as client:
        got = await client.get(path, headers={"host": "evil.example"})
    assert (got.status_code, got.headers.get("location")) == (200 if path == "/v1/models" else 404, None)


async def test_an_upload_that_was_refused_may_not_drip_on(upstream: ScriptedUpstream) -> None:
    head = b"POST /v1/files HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n"
    async with gateway(routing(upstream.url)) as served:
        reader, writer = await served.raw(head)
        status, _, _ = await read_answer(reader)
        assert status == 401
        (connection,) = served.state.connections
        began = connection.reading_since = clock.monotonic() - wire.READ_S  # type: ignore[union-attr]
        writer.write(b"x")
        await until(lambda: connection._read_bytes == 1)  # type: ignore[union-attr]
        assert connection.reading_since == began  # type: ignore[union-attr]
        connection.expire(clock.monotonic() + 1)  # type: ignore[union-attr]
        await until(lambda: not served.state.connections)


INJECTED = [b"x-ratelimit-x: a\rset-cookie: b", b"x-ratelimit-x: a\nset-cookie: b", b"content-type: a\r\n\tb: c"]


@pytest.mark.parametrize("line", INJECTED)
async def test_a_vendors_head_cannot_put_a_line_of_its_own_into_ours(upstream: ScriptedUpstream, line: bytes) -> None:
    async def reply(to: Line, asked: Received) -> None:
        to.write(b"HTTP/1.1 200 OK\r\n" + line + b"\r\ncontent-length: 2\r\n\r\n{}")

    upstream.always = reply
    async with gateway(routing(upstream.url)) as served:
        reader, _ = await served.raw(post(BODY))
        status, headers, _ = await read_answer(reader)
    assert (status, "set-cookie" in headers, "b" in headers) == (502, False, False)
