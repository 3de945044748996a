"""The head of a request to an upstream: what is set, and what of the client's goes on."""

import pytest

from gateway.config import Upstream
from gateway.upstream.endpoint import Endpoint, pass_on
from gateway.wire.kinds import Kind


def head(base_url: str, key: str = "sk-vendor", passed_on: bytes = b"", kind: Kind = Kind.CHAT) -> list[str]:
    endpoint = Endpoint(Upstream(name="u", base_url=base_url, api_key=key, provider="p", account="a"))
    raw = endpoint.request_head(passed_on, content_length=7, attempt_id="A", trace_id="T", span_id="S", kind=kind)
    assert raw.endswith(b"\r\n\r\n")
    return raw.decode().split("\r\n")[:-2]


def test_the_head_names_the_upstream_the_attempt_and_its_span() -> None:
    assert head("https://api.example.com/v1") == [
        "POST /v1/chat/completions HTTP/1.1",
        "host: api.example.com",
        "authorization: Bearer sk-vendor",
        "content-type: application/json",
        "accept-encoding: identity",
        "content-length: 7",
        "x-client-request-id: A",
        "traceparent: 00-T-S-01",
    ]


PLACES = [
    ("http://h:8000/v1/", "/v1/chat/completions", "h:8000"),
    ("http://h", "/chat/completions", "h"),
    ("https://h/openai/v1?api-version=1", "/openai/v1/chat/completions?api-version=1", "h"),
    ("http://[::1]:8000/v1", "/v1/chat/completions", "[::1]:8000"),
]


@pytest.mark.parametrize(("base_url", "path", "host"), PLACES)
def test_an_address_is_taken_apart_as_it_is_written(base_url: str, path: str, host: str) -> None:
    first, second, *_ = head(base_url)
    assert (first, second) == (f"POST {path} HTTP/1.1", f"host: {host}")


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        (Kind.CHAT, "/v1/chat/completions"),
        (Kind.COMPLETIONS, "/v1/completions"),
        (Kind.EMBEDDINGS, "/v1/embeddings"),
        (Kind.RESPONSES, "/v1/responses"),
    ],
)
def test_each_kind_has_its_own_path(kind: Kind, path: str) -> None:
    assert head("http://h/v1", kind=kind)[0] == f"POST {path} HTTP/1.1"


def test_an_upstream_without_a_key_gets_none() -> None:
    assert not [line for line in head("http://h/v1", key="") if line.startswith("authorization")]


WITHHELD = [
    "authorization", "cookie", "host", "content-length", "transfer-encoding", "connection", "keep-alive", "te",
    "proxy-authorization", "upgrade", "expect", "x-api-key", "api-key", "openai-organization", "openai-project",
    "x-forwarded-for", "forwarded", "x-tollway-tier", "x-request-id", "x-client-request-id", "traceparent",
    "accept-encoding", "content-type", "content-encoding", "sec-ch-ua", "baggage", "x-named",
]  # fmt: skip


def test_only_what_may_go_on_goes_on() -> None:
    sent = [(name.encode(), b"secret") for name in WITHHELD]
    sent += [
        (b"connection", b"close, X-Named"),
        (b"user-agent", b"sdk/1"),
        (b"idempotency-key", b"i"),
        (b"x-own", b"1"),
    ]
    assert pass_on(sent) == b"user-agent: sdk/1\r\nidempotency-key: i\r\nx-own: 1\r\n"
