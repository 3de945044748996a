"""The fakes the gateway's tests stand on: books that remember what they were told, and an upstream of real sockets that
answers as it is scripted to.
"""

import asyncio
import json
import ssl
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

import httptools

from gateway.domain.attempt import Attempt, Feedback, Intent, Operation, Transition


class FakeBooks:
    """Keeps, in order, what a journal would have been told. `full` makes it refuse intents, as a full disk does."""

    def __init__(self) -> None:
        self.told: list[Intent | Attempt | Operation | Transition | Feedback] = []
        self.synced: list[Intent] = []
        self.full = False
        self.disk = asyncio.Event()
        """Cleared, it holds every `intent_synced` back, as a slow disk does."""
        self.disk.set()

    def intent(self, intent: Intent) -> None:
        if self.full:
            raise OSError(28, "No space left on device")
        self.told.append(intent)

    async def intent_synced(self, intent: Intent) -> None:
        self.intent(intent)
        await self.disk.wait()
        self.synced.append(intent)

    def late(self, attempt: Attempt) -> None:
        if self.full:
            raise OSError(28, "No space left on device")
        self.told.append(attempt)

    async def flushed(self) -> None:
        await self.disk.wait()

    def end(self, attempt: Attempt) -> None:
        self.told.append(attempt)

    def operation(self, operation: Operation) -> None:
        self.told.append(operation)

    def transition(self, transition: Transition) -> None:
        self.told.append(transition)

    def feedback(self, feedback: Feedback) -> None:
        if self.full:
            raise OSError(28, "No space left on device")
        self.told.append(feedback)

    @property
    def intents(self) -> list[Intent]:
        return [fact for fact in self.told if isinstance(fact, Intent)]

    @property
    def attempts(self) -> list[Attempt]:
        return [fact for fact in self.told if isinstance(fact, Attempt)]

    @property
    def operations(self) -> list[Operation]:
        return [fact for fact in self.told if isinstance(fact, Operation)]

    @property
    def feedbacks(self) -> list[Feedback]:
        return [fact for fact in self.told if isinstance(fact, Feedback)]

    @property
    def transitions(self) -> list[Transition]:
        return [fact for fact in self.told if isinstance(fact, Transition)]


@dataclass
class Received:
    """A request as it reached the upstream."""

    path: str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    method: str = ""
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the caller hung up on it."""

    @property
    def json(self) -> dict[str, Any]:
        return cast("dict[str, Any]", json.loads(self.body))


class Line(asyncio.Protocol):
    """One connection to the scripted upstream; a reply writes on it."""

    transport: asyncio.Transport

    def __init__(self, upstream: "ScriptedUpstream") -> None:
        self._upstream = upstream
        self._parser = httptools.HttpRequestParser(self)
        self._request = Received("")
        self.paused = asyncio.Event()
        self._clear = asyncio.Event()
        self._clear.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._upstream.lines.append(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._request.gone.set()
        self._clear.set()
        self._upstream.lines.remove(self)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def pause_writing(self) -> None:
        self.paused.set()
        self._clear.clear()

    def resume_writing(self) -> None:
        self.paused.clear()
        self._clear.set()

    async def clear(self) -> None:
        """Return once the reader has caught up."""
        await self._clear.wait()

    def on_url(self, url: bytes) -> None:
        self._request = Received(url.decode("latin-1"))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._request.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self._request.body += body

    def on_message_complete(self) -> None:
        self._request.method = self._parser.get_method().decode()
        self._upstream.take(self, self._request)

    def write(self, data: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(data)

    def head(self, status: int = 200, content_type: str = "application/json", **headers: str) -> None:
        """A head for a chunked body."""
        lines = [f"HTTP/1.1 {status} x", f"content-type: {content_type}", "transfer-encoding: chunked"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.write("\r\n".join([*lines, "", ""]).encode())

    def chunk(self, data: bytes) -> None:
        """A piece of a chunked body."""
        self.write(b"%x\r\n%b\r\n" % (len(data), data))

    def last_chunk(self) -> None:
        """A chunked body's end."""
        self.write(b"0\r\n\r\n")


Reply = Callable[[Line, Received], Awaitable[None]]


