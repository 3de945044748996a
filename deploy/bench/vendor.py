"""The other side of the gateway in a bench: a vendor that answers at once, and a collector that takes every span.

    POST /v1/chat/completions    1 KB of JSON; or, for a body that says stream, 64 chunks of 180 bytes: paced, or in one
                                 burst where the prompt says `in one burst`, or as a prompt with
                                 `late 50 ms, 40 chunks, 20 ms apart` says
    POST /v1/traces              200
Run as `python -m deploy.bench.vendor PORT`.
"""

import asyncio
import json
import re
import sys
from typing import cast

import httptools
import uvloop

CHUNKS = 64
CHUNK_BYTES = 180
PACE_S = 0.01
ANSWER_BYTES = 1024
LATE = re.compile(rb"late (\d+) ms, (\d+) chunks, (\d+) ms apart")


def _answer() -> bytes:
    usage = {"prompt_tokens": 250, "completion_tokens": 100, "total_tokens": 350}
    choice = {"index": 0, "message": {"role": "assistant", "content": ""}, "finish_reason": "stop"}
    body = {"id": "chatcmpl-1", "object": "chat.completion", "model": "m", "choices": [choice], "usage": usage}
    choice["message"] = {"role": "assistant", "content": "x" * (ANSWER_BYTES - len(json.dumps(body)))}
    text = json.dumps(body).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(text), text)


def _event(fields: dict[str, object]) -> bytes:
    base = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    data = b"data: " + json.dumps({**base, **fields}, separators=(",", ":")).encode() + b"\n\n"
    return b"%x\r\n%b\r\n" % (len(data), data)


def _chunk(text: str, finish: str | None = None) -> bytes:
    return _event({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish}], "usage": None})


STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
WORD = _chunk("x" * (CHUNK_BYTES - len(_chunk(""))))
USAGE = {"prompt_tokens": 250, "completion_tokens": 64, "total_tokens": 314}
TAIL = _chunk("", "stop") + _event({"choices": [], "usage": USAGE}) + b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"
ANSWER = _answer()
TAKEN = b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n"


class Vendor(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self._url = url
        self._body = b""

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        if self._url == b"/v1/traces":
            self._transport.write(TAKEN)
        elif b'"stream":true' not in self._body:
            self._transport.write(ANSWER)
        elif b"in one burst" in self._body:
            self._transport.write(STREAM_HEAD + WORD * CHUNKS + TAIL)
        elif late := LATE.search(self._body):
            first_s, chunks, apart_s = int(late[1]) / 1000, int(late[2]), int(late[3]) / 1000
            self._transport.write(STREAM_HEAD)
            self._loop.call_later(first_s, self._pace, chunks, apart_s)
        else:
            self._transport.write(STREAM_HEAD)
            self._pace(CHUNKS, PACE_S)

    def _pace(self, left: int, apart_s: float) -> None:
        if self._transport.is_closing():
            return
        if left == 0:
            self._transport.write(TAIL)
            return
        self._transport.write(WORD)
        self._loop.call_later(apart_s, self._pace, left - 1, apart_s)


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Vendor, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
