"""Names for things, each its own type, so that an alias is never passed where an upstream is meant."""

import os
from collections import deque
from hashlib import sha256
from typing import NewType

TenantId = NewType("TenantId", str)
Alias = NewType("Alias", str)
TierName = NewType("TierName", str)
UpstreamId = NewType("UpstreamId", str)
Account = NewType("Account", str)
"""The account at a vendor that is billed for an attempt."""

RequestId = NewType("RequestId", str)
"""What the client calls its request: its own `x-request-id`, or one we make."""
AttemptId = NewType("AttemptId", str)
"""32 hexadecimal digits; the vendor is told it, so that its ledger and ours name the same thing."""
TraceId = NewType("TraceId", str)
SpanId = NewType("SpanId", str)


_READ_BYTES = 4096
_spare: dict[int, deque[str]] = {16: deque(), 32: deque()}
"""Random bits read ahead, as so many hexadecimal digits: of all ids that a request needs it is spared nearly every read
of the kernel. Taking one is atomic, so no two threads get the same, nor does a fork."""


def _forget() -> None:
    for spare in _spare.values():
        spare.clear()


os.register_at_fork(after_in_child=_forget)


def _digits(count: int) -> str:
    """So many hexadecimal digits, 16 or 32, that nobody had before."""
    spare = _spare[count]
    try:
        return spare.popleft()
    except IndexError:
        digits = os.urandom(_READ_BYTES).hex()
        spare.extend([digits[at : at + count] for at in range(count, len(digits), count)])
        return digits[:count]


def attempt_id(trace_id: TraceId, span_id: SpanId) -> AttemptId:
    """The id of the attempt that is that span: 32 hexadecimal digits, of which the last 16 are the span's own, which we
    make at random whatever trace a client names. Being made of the two it need not be stored beside them."""
    return AttemptId(trace_id[:16] + span_id)


def request_id(trace_id: TraceId, span_id: SpanId) -> RequestId:
    """The id of a request that did not name itself, made of the span of its operation in the same way."""
    return RequestId(f"req_{trace_id[-8:]}{span_id}")


def new_request_id() -> RequestId:
    """A fresh request id where there is no span to make it of: 96 random bits."""
    return RequestId("req_" + _digits(32)[:24])


def new_trace_id() -> TraceId:
    """A fresh W3C trace id: 32 hexadecimal digits."""
    return TraceId(_digits(32))


def new_span_id() -> SpanId:
    """A fresh W3C span id: 16 hexadecimal digits."""
    return SpanId(_digits(16))


def derived_ids(*key: str) -> tuple[AttemptId, SpanId]:
    """The ids of the attempt that a vendor's own names tell from all others: the same whoever asks, and whenever."""
    digest = sha256("\0".join(key).encode()).hexdigest()
    return AttemptId(digest[:32]), SpanId(digest[32:48])


def response_ids(
    *, provider: str, account: str, upstream: str, operation: str, response: str
) -> tuple[AttemptId, SpanId]:
    """The ids under which the usage of a response is on the books, whoever tells of it: the call that made it, or a
    later look. `operation` is the span of the request that made it: small servers number their responses anew at each
    start."""
    return derived_ids(provider, account, upstream, "response", operation, response)