class ScriptedUpstream:
    """Answers each request with the next reply of the script, or with `always`."""

    def __init__(self) -> None:
        self.script: deque[Reply] = deque()
        self.always: Reply = answer(chat())
        self.received: list[Received] = []
        self.lines: list[Line] = []
        self.connections = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    async def start(self, tls: ssl.SSLContext | None = None) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._line, "127.0.0.1", self.port, ssl=tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        for line in tuple(self.lines):
            line.transport.abort()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def take(self, line: Line, request: Received) -> None:
        self.received.append(request)
        reply = self.script.popleft() if self.script else self.always
        task = asyncio.get_running_loop().create_task(_run(reply, line, request))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _line(self) -> Line:
        self.connections += 1
        return Line(self)


class StartUpstream(Protocol):
    """The shape of the fixture `start_upstream`."""

    async def __call__(self, tls: ssl.SSLContext | None = None) -> ScriptedUpstream:
        """A scripted upstream that listens."""


async def _run(reply: Reply, line: Line, request: Received) -> None:
    await reply(line, request)


# What is answered


def chat(text: str = "Hello.", *, usage: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """A whole chat answer."""
    message = {"role": "assistant", "content": text}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "gpt-4o-mini-2024-07-18",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}],
        "usage": usage or {"prompt_tokens": 10, "completion_tokens": 3, "total_tokens": 13},
        **more,
    }


def chunk(content: str | None = None, *, finish: str | None = None, **more: Any) -> dict[str, Any]:
    """One chunk of a streamed answer."""
    delta = {"content": content} if content is not None else {}
    choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
    base = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o-mini-2024-07-18"}
    return {**base, "choices": [choice], **more}


def usage_chunk(prompt: int = 10, completion: int = 3) -> dict[str, Any]:
    """The chunk at a stream's tail."""
    usage = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    return {**chunk(), "choices": [], "usage": usage}


def event(data: dict[str, Any] | str) -> bytes:
    """A server-sent event, as vendors write them."""
    text = data if isinstance(data, str) else json.dumps(data, separators=(",", ":"))
    return f"data: {text}\n\n".encode()


DONE = event("[DONE]")
ROLE = event(
    {**chunk(), "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}]}
)


def events(*words: str, usage: bool = True) -> list[bytes]:
    """A stream's events: the role, the words, the finish, the usage, [DONE]."""
    body = [ROLE, *(event(chunk(word)) for word in words), event(chunk(finish="stop"))]
    return [*body, *([event(usage_chunk(completion=len(words)))] if usage else []), DONE]


# Replies


def answer(body: dict[str, Any] | bytes, status: int = 200, **headers: str) -> Reply:
    """A whole answer of a stated length."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()

    async def reply(line: Line, request: Received) -> None:
        lines = [f"HTTP/1.1 {status} x", f"content-length: {len(raw)}"]
        given = {"content_type": "application/json", **headers}
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in given.items()]
        line.write("\r\n".join([*lines, "", ""]).encode() + raw)

    return reply


def after(gate: asyncio.Event) -> Reply:
    """A whole answer, once the gate is opened."""

    async def reply(line: Line, request: Received) -> None:
        await gate.wait()
        await answer(chat())(line, request)

    return reply


def stream(*pieces: bytes | asyncio.Event, end: str = "clean", **headers: str) -> Reply:
    """A stream of these pieces; an event among them is waited for. It ends `clean`, `cut` (a reset), or `hang`."""

    async def reply(line: Line, request: Received) -> None:
        line.head(content_type="text/event-stream; charset=utf-8", **headers)
        for piece in pieces:
            if isinstance(piece, asyncio.Event):
                await piece.wait()
            else:
                line.chunk(piece)
                await asyncio.sleep(0)
        if end == "clean":
            line.last_chunk()
        elif end == "cut":
            line.transport.abort()

    return reply


def error(status: int, code: str = "x", message: str = "No.", **headers: str) -> Reply:
    """A vendor's error."""
    return answer({"error": {"message": message, "type": "t", "param": None, "code": code}}, status, **headers)


async def silence(line: Line, request: Received) -> None:
    """No answer at all."""


async def drop(line: Line, request: Received) -> None:
    """The connection dies instead of an answer."""
    line.transport.abort()
