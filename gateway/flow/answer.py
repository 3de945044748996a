"""An upstream's answer as a client may see it, and what it says of itself."""

from collections.abc import Mapping

import orjson

from gateway.domain.fact import fact
from gateway.relay.relay import text
from gateway.relay.responses import finish_reason
from gateway.upstream.sink import Headers
from gateway.wire.arrival import fits

ANSWER_BYTES_MAX = 128 * 1024 * 1024
"""A whole answer longer than this is taken for an upstream gone wrong: 2,048 embeddings of 3,072 numbers take 80 MB."""

LARGE_BYTES = 1024 * 1024
"""Of embeddings longer than this only what stands behind the data is parsed: 80 MB whole would take half a second."""

FORWARDED = frozenset(
    {
        b"content-type",
        b"retry-after",
        b"retry-after-ms",
        b"x-should-retry",
        b"openai-processing-ms",
        b"openai-version",
        b"x-generation-id",
    }
)
FORWARDED_PREFIX = b"x-ratelimit-"


@fact(frozen=True, slots=True)
class VendorAnswer:
    """An upstream's answer as a client may see it."""

    status: int
    head: bytes
    """The header lines that are forwarded."""
    body: bytes


def forwarded(headers: Headers) -> bytes:
    """The header lines that go on to the client: the content's type, what tells it when to come back, and how the
    vendor names and times what it did."""
    lines: list[bytes] = []
    for name, value in headers:
        if name in FORWARDED or name.startswith(FORWARDED_PREFIX):
            lines += (name, b": ", value, b"\r\n")
    return b"".join(lines)


def request_id_of(headers: Headers) -> bytes:
    """What the vendor calls the request, if that fits a header of ours; b"" if not."""
    for name, value in headers:
        if name == b"x-request-id" and fits(value):
            return value
    return b""


def parsed(body: bytes) -> Mapping[str, object] | None:
    """The JSON object in `body`, or None if that is not what it holds."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None


def outline(body: bytes) -> Mapping[str, object] | None:
    """The members of embeddings' answer without their data, where they are many and the data comes first."""
    behind = body[body.rfind(b"]") + 1 :].strip()
    if len(body) > LARGE_BYTES and body[:1] == b"{" and behind.startswith(b","):
        found = parsed(b"{" + behind[1:])
        if found is not None and "usage" in found:
            return found
    return parsed(body)


RUNNING = frozenset({"queued", "in_progress"})


def identity(fields: Mapping[str, object]) -> tuple[str, str, str, str]:
    """The id, the model, the first choice's finish reason and the service tier of a whole answer; "" where none is.

    A response left to run in the background is on the books under its id when its end is seen; here it is an attempt
    that finished `queued` or `in_progress`, which by that a reconciliation tells apart from one that was not measured.
    """
    choices = fields.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    finish = text(first.get("finish_reason")) if isinstance(first, dict) else ""
    if fields.get("object") == "response":
        finish = finish_reason(fields)
        if finish in RUNNING:
            return "", text(fields.get("model")), finish, text(fields.get("service_tier"))
    return text(fields.get("id")), text(fields.get("model")), finish, text(fields.get("service_tier"))
