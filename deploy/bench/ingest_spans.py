"""Requests of 200 spans of about 900 bytes and 24 attributes, each span with ids and counts of its own.

What attempts share is encoded once, so a request costs less than a millisecond and the bench measures the collector.
"""

import os
import random
from struct import Struct

from gateway.domain import attributes as names
from gateway.domain.ids import SpanId, TraceId, attempt_id, request_id
from gateway.telemetry.protobuf import Key, message

SPANS = 200
STEP_NS = 1_000_000
"""Between one attempt's start and the next one's."""
_FRAME = Struct("<2s16s2s8s2s8scQcQ")
_CLIENT = b"\x30\x03"

_SHARED = {
    names.PROVIDER_NAME: "openai",
    names.REQUEST_MODEL: "gpt-4o-mini",
    names.RESPONSE_MODEL: "gpt-4o-mini-2024-07-18",
    names.TIER: "interactive",
    names.UPSTREAM: "openai-us",
    names.ACCOUNT: "org-main",
    names.REGION: "us-east-1",
    names.PATTERN: "direct",
    names.QUANTIZATION: "none",
    names.OPERATION_NAME: "chat",
    names.ATTEMPT_OUTCOME: "ok",
    names.USAGE_COMPLETENESS: "measured",
    names.CACHE_STATUS: "off",
}
_TENANT, _ALIAS = Key(names.TENANT), Key(names.ALIAS)
_ATTEMPT, _REQUEST, _RESPONSE = Key(names.ATTEMPT_ID), Key(names.REQUEST_ID), Key(names.RESPONSE_ID)
_STATUS, _STREAM = Key(names.HTTP_STATUS), Key(names.REQUEST_STREAM)
_QUEUE, _FIRST = Key(names.QUEUE_SECONDS), Key(names.RESPONSE_TIME_TO_FIRST_CHUNK)
_INPUT, _OUTPUT = Key(names.USAGE_INPUT_TOKENS), Key(names.USAGE_OUTPUT_TOKENS)
ATTRIBUTES = len(_SHARED) + 11


class Requests:
    """One generator of requests, for one thread."""

    def __init__(self, seed: int, *, now_ns: int) -> None:
        self._dice = random.Random(seed)  # noqa: S311 - loads for a bench
        self._at_ns = now_ns
        shared = message(0x2A, b"chat gpt-4o-mini") + _CLIENT
        shared += b"".join(Key(name).text(value) for name, value in _SHARED.items())
        shared += _STATUS.integer(200) + _STREAM.true()
        self._routes = [
            shared + _TENANT.text(f"tenant-{tenant:02d}") + _ALIAS.text(f"alias-{alias}")
            for tenant in range(10)
            for alias in range(4)
        ]
        self._scope = message(0x0A, message(0x0A, names.SCOPE.encode()))
        self._resource = message(0x0A, Key("service.name", tag=0x0A).text("tollway-gateway"))

    def body(self) -> bytes:
        """The next request."""
        spans = b"".join([message(0x12, self._span()) for _ in range(SPANS)])
        return message(0x0A, self._resource + message(0x12, self._scope + spans))

    def _span(self) -> bytes:
        draw = self._dice.random
        raw, answer = os.urandom(32), os.urandom(12).hex()
        trace, span, parent = raw[:16], raw[16:24], raw[24:]
        trace_id = TraceId(trace.hex())
        self._at_ns += STEP_NS
        lasted_s = 0.2 + 3 * draw()
        return b"".join(
            (
                _FRAME.pack(
                    b"\x0a\x10", trace, b"\x12\x08", span, b"\x22\x08", parent,
                    b"\x39", self._at_ns, b"\x41", self._at_ns + int(1e9 * lasted_s),
                ),
                self._routes[int(40 * draw())],
                _ATTEMPT.text(attempt_id(trace_id, SpanId(span.hex()))),
                _REQUEST.text(request_id(trace_id, SpanId(parent.hex()))),
                _RESPONSE.text(f"chatcmpl-{answer}"),
                _QUEUE.double(draw() / 100),
                _FIRST.double(lasted_s / 4),
                _INPUT.integer(100 + int(8000 * draw())),
                _OUTPUT.integer(1 + int(900 * draw())),
            )
        )  # fmt: skip
