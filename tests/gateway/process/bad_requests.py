"""Requests that no client should send: drawn by schemathesis against the gateway's own OpenAPI document, and good ones
that were damaged on the way. Each is the bytes of one request."""

import json
import random
from collections.abc import Iterator
from typing import Any

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings

from gateway.app import create_app
from tests.gateway.serving import ACME

KEY = f"Bearer {ACME}"
HOST = "localhost"
FRAMING = {"content-length", "transfer-encoding", "host", "connection"}


def from_the_document(count: int) -> list[bytes]:
    """`count` requests that break the OpenAPI document, most of them with a good key."""
    schema = schemathesis.openapi.from_dict(create_app(lambda: None).openapi())
    drawn: list[bytes] = []

    @seed(20261123)
    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(schema.as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE))
    def draw(case: schemathesis.Case) -> None:
        drawn.append(_bytes_of(case, good_key=len(drawn) % 10 != 0))

    draw()
    return drawn


def _bytes_of(case: schemathesis.Case, *, good_key: bool) -> bytes:
    parts = case.as_transport_kwargs(base_url=f"http://{HOST}")
    if good_key:
        parts["headers"]["Authorization"] = KEY
    try:
        prepared = requests.Request(**parts).prepare()
    except (ValueError, OSError):  # What cannot be written as HTTP at all is not sent by anyone.
        parts["headers"] = {"Authorization": KEY}
        prepared = requests.Request(**parts).prepare()
    body = prepared.body or b""
    body = body.encode() if isinstance(body, str) else bytes(body)
    lines = [f"{prepared.method} {prepared.path_url} HTTP/1.1".encode("latin-1", "replace"), f"host: {HOST}".encode()]
    for name, value in prepared.headers.items():
        text = value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")
        if name.lower() not in FRAMING:
            lines.append(name.encode("latin-1", "replace") + b": " + text)
    return b"\r\n".join([*lines, b"content-length: %d" % len(body), b"", b""]) + body


def good_requests() -> list[bytes]:
    """The corpus's seeds: one good request of each kind."""
    chat = {"model": "fast", "messages": [{"role": "user", "content": "Hi \u00e9\U0001f600"}]}
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    bodies: list[tuple[str, str, Any]] = [
        ("POST", "/v1/chat/completions", chat),
        ("POST", "/v1/chat/completions", {**chat, "stream": True, "stream_options": {"include_usage": True}}),
        ("POST", "/v1/chat/completions", {**chat, "tools": [tool], "n": 2, "max_tokens": 5, "user": "u"}),
        ("POST", "/v1/completions", {"model": "fast", "prompt": ["a", "b"], "max_tokens": 1}),
        ("POST", "/v1/embeddings", {"model": "fast", "input": ["a", "b"], "encoding_format": "float"}),
        ("POST", "/v1/responses", {"model": "fast", "input": [{"role": "user", "content": "Hi"}]}),
        ("POST", "/v1/batches", {"input_file_id": "file-1", "endpoint": "/v1/chat/completions"}),
        ("GET", "/v1/models", None),
        ("GET", "/v1/files?limit=2&after=file-1", None),
        ("GET", "/v1/responses/resp_1?stream=true", None),
        ("DELETE", "/v1/files/file-1", None),
        ("GET", "/metrics", None),
    ]
    return [_request(method, path, body) for method, path, body in bodies]


def _request(method: str, path: str, body: Any) -> bytes:
    written = b"" if body is None else json.dumps(body, ensure_ascii=False).encode()
    head = f"{method} {path} HTTP/1.1\r\nhost: {HOST}\r\nauthorization: {KEY}\r\n"
    kind = "" if body is None else "content-type: application/json\r\n"
    return f"{head}{kind}content-length: {len(written)}\r\n\r\n".encode() + written


def damaged(count: int) -> Iterator[bytes]:
    """`count` requests, each a good one with one to four things done to it."""
    draw = random.Random(20261123)
    seeds = good_requests()
    for _ in range(count):
        request = draw.choice(seeds)
        for _ in range(draw.randint(1, 4)):
            request = draw.choice(DAMAGES)(draw, request)
        yield request


def _flip(draw: random.Random, data: bytes) -> bytes:
    at = draw.randrange(len(data)) if data else 0
    return data[:at] + bytes([draw.randrange(256)]) + data[at + 1 :]


def _cut(draw: random.Random, data: bytes) -> bytes:
    at = draw.randrange(len(data)) if data else 0
    return data[:at] + data[at + draw.randint(1, 40) :]


def _repeat(draw: random.Random, data: bytes) -> bytes:
    at = draw.randrange(len(data)) if data else 0
    return data[:at] + data[at : at + draw.randint(1, 60)] * draw.randint(2, 5) + data[at:]


def _insert(draw: random.Random, data: bytes) -> bytes:
    at = draw.randrange(len(data)) if data else 0
    return data[:at] + draw.choice(ODDITIES) + data[at:]


def _header(draw: random.Random, data: bytes) -> bytes:
    return data.replace(b"\r\n", b"\r\n" + draw.choice(HEADERS) + b"\r\n", 1)


def _value(draw: random.Random, data: bytes) -> bytes:
    """A body whose one field holds something else; its length is put right, so that the body is read."""
    head, _, body = data.partition(b"\r\n\r\n")
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        return data
    if not isinstance(fields, dict) or not fields:
        return data
    fields[draw.choice(list(fields))] = draw.choice(VALUES)
    written = json.dumps(fields).encode()
    lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"content-length")]
    return b"\r\n".join([*lines, b"content-length: %d" % len(written), b"", b""]) + written


DAMAGES = (_flip, _cut, _repeat, _insert, _header, _value, _value)
ODDITIES = (
    b"\0",
    b"\r\n",
    b"\n\n",
    b"\xff\xfe",
    b'"',
    b"}",
    b"{",
    b"[" * 2000,
    b'{"a":' * 300,
    b"\\ud800",
    b"%00",
    b"../",
    b"9" * 400,
)
HEADERS = (
    b"transfer-encoding: chunked",
    b"content-length: 5",
    b"content-length: -1",
    b"expect: 100-continue",
    b"upgrade: h2c",
    b"connection: close",
    b"content-encoding: gzip",
    b"x-tollway-tier: \xff",
    b"x-tollway-tier: nope",
    b"traceparent: 00-x",
    b"authorization: Basic x",
    b"x-request-id: " + b"a" * 500,
    b"x-tollway-session: \x01",
    b"x-tollway-cache: use",
    b"x-tollway-alias: \xe9",
    b"idempotency-key: " + b"k" * 4000,
    b"host:",
    b": x",
    b"accept: text/event-stream",
)
VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    10**30,
    1.5,
    "",
    "fast",
    "no-such-alias",
    "\ud800",
    [],
    [[]],
    {},
    {"a": {"b": {}}},
    [None],
    [{"role": "user"}],
    [{"role": "assistant", "tool_calls": [{"function": 1}]}],
    "x" * 70_000,
    {"include_usage": "yes"},
)
