"""Calls to the accounts that keep files, batches and responses, off the data path.

One client per tenant and upstream, with our key and never the caller's. An answer is streamed, or read whole within a
bound; what goes wrong is an error of ours that names no upstream. A vendor's own error is kept as it came, unless it is
about our credentials.
"""

import asyncio
import ssl
from collections.abc import AsyncIterable, AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import cache
from urllib.parse import quote, urlsplit

import httpx

from gateway.config import Upstream
from gateway.domain.reasons import Reason
from gateway.errors import AnswerTimeout, UpstreamFailed
from gateway.flow.answer import ANSWER_BYTES_MAX, FORWARDED, FORWARDED_PREFIX, parsed
from gateway.flow.blame import blame, is_error
from gateway.flow.mask import masked
from gateway.wire.arrival import fits

TIMEOUT = httpx.Timeout(connect=5.0, read=55.0, write=30.0, pool=5.0)
"""Seconds for each step; the client's own connection is given up after 60 without progress."""
WHOLE_S = 120.0
"""How long an answer that is read whole may take."""
LIMITS = httpx.Limits(max_connections=64, max_keepalive_connections=8, keepalive_expiry=15.0)
PASSED = frozenset(name.decode() for name in FORWARDED)
FAULTS = ("error", "errors")
"""Where a stored response, or a batch, keeps what went wrong with it: a vendor's error under a good status."""
CANNOT_READ = "The service that keeps it gave an answer that cannot be read."


@dataclass(frozen=True, slots=True)
class Answer:
    """A vendor's whole answer."""

    status: int
    headers: Mapping[str, str]
    """Those that are forwarded."""
    body: bytes
    fields: Mapping[str, object]
    """The body, parsed."""


class VendorRefused(Exception):
    """The vendor's own error, for the client to see as it came."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        super().__init__(f"the vendor answered {status}")
        self.status = status
        self.headers = headers
        self.body = body


class Vendors:
    """One tenant's clients of all upstreams, made when they are first needed."""

    def __init__(self) -> None:
        self._clients: dict[str, tuple[Upstream, httpx.AsyncClient]] = {}
        self._replaced: list[httpx.AsyncClient] = []

    @asynccontextmanager
    async def call(
        self,
        upstream: Upstream,
        method: str,
        path: tuple[str, ...],
        *,
        query: str = "",
        headers: Mapping[str, str] | None = None,
        content: bytes | AsyncIterable[bytes] | None = None,
    ) -> AsyncIterator[httpx.Response]:
        """The answer, its body still to be read; hung up on when the block ends. Raises UpstreamFailed, AnswerTimeout.

        The parts of the path are quoted.
        """
        client = self._client(upstream)
        own = {"accept-encoding": "identity", **(headers or {})}
        request = client.build_request(method, url_of(upstream, path, query), headers=own, content=content)
        with translated():
            response = await client.send(request, stream=True)
        try:
            with translated():
                yield response
        finally:
            await response.aclose()

    async def whole(
        self,
        upstream: Upstream,
        method: str,
        path: tuple[str, ...],
        *,
        query: str = "",
        headers: Mapping[str, str] | None = None,
        content: bytes | AsyncIterable[bytes] | None = None,
    ) -> Answer:
        """A good answer, which is a JSON object. Raises VendorRefused, UpstreamFailed, AnswerTimeout."""
        try:
            async with self.call(upstream, method, path, query=query, headers=headers, content=content) as response:
                async with asyncio.timeout(WHOLE_S):
                    body = await read_whole(response)
        except TimeoutError:
            raise AnswerTimeout(f"No whole answer within {WHOLE_S:g} s.") from None
        return judged(response, body)

    async def close(self) -> None:
        """Hang up on everything."""
        for client in (*self._replaced, *(client for _, client in self._clients.values())):
            await client.aclose()
        self._clients.clear()
        self._replaced.clear()

    def _client(self, upstream: Upstream) -> httpx.AsyncClient:
        known = self._clients.get(upstream.name)
        if known is not None and known[0] == upstream:
            return known[1]
        if known is not None:
            self._replaced.append(known[1])  # What it carries may still end well; its idle connections expire.
        key = upstream.api_key.get_secret_value()
        tls = upstream.base_url.startswith("https:")
        client = httpx.AsyncClient(
            headers={"authorization": f"Bearer {key}"} if key else {},
            timeout=TIMEOUT,
            limits=LIMITS,
            trust_env=False,  # Proxies and netrc of the environment must not decide where our key goes.
            verify=_context() if tls else False,
        )
        self._clients[upstream.name] = (upstream, client)
        return client


