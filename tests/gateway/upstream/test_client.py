"""The upstream client against servers that behave, misbehave and vanish."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from gateway.config import Upstream
from gateway.domain.reasons import Reason
from gateway.upstream import client as upstream_client
from gateway.upstream.client import UpstreamPool
from gateway.upstream.endpoint import Endpoint
from gateway.upstream.sink import Failure, Headers
from tests.gateway.fakes import Line, Received, Reply, ScriptedUpstream, StartUpstream, answer, drop, silence
from tests.gateway.serving import until

HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n"


@dataclass
class Kept:
    """A sink that keeps what it hears."""

    heard: list[str] = field(default_factory=list)
    status: int = 0
    headers: Headers = field(default_factory=list)
    pieces: list[bytes] = field(default_factory=list)
    failure: Failure | None = None

    def sending(self) -> None:
        self.heard.append("sending")

    def head(self, status: int, headers: Headers) -> None:
        self.heard.append("head")
        self.status, self.headers = status, headers

    def data(self, piece: bytes) -> None:
        assert piece
        self.heard.append("data")
        self.pieces.append(piece)

    def end(self) -> None:
        self.heard.append("end")

    def failed(self, failure: Failure) -> None:
        self.heard.append("failed")
        self.failure = failure

    @property
    def over(self) -> bool:
        return bool(self.heard) and self.heard[-1] in ("end", "failed")

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)


def pool_to(port: int, context: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> UpstreamPool:
    scheme = "https" if context else "http"
    upstream = Upstream(name="u0", base_url=f"{scheme}://{host}:{port}/v1", provider="openai", account="a")
    return UpstreamPool(Endpoint(upstream), asyncio.get_running_loop(), context)


@pytest.fixture
async def pool(upstream: ScriptedUpstream) -> AsyncIterator[UpstreamPool]:
    made = pool_to(upstream.port)
    yield made
    await made.close()


async def call(pool: UpstreamPool, body: bytes = b"{}", *, fresh: bool = False) -> Kept:
    """A call, to its end."""
    sink = Kept()
    head = HEAD.replace(b"length: 2", b"length: %d" % len(body))
    pool.call(head, body, sink, fresh=fresh)
    await until(lambda: sink.over)
    return sink


def raw(*pieces: bytes, close: bool = False) -> Reply:
    """Those bytes as they are, each in a packet of its own."""

    async def reply(line: Line, request: Received) -> None:
        for piece in pieces:
            line.write(piece)
            await asyncio.sleep(0.001)
        if close:
            line.transport.close()

    return reply


CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
LENGTH = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"

BODIES = {
    "of a stated length": raw(LENGTH + b"hello"),
    "of a stated length in pieces": raw(LENGTH[:9], LENGTH[9:], b"he", b"llo"),
    "chunked": raw(CHUNKED + b"5\r\nhello\r\n0\r\n\r\n"),
    "chunked in pieces": raw(CHUNKED, b"2\r\nhe", b"\r\n3\r\nllo\r\n0\r", b"\n\r\n"),
    "chunked with an extension and a trailer": raw(CHUNKED + b"5;x=1\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n"),
    "until the connection closes": raw(b"HTTP/1.1 200 OK\r\n\r\n", b"he", b"llo", close=True),
    "until the connection closes, HTTP/1.0": raw(b"HTTP/1.0 200 OK\r\n\r\nhello", close=True),
    "behind a 100": raw(b"HTTP/1.1 100 Continue\r\n\r\n", LENGTH + b"hello"),
    "behind a 103 with headers": raw(b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + LENGTH + b"hello"),
}


@pytest.mark.parametrize("kind", BODIES)
async def test_a_body_arrives_whole(upstream: ScriptedUpstream, pool: UpstreamPool, kind: str) -> None:
    upstream.script.append(BODIES[kind])
    sink = await call(pool)
    assert (sink.status, sink.body) == (200, b"hello")
    assert [word for i, word in enumerate(sink.heard) if word != "data" or sink.heard[i - 1] != "data"] == [
        "sending", "head", "data", "end",
    ]  # fmt: skip
    assert b"link" not in dict(sink.headers)


async def test_pieces_of_one_read_are_pushed_as_one(upstream: ScriptedUpstream, pool: UpstreamPool) -> None:
    upstream.script.append(raw(CHUNKED + b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"))
    assert (await call(pool)).pieces == [b"hello"]


async def test_a_connection_is_kept_and_used_again(upstream: ScriptedUpstream, pool: UpstreamPool) -> None:
    for _ in range(3):
        assert (await call(pool)).heard[-1] == "end"
    assert (upstream.connections, pool.connections_made) == (1, 1)


NOT_KEPT = {
    "the server says close": raw(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello"),
    "it speaks HTTP/1.0": raw(b"HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\nhello"),
    "it says more than it was asked": raw(LENGTH + b"hello" + LENGTH + b"hello"),
    "it speaks unasked later": raw(LENGTH + b"hello", b"HTTP/1.1 408 Timeout\r\ncontent-length: 0\r\n\r\n"),
}


@pytest.mark.parametrize("case", NOT_KEPT)
async def test_a_connection_is_not_kept_if(upstream: ScriptedUpstream, pool: UpstreamPool, case: str) -> None:
    upstream.script.append(NOT_KEPT[case])
    first = await call(pool)
    assert (first.body, first.heard.count("end")) == (b"hello", 1)
    await until(lambda: not upstream.lines)
    assert (await call(pool)).heard[-1] == "end"
    assert upstream.connections == 2


async def test_an_idle_connection_is_not_used_when_the_server_may_be_closing_it(
    upstream: ScriptedUpstream, pool: UpstreamPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    await call(pool)
    monkeypatch.setattr(upstream_client, "IDLE_S", 0.0)
    await call(pool)
    assert upstream.connections == 2


async def test_idle_connections_are_closed_in_time(
    upstream: ScriptedUpstream, pool: UpstreamPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upstream_client, "IDLE_S", 0.02)
    await call(pool)
    await until(lambda: not upstream.lines)


FAILURES = {
    "it hangs up without a word": (drop, Reason.CONNECTION_LOST),
    "it closes in the middle of the head": (raw(b"HTTP/1.1 200 OK\r\ncont", close=True), Reason.CONNECTION_LOST),
    "it closes after a 100": (raw(b"HTTP/1.1 100 Continue\r\n\r\n", close=True), Reason.CONNECTION_LOST),
    "it closes before the stated length": (raw(LENGTH + b"he", close=True), Reason.STREAM_BROKEN),
    "it closes before the last chunk": (raw(CHUNKED + b"2\r\nhe\r\n", close=True), Reason.STREAM_BROKEN),
    "it speaks no HTTP": (raw(b"SSH-2.0-OpenSSH\r\n"), Reason.BAD_RESPONSE),
    "its chunks are no chunks": (raw(CHUNKED, b"zz\r\nhe\r\n"), Reason.STREAM_BROKEN),
    "it switches protocols": (
        raw(b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"),
        Reason.BAD_RESPONSE,
    ),
    "its head does not end": (raw(b"HTTP/1.1 200 OK\r\n", *[b"x: " + b"y" * 9000 + b"\r\n"] * 8), Reason.BAD_RESPONSE),
    "its length contradicts its encoding": (
        raw(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
        Reason.BAD_RESPONSE,
    ),
}


@pytest.mark.parametrize("case", FAILURES)
async def test_a_failure_is_told_once_if(upstream: ScriptedUpstream, pool: UpstreamPool, case: str) -> None:
    reply, reason = FAILURES[case]
    upstream.script.append(reply)
    sink = await call(pool)
    assert sink.failure == Failure(reason, sent=True)
    assert sink.heard.count("failed") == 1
    await until(lambda: not upstream.lines)
    assert (await call(pool)).heard[-1] == "end"


async def test_nothing_was_sent_where_nobody_listens(upstream: ScriptedUpstream) -> None:
    port = upstream.port
    await upstream.stop()
    pool = pool_to(port)
    sink = await call(pool)
    assert sink.failure == Failure(Reason.CONNECT_ERROR, sent=False)
    assert sink.heard == ["failed"]


async def test_a_name_that_nobody_has_is_a_connect_error() -> None:
    pool = pool_to(80, host="no-such-host.invalid")
    assert (await call(pool)).failure == Failure(Reason.CONNECT_ERROR, sent=False)
    await pool.close()


async def test_a_kept_connection_that_died_is_told_as_stale_and_nothing_is_sent_again(
    upstream: ScriptedUpstream, pool: UpstreamPool
) -> None:
    await call(pool)
    upstream.script.append(drop)
    sink = await call(pool)
    assert sink.failure == Failure(Reason.CONNECTION_LOST, sent=True, stale=True)
    assert len(upstream.received) == 2


async def test_a_kept_connection_that_answered_something_is_not_stale(
    upstream: ScriptedUpstream, pool: UpstreamPool
) -> None:
    await call(pool)
    upstream.script.append(raw(b"HTTP/1.1 2", close=True))
    assert (await call(pool)).failure == Failure(Reason.CONNECTION_LOST, sent=True, stale=False)


async def test_a_fresh_call_leaves_idle_connections_alone(upstream: ScriptedUpstream, pool: UpstreamPool) -> None:
    await call(pool)
    await call(pool, fresh=True)
    assert upstream.connections == 2


async def test_cancelling_hangs_up_at_once_and_nothing_more_is_heard(
    upstream: ScriptedUpstream, pool: UpstreamPool
) -> None:
    upstream.script.append(silence)
    sink = Kept()
    calling = pool.call(HEAD, b"{}", sink, fresh=False)
    await until(lambda: upstream.received)
    calling.cancel()
    await asyncio.wait_for(upstream.received[0].gone.wait(), 2)
    assert sink.heard == ["sending"]
    assert not calling.under_way


async def test_cancelling_while_connecting_sends_nothing(upstream: ScriptedUpstream, pool: UpstreamPool) -> None:
    sink = Kept()
    pool.call(HEAD, b"{}", sink, fresh=False).cancel()
    assert (await call(pool)).heard[-1] == "end"
    assert sink.heard == []
    assert len(upstream.received) == 1


async def test_a_call_that_has_ended_cannot_touch_the_next_one_on_its_connection(
    upstream: ScriptedUpstream, pool: UpstreamPool
) -> None:
    sink = Kept()
    ended = pool.call(HEAD, b"{}", sink, fresh=False)
    await until(lambda: sink.over)
    upstream.script.append(BODIES["chunked in pieces"])
    following = Kept()
    pool.call(HEAD, b"{}", following, fresh=False)
    ended.pause()
    ended.cancel()
    await until(lambda: following.over)
    assert (following.body, upstream.connections) == (b"hello", 1)


async def test_an_early_answer_to_a_large_request_is_taken(upstream: ScriptedUpstream, pool: UpstreamPool) -> None:
    body = b"x" * 3_000_000
    assert (await call(pool, body)).heard[-1] == "end"
    assert upstream.received[0].body == body


async def test_a_paused_answer_stops_the_server_and_goes_on_when_resumed(
    upstream: ScriptedUpstream, pool: UpstreamPool
) -> None:
    lines: list[Line] = []

    async def flood(line: Line, request: Received) -> None:
        lines.append(line)
        line.head(content_type="text/event-stream")
        for _ in range(400):
            line.chunk(b"x" * 65_536)
            await line.clear()
        line.last_chunk()

    upstream.script.append(flood)
    sink = Kept()
    calling = pool.call(HEAD, b"{}", sink, fresh=False)
    await until(lambda: sink.pieces)
    calling.pause()
    received = len(sink.body)
    await until(lines[0].paused.is_set)
    assert len(sink.body) - received <= 262_144, "what one read may bring, and no more"
    calling.resume()
    await until(lambda: sink.over, 20)
    assert len(sink.body) == 400 * 65_536


async def test_a_paused_call_leaves_its_connection_readable(upstream: ScriptedUpstream, pool: UpstreamPool) -> None:
    class Pauses(Kept):
        def data(self, piece: bytes) -> None:
            super().data(piece)
            calling.pause()

    upstream.script.append(raw(LENGTH + b"hello"))
    sink = Pauses()
    calling = pool.call(HEAD, b"{}", sink, fresh=False)
    await until(lambda: sink.over)
    assert (await call(pool)).heard[-1] == "end"
    assert upstream.connections == 1


@pytest.fixture
def certificate(tmp_path: Any) -> tuple[str, str]:
    """A self-signed certificate for localhost, and its key."""
    import subprocess

    cert, key = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
    ]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run([*command, *names, "-keyout", key, "-out", cert], check=True, capture_output=True)
    return cert, key


async def test_tls_is_spoken_to_who_proves_its_name_and_to_nobody_else(
    certificate: tuple[str, str], start_upstream: StartUpstream
) -> None:
    cert, key = certificate
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(cert, key)
    upstream = await start_upstream(server_side)
    trusting = pool_to(upstream.port, ssl.create_default_context(cafile=cert), host="localhost")
    doubting = pool_to(upstream.port, ssl.create_default_context(), host="localhost")
    upstream.always = answer({"ok": True})
    for _ in range(2):
        assert (await call(trusting)).status == 200
    assert trusting.connections_made == 1
    assert (await call(doubting)).failure == Failure(Reason.CONNECT_ERROR, sent=False)
    assert len(upstream.received) == 2
    for pool in (trusting, doubting):
        await pool.close()


async def test_closing_hangs_up_on_everything(upstream: ScriptedUpstream) -> None:
    pool = pool_to(upstream.port)
    await call(pool)
    upstream.script.append(silence)
    pool.call(HEAD, b"{}", Kept(), fresh=False)
    await until(lambda: len(upstream.received) == 2)
    await pool.close()
    await until(lambda: not upstream.lines)
