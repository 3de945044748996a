"""Names for things, each its own type, so that an alias is never passed where an upstream is meant."""

import os
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


def new_attempt_id() -> AttemptId:
    """A fresh attempt id: 128 random bits as 32 hexadecimal digits."""
    return AttemptId(os.urandom(16).hex())


def new_request_id() -> RequestId:
    """A fresh request id for a client that sent none."""
    return RequestId("req_" + os.urandom(12).hex())


def new_trace_id() -> TraceId:
    """A fresh W3C trace id: 32 hexadecimal digits."""
    return TraceId(os.urandom(16).hex())


def new_span_id() -> SpanId:
    """A fresh W3C span id: 16 hexadecimal digits."""
    return SpanId(os.urandom(8).hex())