@cache
def _context() -> ssl.SSLContext:
    """One for all clients of the process: making one costs 20 ms."""
    return ssl.create_default_context()


def url_of(upstream: Upstream, path: tuple[str, ...], query: str = "") -> str:
    """Where that is at the upstream; a query that its base URL has comes first."""
    parts = urlsplit(upstream.base_url)
    below = "/".join(quote(part, safe="") for part in path)
    queries = "&".join(text for text in (parts.query, query) if text)
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}/{below}{'?' if queries else ''}{queries}"


async def read_whole(response: httpx.Response) -> bytes:
    """The body. Raises UpstreamFailed where it is longer than any answer, or encoded in a way we did not ask for."""
    if response.headers.get("content-encoding", "identity") != "identity":
        raise UpstreamFailed(CANNOT_READ)
    parts: list[bytes] = []
    size = 0
    async for piece in response.aiter_raw():
        size += len(piece)
        if size > ANSWER_BYTES_MAX:
            raise UpstreamFailed(CANNOT_READ)
        parts.append(piece)
    return b"".join(parts)


def judged(response: httpx.Response, body: bytes) -> Answer:
    """What a whole answer means. Raises VendorRefused, UpstreamFailed."""
    fields = parsed(body)
    headers = forwarded(response)
    our_key = key_of(response)
    if response.status_code >= 400:
        if fields is None or blame(response.status_code, fields) is Reason.UPSTREAM_AUTH:
            raise UpstreamFailed(CANNOT_READ)
        raise VendorRefused(response.status_code, headers, masked(body, our_key))
    if response.status_code >= 300 or fields is None or is_error_only(fields):
        raise UpstreamFailed(CANNOT_READ)
    if any(fields.get(name) for name in FAULTS):
        body = masked(body, our_key)
    return Answer(response.status_code, headers, body, fields)


def key_of(response: httpx.Response) -> bytes:
    """Our key, as it was sent for that answer."""
    sent: str = response.request.headers.get("authorization", "")
    return sent.removeprefix("Bearer ").encode()


def is_error_only(fields: Mapping[str, object]) -> bool:
    """Whether a body that came under a good status is an error all the same; a failed response has an id too."""
    return is_error(fields) and not isinstance(fields.get("id"), str)


def forwarded(response: httpx.Response) -> dict[str, str]:
    """The headers that go on to the client; what the vendor calls the request is among them."""
    prefix = FORWARDED_PREFIX.decode()
    named = headers_of(response)
    passed = {name: value for name, value in named.items() if name in PASSED or name.startswith(prefix)}
    called = named.get("x-request-id", "")
    return passed | ({"x-request-id": called} if fits(called.encode("latin-1")) else {})


def headers_of(response: httpx.Response) -> dict[str, str]:
    """By name in lower case, a character for each byte as Starlette writes them: a file's name may be in UTF-8."""
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers.raw}


@contextmanager
def translated() -> Iterator[None]:
    """Turns what httpx raises into errors of ours."""
    try:
        yield
    except httpx.TimeoutException as error:
        raise AnswerTimeout("The service that keeps it did not answer in time.") from error
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
        raise UpstreamFailed("The service that keeps it could not be reached, or broke off.") from error
