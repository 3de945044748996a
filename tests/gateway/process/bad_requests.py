"""Requests that no client should send: drawn by schemathesis against the gateway's own OpenAPI document, and good ones
of every route that were damaged on the way. Each is the bytes of one request."""

import json
import random
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings

from gateway.api.app import create_app
from tests.gateway.serving import ACME

KEY = f"Bearer {ACME}"
HOST = "localhost"
FRAMING = {"content-length", "transfer-encoding", "host", "connection"}


OPERATOR = "operator-key-0123456789"
TAKES_NOTHING = {"GET /v1/models", "GET /v1/models/{name}", "GET /healthz", "GET /readyz", "GET /metrics"}
"""Operations of the document that nothing could be wrong with; their requests are only damaged."""


def document() -> dict[str, Any]:
    """What the gateway says of itself."""
    return create_app(lambda: None).openapi()


def from_the_document(count: int) -> list[tuple[str, bytes]]:
    """`count` requests that break the OpenAPI document, each with its operation, most of them with a good key."""
    schema = schemathesis.openapi.from_dict(document())
    drawn: list[tuple[str, bytes]] = []

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
        drawn.append((case.operation.label, _bytes_of(case, good_key=len(drawn) % 10 != 0)))

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


class Owned(NamedTuple):
    """Ids of things that the caller owns; `doomed` are to be deleted."""

    file: str = "file-1"
    batch: str = "batch-1"
    response: str = "resp-1"
    doomed_file: str = "file-2"
    doomed_response: str = "resp-2"


UNOWNED = Owned()


def good_requests(owned: Owned = UNOWNED) -> dict[str, list[bytes]]:
    """The corpus's seeds, by route: of each at least one that is good."""
    chat = {"model": "fast", "messages": [{"role": "user", "content": "Hi \u00e9\U0001f600"}]}
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    asked = {
        "/v1/chat/completions": [
            chat,
            {**chat, "stream": True, "stream_options": {"include_usage": True}},
            {**chat, "tools": [tool], "n": 2, "max_tokens": 5, "user": "u"},
        ],
        "/v1/completions": [{"model": "fast", "prompt": ["a", "b"], "max_tokens": 1}],
        "/v1/embeddings": [{"model": "fast", "input": ["a", "b"], "encoding_format": "float"}],
        "/v1/responses": [{"model": "fast", "input": [{"role": "user", "content": "Hi"}]}],
    }
    batch = {"input_file_id": owned.file, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    plain = {
        "GET /healthz": "", "GET /readyz": "", "GET /metrics": "",
        "GET /v1/models": "", "GET /v1/models/{name}": "fast",
        "GET /v1/files": f"?limit=2&order=asc&after={owned.file}", "GET /v1/batches": "?limit=2",
        "GET /v1/files/{id}": owned.file, "GET /v1/files/{id}/content": owned.file,
        "DELETE /v1/files/{id}": owned.doomed_file, "GET /v1/batches/{id}": owned.batch,
        "POST /v1/batches/{id}/cancel": owned.batch, "GET /v1/responses/{id}": owned.response,
        "GET /v1/responses/{id}/input_items": owned.response, "POST /v1/responses/{id}/cancel": owned.response,
        "DELETE /v1/responses/{id}": owned.doomed_response,
    }  # fmt: skip
    good = {f"POST {path}": [_request("POST", path, body) for body in bodies] for path, bodies in asked.items()}
    good["POST /v1/batches"] = [_request("POST", "/v1/batches", batch)]
    good["POST /v1/files"] = [_upload()]
    said = {"response_id": owned.response, "verdict": "redo", "reason": "wrong_tool", "score": 0.5}
    good["POST /v1/feedback"] = [_request("POST", "/v1/feedback", said)]
    for route, named in plain.items():
        method, _, path = route.partition(" ")
        at = path.replace("{id}", named).replace("{name}", named) if "{" in path else path + named
        good[route] = [_request(method, at, None)]
    good["GET /admin/state"] = [_request("GET", "/admin/state", None, key=OPERATOR)]
    good["POST /admin/reload"] = [_request("POST", "/admin/reload", None, key=OPERATOR)]
    return good


def _request(method: str, path: str, body: Any, *, key: str = ACME) -> bytes:
    written = b"" if body is None else json.dumps(body, ensure_ascii=False).encode()
    return _whole(f"{method} {path}", written, key, "" if body is None else "application/json")


def _upload() -> bytes:
    lines = b'{"custom_id":"1","method":"POST","url":"/v1/chat/completions","body":{"model":"fast","messages":[]}}\n'
    form = b'--b\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
    form += b'--b\r\ncontent-disposition: form-data; name="file"; filename="a.jsonl"\r\n\r\n' + lines + b"\r\n--b--\r\n"
    return _whole("POST /v1/files", form, ACME, "multipart/form-data; boundary=b")


def _whole(line: str, body: bytes, key: str, kind: str) -> bytes:
    head = f"{line} HTTP/1.1\r\nhost: {HOST}\r\nauthorization: Bearer {key}\r\n"
    typed = f"content-type: {kind}\r\n" if kind else ""
    return f"{head}{typed}content-length: {len(body)}\r\n\r\n".encode() + body


def damaged(count: int, seeds: Sequence[bytes]) -> Iterator[bytes]:
    """`count` requests, each one of `seeds` with one to four things done to it."""
    draw = random.Random(20261123)
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
