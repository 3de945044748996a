"""An upstream's address and the head of a request to it.

What never changes is laid out once. From the client's headers go on only those that may: nothing hop-by-hop, nothing
that names or authorises the client to us, nothing that would contradict what we set. The client's key never goes on.
"""

from collections.abc import Iterable
from urllib.parse import urlsplit

from gateway.config import Upstream
from gateway.wire.kinds import Kind

HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"http2-settings",
        b"expect",
    }
)
"""RFC 9110, section 7.6.1."""

OURS = frozenset(
    {
        b"host",
        b"content-length",
        b"content-type",
        b"content-encoding",
        b"accept-encoding",
        b"authorization",
        b"x-client-request-id",
        b"x-request-id",
        b"traceparent",
    }
)
"""Set by us, or left out so that the upstream gets one value and the right one."""

PRIVATE = frozenset(
    {
        b"cookie",
        b"x-api-key",
        b"api-key",
        b"openai-organization",
        b"openai-project",
        b"forwarded",
        b"via",
        b"x-real-ip",
        b"origin",
        b"referer",
        b"baggage",
    }
)
"""The client's own credentials, its account at a vendor, and where it is."""

PRIVATE_PREFIXES = (b"x-tollway-", b"x-forwarded-", b"sec-", b"cf-")

WITHHELD = HOP_BY_HOP | OURS | PRIVATE


class Endpoint:
    """Where an upstream answers each kind of request."""

    def __init__(self, upstream: Upstream) -> None:
        self.upstream = upstream
        parts = urlsplit(upstream.base_url)
        self.tls = parts.scheme == "https"
        self.host = parts.hostname or ""
        self.port = parts.port or (443 if self.tls else 80)
        query = f"?{parts.query}" if parts.query else ""
        prefix = parts.path.rstrip("/")
        host = f"[{self.host}]" if ":" in self.host else self.host
        shown = host if parts.port is None else f"{host}:{parts.port}"
        key = upstream.api_key.get_secret_value()
        lines = [f"host: {shown}"]
        if key:
            lines.append(f"authorization: Bearer {key}")
        # Compressed answers could not be read for usage without inflating them, and most answers are small.
        lines += ["content-type: application/json", "accept-encoding: identity", ""]
        rest = "\r\n".join(lines)
        self._starts = {
            kind: f"POST {prefix}{kind.upstream_path}{query} HTTP/1.1\r\n{rest}".encode("latin-1") for kind in Kind
        }

    def request_head(
        self,
        passed_on: bytes,
        *,
        content_length: int,
        attempt_id: str,
        trace_id: str,
        span_id: str,
        kind: Kind = Kind.CHAT,
    ) -> bytes:
        """The head of one request, blank line included. `passed_on` comes from `pass_on`."""
        own = (
            f"content-length: {content_length}\r\nx-client-request-id: {attempt_id}\r\n"
            f"traceparent: 00-{trace_id}-{span_id}-01\r\n\r\n"
        )
        return b"".join((self._starts[kind], passed_on, own.encode("ascii")))


def pass_on(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The client's header lines that may go upstream. Names are in lower case already."""
    named: set[bytes] = set()
    for name, value in headers:
        if name == b"connection":
            named.update(token.strip().lower() for token in value.split(b","))
    lines: list[bytes] = []
    for name, value in headers:
        if name in WITHHELD or name in named or name.startswith(PRIVATE_PREFIXES):
            continue
        lines += (name, b": ", value, b"\r\n")
    return b"".join(lines)
